package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/btcsuite/btcd/txscript"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// catchUpBlocks is how far behind the measured bank is.
const catchUpBlocks = 10_000

// catchUpFigures is how fast a bank that was down takes in what it has missed.
type catchUpFigures struct {
	Blocks          int     `json:"blocks"`
	Seconds         float64 `json:"seconds"`
	BlocksPerSecond float64 `json:"blocks_per_second"`
}

// measureCatchUp lets a bank take many blocks of a real node into its books.
func measureCatchUp(ctx context.Context, b *settlementBench) error {
	pg, err := cluster.Open(ctx)
	if err != nil {
		return err
	}
	defer pg.Close()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		return err
	}
	defer node.Close()
	d, closeDesk, err := openCatchUpDesk(ctx, pg, node)
	if err != nil {
		return err
	}
	defer closeDesk()
	b.say("mining %d blocks", catchUpBlocks)
	if err := generate(ctx, node, catchUpBlocks); err != nil {
		return err
	}
	began := time.Now()
	if err := d.Advance(ctx); err != nil {
		return err
	}
	elapsed := time.Since(began).Seconds()
	b.CatchUp = catchUpFigures{Blocks: catchUpBlocks, Seconds: elapsed, BlocksPerSecond: catchUpBlocks / elapsed}
	b.say("caught up with %d blocks in %.2f s", catchUpBlocks, elapsed)
	b.target(atLeast("catch_up_blocks_per_second", b.CatchUp.BlocksPerSecond, "blocks/s", 1_000))
	return nil
}

// generate lets the node itself mine many blocks, which is quicker than building
// them here.
func generate(ctx context.Context, node *bitcoind.Node, blocks int) error {
	_, addresses, _, err := txscript.ExtractPkScriptAddrs(node.MinerScript(), node.Network())
	if err != nil {
		return err
	}
	const together = 500
	for done := 0; done < blocks; done += together {
		if err := node.Call(ctx, "generatetoaddress", nil, min(together, blocks-done), addresses[0].String()); err != nil {
			return err
		}
	}
	return nil
}

// nobody signs: a bank that only catches up has nothing to settle.
type nobody struct{}

func (nobody) Reachable(uint32) bool { return false }

func (nobody) Sign(context.Context, *netting.Transaction, uint64) ([][]byte, error) {
	return nil, errors.New("nobody signs here")
}

// openCatchUpDesk opens a bank that was born at the node's tip.
func openCatchUpDesk(ctx context.Context, pg *cluster.Cluster, node *bitcoind.Node) (*settlement.Desk, func(), error) {
	tip, err := node.Tip(ctx)
	if err != nil {
		return nil, nil, err
	}
	charter := ledger.Charter{Name: "bench", Chain: ledger.Hash(*node.Network().GenesisHash), Operator: ledger.KeyOf(benchKey(operatorKey)),
		BirthHeight: uint32(tip.Height), BirthHash: ledger.Hash(tip.Hash), Depth: 1, WithdrawalMin: withdrawalMin}
	group, _, err := frost.TrustedDealer(2, 3, nil)
	if err != nil {
		return nil, nil, err
	}
	policy, err := benchPolicy(taproot.FROST, 2, 3)
	if err != nil {
		return nil, nil, err
	}
	policy.GroupKey = group.Key()
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return nil, nil, err
	}
	url, err := newDatabase(ctx, pg)
	if err != nil {
		return nil, nil, err
	}
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if err = store.Create(ctx, charter); err != nil {
		store.Close()
		return nil, nil, err
	}
	engine, err := clearing.Open(ctx, clearing.Config{Store: store, Charter: charter, Operator: benchKey(operatorKey), Log: log})
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	closeAll := func() {
		_ = engine.Close(context.WithoutCancel(ctx))
		store.Close()
	}
	d, err := settlement.New(settlement.Config{Engine: engine, Store: store, Vaults: netting.NewVaults(charter.ID(), vault),
		Chain: node.Client, Signer: nobody{}, Policy: settlement.DefaultPolicy(), Log: log})
	if err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("desk: %w", err)
	}
	return d, closeAll, nil
}
