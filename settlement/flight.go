package settlement

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// A flight is the settlement in flight as the journal and the steps tell it.
type flight struct {
	stage    Stage
	versions []*ledger.OpenCut // the newest last; none when idle
	built    netting.Flight    // the same
	steps    []postgres.Step
	last     uint32 // number of the last settlement that was cut; all before it are posted
}

func (d *Desk) inFlight(ctx context.Context) (*flight, error) {
	return d.inFlightWith(ctx, func(*ledger.State) {})
}

// inFlightWith is inFlight, with what else read takes from the books at the same
// moment: a settlement may be cut or posted at any other.
func (d *Desk) inFlightWith(ctx context.Context, read func(*ledger.State)) (*flight, error) {
	f := &flight{stage: StageIdle}
	err := d.view(ctx, func(s *ledger.State) {
		f.versions, f.last = s.Versions(), s.Settlements()
		read(s)
	})
	if err != nil {
		return nil, err
	}
	if len(f.versions) == 0 {
		return f, nil
	}
	if f.built, err = d.build(f.versions); err != nil {
		return nil, err
	}
	if f.steps, err = d.Store.Steps(ctx, f.number()); err != nil {
		return nil, err
	}
	f.stage, err = stageOf(f.steps, ledger.Hash(f.newest().TxID))
	return f, err
}

// build makes the transactions of all versions, each of them once.
func (d *Desk) build(versions []*ledger.OpenCut) (netting.Flight, error) {
	d.building.Lock()
	defer d.building.Unlock()
	if len(d.flight) > 0 && (d.flight[0].Settlement != versions[0].Settlement || len(d.flight) > len(versions)) {
		d.flight = nil
	}
	var err error
	d.flight, err = d.flight.Extend(versions, d.Vaults)
	return d.flight[:len(d.flight):len(d.flight)], err
}

func (f *flight) number() uint32 {
	if len(f.versions) == 0 {
		return 0
	}
	return f.versions[0].Settlement
}

func (f *flight) version() uint16 { return uint16(len(f.versions)) }

// open is the newest version.
func (f *flight) open() *ledger.OpenCut { return f.versions[len(f.versions)-1] }

func (f *flight) newest() *netting.Transaction { return f.built.Newest() }

// A signedTx is a version with its signatures.
type signedTx struct {
	tx     *wire.MsgTx
	height uint32 // of the chain's tip when it was signed
}

// signed are the versions that are signed, by txid, from the steps that stored them.
func (f *flight) signed() (map[chainhash.Hash]signedTx, error) {
	all := make(map[chainhash.Hash]signedTx)
	for _, s := range f.steps {
		if s.Step != stepSigned {
			continue
		}
		tx, err := decodeTx(s.Tx)
		if err != nil {
			return nil, fmt.Errorf("settlement %d: %w", f.number(), err)
		}
		all[tx.TxHash()] = signedTx{tx: tx, height: *s.Height}
	}
	return all, nil
}

// minedAs reports whether the last step says that a block at a height holds a version.
func (f *flight) minedAs(txid ledger.Hash, height uint32) bool {
	if f.stage != StageMined {
		return false
	}
	var last postgres.Step
	for _, s := range f.steps {
		if s.Step == stepMined {
			last = s
		}
	}
	return *last.TxID == txid && *last.Height == height
}

// record writes a step down; without a txid it is of the newest version.
func (d *Desk) record(ctx context.Context, f *flight, s postgres.Step) error {
	if s.TxID == nil {
		txid := ledger.Hash(f.newest().TxID)
		s.TxID = &txid
	}
	s.Settlement, s.Ordinal = f.number(), uint32(len(f.steps)+1)
	if err := d.Store.AppendStep(ctx, d.Engine.Epoch(), s); err != nil {
		return fmt.Errorf("settlement %d, step %s: %w", f.number(), s.Step, err)
	}
	return nil
}

// recordMined writes down, before the journal says the rest, which version is in a
// block, unless that is the last step already.
func (d *Desk) recordMined(ctx context.Context, f *flight, e *ledger.Settled, height uint32) error {
	if f.minedAs(e.TxID, height) {
		return nil
	}
	return d.record(ctx, f, postgres.Step{Step: stepMined, TxID: &e.TxID, Height: &height})
}
