package main

import (
	"bytes"
	"context"

	"github.com/daobank/daobank/ledger"
)

// lookUp counts the acknowledged orders, and those of them that the journal has
// after a batch: the same bytes, in the place that the receipt names.
func (b *clearingBank) lookUp(ctx context.Context, lanes []lane, after uint64) (acknowledged, found int, err error) {
	type place struct {
		batch uint64
		index uint32
	}
	places := make(map[place]*ledger.Order)
	for _, l := range lanes {
		for i, a := range l.answers {
			if a.accepted {
				acknowledged++
				places[place{a.batch, a.index}] = l.orders[i]
			}
		}
	}
	for batch, err := range b.store.Batches(ctx, after+1) {
		if err != nil {
			return acknowledged, found, err
		}
		for i, entry := range batch.Entries {
			if o, ok := places[place{batch.Header.Number, uint32(i)}]; ok && bytes.Equal(entry, o.Bytes()) {
				found++
			}
		}
	}
	return acknowledged, found, nil
}
