package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
)

// mine mines blocks one by one, and waits after each until the bank has done
// all that it allows.
func (d *demo) mine(ctx context.Context, blocks int) error {
	for range blocks {
		if _, err := d.node.Mine(ctx, 1); err != nil {
			return err
		}
		if err := d.awaitDesk(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitDesk waits until the books are as high as the chain's depth allows and
// the settlement in flight, if any, is with the node.
func (d *demo) awaitDesk(ctx context.Context) error {
	height, err := d.node.Height(ctx)
	if err != nil {
		return err
	}
	want := max(uint32(height)-demoDepth+1, d.info.Charter.BirthHeight)
	seen := "nothing"
	for {
		bank, err := d.client.Bank(ctx)
		if err == nil {
			seen = fmt.Sprintf("books at %d of %d", bank.Height, want)
			if bank.Height >= want {
				var ready bool
				if ready, err = d.deskReady(ctx, bank.Settlements); ready {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the settlement desk (%s; last error %v): %w", seen, err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *demo) deskReady(ctx context.Context, last uint32) (bool, error) {
	if last == 0 {
		return true, nil
	}
	list, err := d.client.Settlements(ctx, last, 1)
	if err != nil || len(list) == 0 {
		return false, err
	}
	switch settlement.Stage(list[0].Stage) {
	case settlement.StageBroadcast, settlement.StageMined, settlement.StagePosted:
		return true, nil
	}
	return false, nil
}

// settleAll mines until every withdrawal is paid and posted, and tells of each
// settlement.
func (d *demo) settleAll(ctx context.Context) error {
	for {
		if err := d.mine(ctx, 1); err != nil {
			return err
		}
		waiting, err := d.waiting(ctx)
		if err != nil {
			return err
		}
		if waiting == 0 {
			break
		}
	}
	list, err := d.client.Settlements(ctx, 1, 1000)
	if err != nil {
		return err
	}
	paid, coins := 0, 0
	for _, s := range list {
		d.result.Settlements = append(d.result.Settlements, demoSettlement{Number: s.Number, TxID: s.TxID,
			Height: s.Height, Payouts: s.Payouts, VSize: s.VSize, FeeSat: s.FeeSat})
		inputs, err := d.countSignatures(ctx, s.TxID)
		if err != nil {
			return fmt.Errorf("settlement %d: %w", s.Number, err)
		}
		paid, coins = paid+s.Payouts, coins+inputs
		d.say("Settlement %d, block %d: coins spent %d, withdrawals paid %d (outputs %d), %d vB, fee %d sat",
			s.Number, s.Height, inputs, s.Payouts, s.Destinations, s.VSize, s.FeeSat)
		d.say("    txid %s", s.TxID)
		if s.Ratio != "" {
			d.say("    %d sat cleared inside since the one before, %d sat settled on chain: netting ratio %s", s.Cleared, s.Settled, s.Ratio)
		}
	}
	bank, err := d.client.Bank(ctx)
	if err != nil {
		return err
	}
	d.say("In all %d sat cleared inside and %d sat settled on chain: netting ratio %s", bank.Cleared, bank.Settled, bank.Ratio)
	d.say("%d transfers stayed inside; %d withdrawals reached the chain in %d transactions", d.Transfers, paid, len(list))
	d.say("Each of the %d coins was spent by one 64-byte signature: %d guardians signed, the chain sees one key", coins, d.info.Policy.Threshold)
	return nil
}

// countSignatures asks the node for a settlement and counts its inputs, each of
// which must carry one BIP-340 signature and nothing else.
func (d *demo) countSignatures(ctx context.Context, id string) (inputs int, err error) {
	txid, err := chainhash.NewHashFromStr(id)
	if err != nil {
		return 0, err
	}
	tx, _, _, err := d.node.Tx(ctx, *txid)
	if err != nil {
		return 0, err
	}
	for i, in := range tx.TxIn {
		if len(in.Witness) != 1 || len(in.Witness[0]) != 64 {
			return 0, fmt.Errorf("input %d does not carry one 64-byte signature", i)
		}
	}
	return len(tx.TxIn), nil
}

// waiting counts what is not final yet: what members have held, and a
// settlement that is not posted.
func (d *demo) waiting(ctx context.Context) (int, error) {
	waiting := 0
	for _, m := range d.members {
		account, err := d.client.Account(ctx, m.id)
		if err != nil {
			return 0, err
		}
		if account.Held > 0 {
			waiting++
		}
	}
	list, err := d.client.Settlements(ctx, 1, 1000)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		if settlement.Stage(s.Stage) != settlement.StagePosted {
			waiting++
		}
	}
	return waiting, nil
}

// audit stops the bank, so that nothing but its books and the chain can speak,
// and replays everything.
func (d *demo) audit(ctx context.Context) error {
	if err := d.bank.stop(); err != nil {
		return err
	}
	d.bank = nil
	d.say("The bank is stopped: only its journal and the chain can speak now")
	page := filepath.Join(d.dir, "report")
	report, err := runAudit(ctx, &auditOptions{sourceOptions: sourceOptions{Bank: filepath.Join(d.dir, bankFileName), Postgres: d.dbURL}, Node: d.node.Config(), Page: page})
	if err != nil {
		return err
	}
	if d.Data != "" { // else it goes with the rest
		d.say("The audit as a page: %s", filepath.Join(page, "index.html"))
	}
	if err := report.WriteText(d.out); err != nil {
		return err
	}
	sum := &d.result.SumOfWallets
	sum.LedgerSat, sum.ChainSat, sum.Equal = int64(report.LedgerSat), int64(report.ChainSat), report.Equal
	if d.result.Crash.AcknowledgedLost, err = d.lost(ctx); err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("the audit found a difference: %s", report.First.Text)
	}
	return nil
}

// lost counts acknowledged orders that the journal does not hold exactly once.
func (d *demo) lost(ctx context.Context) (int, error) {
	store, err := postgres.OpenReadOnly(ctx, d.dbURL)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	stored := make(map[ledger.Hash]int)
	for batch, err := range store.Batches(ctx, 1) {
		if err != nil {
			return 0, err
		}
		for _, raw := range batch.Entries {
			entry, err := ledger.DecodeEntry(raw)
			if err != nil {
				return 0, err
			}
			if entry.Order != nil {
				stored[entry.Order.Digest()]++
			}
		}
	}
	lost := 0
	for _, m := range d.members {
		for _, o := range m.orders[:m.accepted] {
			if stored[o.Digest()] != 1 {
				lost++
			}
		}
	}
	d.say("%d acknowledged orders looked up in the journal: %d missing or twice", d.acknowledged(), lost)
	return lost, nil
}

func (d *demo) acknowledged() (n int) {
	for _, m := range d.members {
		n += m.accepted
	}
	return n
}
