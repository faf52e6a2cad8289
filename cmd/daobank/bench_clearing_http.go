package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Lanes and calls of the runs over HTTP.
const (
	batchLanes   = hotAccounts
	batchAtATime = 500
	singleLanes  = 64
)

// overHTTP serves the bank's API on this machine and gives every lane a client of
// its own, which keeps its connection and checks every receipt.
func overHTTP(b *clearingBank, lanes int) ([]teller, func(), error) {
	vault, err := benchVault()
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := api.NewServer("", api.NewHandler(api.Config{Clearing: b.engine, Journal: b.store, Attestations: b.store,
		Vaults: netting.NewVaults(b.charter.ID(), vault), Charter: b.charter, Log: slog.New(slog.DiscardHandler),
		Councils: func() []api.Council { return nil },
		Ready:    func(context.Context) error { return nil }}))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	tellers := make([]teller, lanes)
	for i := range tellers {
		tellers[i] = clientTeller(api.Dial("http://" + listener.Addr().String()).Pin(b.charter.ID()))
	}
	return tellers, func() {
		_ = server.Close() // nobody waits for an answer any more
		<-ended
	}, nil
}

// benchVault is what the bank says of its vault. No coin is ever in it.
func benchVault() (*taproot.Vault, error) {
	p := taproot.Policy{Threshold: 3, Guardians: 5, Network: "regtest", Recovery: taproot.Recovery{Threshold: 1, Delay: 144,
		Keys: []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(benchKey(3).PubKey()))}}}
	copy(p.GroupKey[:], benchKey(2).PubKey().SerializeCompressed())
	return taproot.NewVault(p)
}

// clientTeller sends one order as JSON, and more as one batch.
func clientTeller(client *api.Client) teller {
	return func(ctx context.Context, orders []*ledger.Order, answers []laneAnswer) ([]laneAnswer, error) {
		began := time.Now()
		var outcomes []api.Outcome
		if len(orders) == 1 {
			a, err := client.Submit(ctx, orders[0])
			outcomes = []api.Outcome{{Acceptance: a, Err: err}}
		} else {
			outcomes = client.SubmitMany(ctx, orders)
		}
		latency := time.Since(began)
		for i := range outcomes {
			o := &outcomes[i]
			if o.Err != nil {
				return answers, fmt.Errorf("order %d/%d: %w", orders[i].Payer, orders[i].Sequence, o.Err)
			}
			answers = append(answers, laneAnswer{latency, o.Acceptance.Batch(), o.Acceptance.Receipt.Index, true})
		}
		return answers, nil
	}
}
