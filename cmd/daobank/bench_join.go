package main

import (
	"context"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

// joinFigures are a member's joining of a DAO of a size.
type joinFigures struct {
	Members int         `json:"members"`
	Sign    benchFigure `json:"sign"`    // the member: key and order
	Check   benchFigure `json:"check"`   // the bank: the order's signature
	Open    benchFigure `json:"open"`    // the bank: the account in the books
	Address benchFigure `json:"address"` // the deposit address
	Join    benchFigure `json:"join"`    // Open and Address, timed together
}

// joinSamples is how many members join each DAO.
const joinSamples = 301

// measureJoining lets members join DAOs of all sizes in turn, so that all see the
// same state of the machine. After each sample the smallest DAO starts anew: it
// would not stay small.
func measureJoining(ctx context.Context, b *custodyBench) ([]benchTarget, error) {
	policy, err := benchPolicy(taproot.FROST, 7, 10)
	if err != nil {
		return nil, err
	}
	q, err := quorum.Deal(policy, false, nil)
	if err != nil {
		return nil, err
	}
	sizes := b.options.Joins
	largest := sizes[len(sizes)-1]
	b.say("opening the accounts of %d members", largest)
	scripts, err := q.Vault().Scripts(taproot.Change, 0, uint32(largest)) // their keys serve as members' keys
	if err != nil {
		return nil, err
	}
	books := make([]*ledger.State, len(sizes))
	for i, members := range sizes {
		if books[i], err = booksOf(ctx, scripts[:members]); err != nil {
			return nil, err
		}
	}
	samples := make([]joinTimes, len(sizes))
	for range joinSamples {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i, members := range sizes {
			if members < joinSamples {
				if books[i], err = booksOf(ctx, scripts[:members]); err != nil {
					return nil, err
				}
			}
			if err := b.joinOnce(books[i], q.Vault().Policy(), &samples[i]); err != nil {
				return nil, err
			}
		}
	}
	for i, members := range sizes {
		b.Joining = append(b.Joining, samples[i].figures(members))
	}
	small, large := b.Joining[0], b.Joining[len(b.Joining)-1]
	b.say("measured joining")
	return []benchTarget{atMost(fmt.Sprintf("join_%d_over_%d", large.Members, small.Members),
		large.Join.Microseconds/small.Join.Microseconds, "ratio", 1.2)}, nil
}

// booksOf opens an account for the key of each script.
func booksOf(ctx context.Context, scripts [][]byte) (*ledger.State, error) {
	_, operator := btcec.PrivKeyFromBytes([]byte{31: 1})
	charter := ledger.Charter{Name: "bench", Chain: ledger.Hash(*chaincfg.RegressionNetParams.GenesisHash),
		Operator: ledger.Key(operator.SerializeCompressed()[1:]), BirthHeight: 1, Depth: 1, WithdrawalMin: withdrawalMin}
	state, err := ledger.NewState(charter)
	if err != nil {
		return nil, err
	}
	for i, script := range scripts {
		if i%10_000 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		order := &ledger.Order{Bank: state.Bank(), Body: &ledger.Open{Key: ledger.Key(script[2:])}}
		if _, err := state.ApplyOrder(order); err != nil {
			return nil, fmt.Errorf("open account %d: %w", i, err)
		}
	}
	return state, nil
}

// joinTimes are the samples of one size.
type joinTimes struct{ sign, check, open, address, join benchSamples }

func (t *joinTimes) figures(members int) joinFigures {
	return joinFigures{Members: members, Sign: t.sign.figure(), Check: t.check.figure(),
		Open: t.open.figure(), Address: t.address.figure(), Join: t.join.figure()}
}

// joinOnce lets one member join. The vault is new, for it remembers addresses.
func (b *custodyBench) joinOnce(state *ledger.State, policy taproot.Policy, t *joinTimes) error {
	var order *ledger.Order
	err := b.clock.time(&t.sign, func() error {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			return err
		}
		order = &ledger.Order{Bank: state.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(key)}}
		return order.Sign(key)
	})
	if err != nil {
		return err
	}
	body := order.Body.(*ledger.Open)
	if err := b.clock.time(&t.check, func() error { return order.Verify(body.Key) }); err != nil {
		return err
	}
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return err
	}
	var opened time.Duration
	err = b.clock.time(&t.join, func() error {
		began := time.Now()
		if _, err := state.ApplyOrder(order); err != nil {
			return err
		}
		opened = time.Since(began)
		id, found := state.Lookup(body.Key)
		if !found {
			return fmt.Errorf("the account of %s is not in the books", body.Key)
		}
		_, err := vault.Address(taproot.Deposit, id.Index())
		return err
	})
	if err != nil {
		return err
	}
	last := len(t.join.steps) - 1
	share := float64(opened) / float64(t.join.steps[last])
	t.open.add(opened, t.join.multiples[last]*share)
	t.address.add(t.join.steps[last]-opened, t.join.multiples[last]*(1-share))
	return nil
}
