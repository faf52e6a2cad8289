package settlement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// ErrNoReorganisation says that the books' last block is in the chain.
var ErrNoReorganisation = errors.New("the last block of the books is in the chain: there is nothing to resolve")

// NotYetError says why a reorganisation cannot be resolved now.
type NotYetError struct{ Reason string }

func (e *NotYetError) Error() string { return "not yet: " + e.Reason }

// A Resolution is how the books go on after a reorganisation deeper than the depth.
type Resolution struct {
	Event *ledger.Reorganised
	// Settled posts the version of the settlement in flight that the branch holds, deep
	// enough; nil for none.
	Settled *ledger.Settled
	// Unpaid are withdrawals that the books have posted and the chain does not hold.
	// Somebody has to decide when they can be corrected: the transaction that paid
	// them could be mined again while all its coins are there.
	Unpaid []ledger.Payout
}

// Resolve compares the books with the branch that took the place of theirs. It sends
// again what the books have settled and the branch does not hold. It changes nothing.
// Errors: ErrNoReorganisation, *NotYetError.
func (d *Desk) Resolve(ctx context.Context) (*Resolution, error) {
	d.advancing.Lock()
	defer d.advancing.Unlock()
	v, err := d.viewChain(ctx)
	if err != nil {
		return nil, err
	}
	var reorganised *ReorgError
	if err := d.checkBranch(ctx, v); err == nil {
		return nil, ErrNoReorganisation
	} else if !errors.As(err, &reorganised) {
		return nil, err
	}
	lost, err := d.lostHistory(ctx, v)
	if err != nil {
		return nil, err
	}
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return nil, err
	}
	to := int64(tip) - int64(v.charter.Depth) + 1
	if to < int64(v.height) {
		return nil, &NotYetError{fmt.Sprintf("the chain is at block %d: wait for block %d, so that what the books take from it is deep", tip, int64(v.height)+int64(v.charter.Depth)-1)}
	}
	if err := d.watch.Extend(v.accounts, v.settlements); err != nil {
		return nil, err
	}
	branch, err := d.watch.Walk(ctx, d.Chain, &v.charter, lost.from, uint32(to))
	if err != nil {
		return nil, err
	}
	f, err := d.inFlight(ctx)
	if err != nil {
		return nil, err
	}
	r := &Resolution{Event: &ledger.Reorganised{From: lost.from, Height: uint32(to), Hash: branch.Hash}, Settled: branch.Settle(f.built)}
	if err := d.settledThere(ctx, r, lost, branch); err != nil {
		return nil, err
	}
	return r, d.compareCoins(ctx, r, lost, branch)
}

// Follow records a resolution: the bank settles again.
func (d *Desk) Follow(ctx context.Context, r *Resolution) error {
	d.advancing.Lock()
	defer d.advancing.Unlock()
	events := []ledger.Event{r.Event}
	if r.Settled != nil {
		f, err := d.inFlight(ctx)
		if err != nil {
			return err
		}
		if err := d.recordMined(ctx, f, r.Settled, r.Event.Height); err != nil {
			return err
		}
		events = append(events, r.Settled)
	}
	if err := d.Engine.Record(ctx, events); err != nil {
		return fmt.Errorf("go on from block %d: %w", r.Event.Height, err)
	}
	return nil
}

// Correct gives from suspense to an account what is its, and names the entry of the
// journal that this corrects.
func (d *Desk) Correct(ctx context.Context, e *ledger.Correct) error {
	if err := d.Engine.Record(ctx, []ledger.Event{e}); err != nil {
		return fmt.Errorf("correct entry %d of batch %d: %w", e.Index, e.Batch, err)
	}
	return nil
}

// A lostHistory is what the books took from the blocks that have left the chain.
type lostHistory struct {
	from     uint32 // lowest of these blocks
	whole    bool   // what was read since stands before them
	deposits map[ledger.OutPoint]bool
	settled  []ledger.Settled
	cuts     map[uint32][]ledger.Cut // versions of those settlements
	behind   []ledger.Event          // what was read since the last block, which stands before them
}

// lostHistory reads the journal backwards to a block that is still in the chain.
func (d *Desk) lostHistory(ctx context.Context, v chainView) (*lostHistory, error) {
	l := &lostHistory{from: v.height + 1, deposits: make(map[ledger.OutPoint]bool), cuts: make(map[uint32][]ledger.Cut)}
	last, err := d.Store.LastBatch(ctx)
	if err != nil {
		return nil, err
	}
	for n := last; n > 0; n-- {
		batch, err := d.Store.Batch(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, raw := range slices.Backward(batch.Entries) {
			if ledger.Kind(raw[1]) < ledger.KindBlock {
				continue
			}
			entry, err := ledger.DecodeEntry(raw)
			if err != nil {
				return nil, err
			}
			done, err := l.take(ctx, d.Chain, entry.Event)
			if err != nil || done {
				return l, err
			}
		}
	}
	l.from = v.charter.BirthHeight + 1
	return l, nil
}

// take notes an event of the history, backwards, until nothing is missing.
func (l *lostHistory) take(ctx context.Context, chain Chain, event ledger.Event) (done bool, err error) {
	switch e := event.(type) {
	case *ledger.Block:
		return l.takeBlock(ctx, chain, e)
	case *ledger.Reorganised:
		return false, &NotYetError{"the books have followed another branch before within these blocks: a person has to compare them"}
	case *ledger.Deposit, *ledger.Settled:
		l.behind = append(l.behind, e)
	case *ledger.Cut:
		l.cuts[e.Settlement] = append(l.cuts[e.Settlement], *e)
	}
	return false, nil
}

// takeBlock notes what the books took from a block, if it has left the chain.
func (l *lostHistory) takeBlock(ctx context.Context, chain Chain, e *ledger.Block) (done bool, err error) {
	behind := l.behind
	l.behind = nil
	if !l.whole {
		hash, err := chain.BlockHash(ctx, int32(e.Height))
		if err != nil {
			return false, err
		}
		l.whole = ledger.Hash(hash) == e.Hash
	}
	if !l.whole {
		l.from = e.Height
		for _, event := range behind {
			switch e := event.(type) {
			case *ledger.Deposit:
				l.deposits[e.OutPoint] = true
			case *ledger.Settled:
				l.settled = append(l.settled, *e)
			}
		}
		return false, nil
	}
	for _, s := range l.settled {
		if cuts := l.cuts[s.Settlement]; len(cuts) == 0 || cuts[len(cuts)-1].Version != 1 {
			return false, nil // its first cut stands further back
		}
	}
	return true, nil
}

// settledThere compares what the settlements pay that the books have posted since with
// what those pay that the branch holds. One payout is as good as another of the same
// order: a version of one settlement may pay what the books let the next one pay.
func (d *Desk) settledThere(ctx context.Context, r *Resolution, l *lostHistory, b *netting.Branch) error {
	there := make(map[ledger.OrderRef]int)
	for _, posted := range l.settled {
		version, err := d.versionThere(ctx, posted, b)
		if err != nil {
			return err
		}
		for _, p := range l.cut(posted.Settlement, version).Payouts {
			there[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]++
		}
	}
	for _, posted := range slices.Backward(l.settled) { // the oldest first
		for _, p := range l.cut(posted.Settlement, posted.Version).Payouts {
			ref := ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}
			if there[ref]--; there[ref] < 0 {
				r.Unpaid = append(r.Unpaid, ledger.Payout{OrderRef: ref, FeeShare: p.FeeShare})
			}
		}
	}
	return d.paidThere(ctx, r, there)
}

// versionThere is the version of a posted settlement that the branch holds, 0 for none.
// One that it does not hold, and that a node takes, is sent again.
func (d *Desk) versionThere(ctx context.Context, posted ledger.Settled, b *netting.Branch) (uint16, error) {
	steps, err := d.Store.Steps(ctx, posted.Settlement)
	if err != nil {
		return 0, err
	}
	f := &flight{steps: steps}
	all, err := f.signed()
	if err != nil {
		return 0, err
	}
	for txid := range all {
		if _, mined := b.Txs[txid]; mined {
			return versionOf(steps, txid)
		}
	}
	txid := chainhash.Hash(posted.TxID)
	if err := d.Chain.Broadcast(ctx, all[txid].tx); err == nil {
		return 0, &NotYetError{fmt.Sprintf("settlement %d has left the chain and was sent again as %s: wait until it is deep", posted.Settlement, txid)}
	}
	return 0, nil
}

// paidThere sorts what the branch pays and the books have not posted. What waits is
// paid now. What the settlement in flight pays as well must not be paid by both.
func (d *Desk) paidThere(ctx context.Context, r *Resolution, there map[ledger.OrderRef]int) error {
	var twice *ledger.OrderRef
	err := d.view(ctx, func(s *ledger.State) {
		for _, p := range s.Held() {
			if there[p.OrderRef] > 0 {
				r.Event.Paid = append(r.Event.Paid, p.OrderRef)
			}
		}
		for _, v := range s.Versions() {
			for _, p := range v.Payouts {
				if there[p.OrderRef] > 0 {
					twice = &p.OrderRef
				}
			}
		}
	})
	if err == nil && twice != nil {
		err = &NotYetError{fmt.Sprintf("withdrawal %s is paid in the chain, and the settlement in flight pays it too: a person has to compare them", twice)}
	}
	return err
}

func (l *lostHistory) cut(settlement uint32, version uint16) *ledger.Cut {
	for i := range l.cuts[settlement] {
		if c := &l.cuts[settlement][i]; c.Version == version {
			return c
		}
	}
	return &ledger.Cut{}
}

// compareCoins finds the coins that the branch has and the books have not, and the
// other way round.
func (d *Desk) compareCoins(ctx context.Context, r *Resolution, l *lostHistory, b *netting.Branch) error {
	have := make(map[ledger.OutPoint]bool)
	err := d.view(ctx, func(s *ledger.State) {
		for _, c := range s.Coins() {
			have[c.OutPoint] = true
			if !b.Has(&c) {
				r.Event.Removed = append(r.Event.Removed, c.OutPoint)
			}
		}
	})
	if err != nil {
		return err
	}
	spent := make(map[ledger.OutPoint]bool) // by settlements that the books have posted since
	for _, posted := range l.settled {
		for _, in := range l.cut(posted.Settlement, posted.Version).Inputs {
			spent[in] = true
		}
	}
	for at, coin := range b.Found {
		if !have[at] {
			r.Event.Added = append(r.Event.Added, ledger.Added{OutPoint: at, Amount: coin.Amount, Generation: coin.Generation,
				Branch: coin.Branch, Index: coin.Index, Deposit: coin.Branch == ledger.BranchDeposit && !spent[at] && !l.deposits[at]})
		}
		delete(spent, at)
	}
	for at := range spent {
		if _, again := b.Spent[at]; !again && !l.deposits[at] {
			if err := d.unspent(ctx, r, at); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(r.Event.Added, func(a, b ledger.Added) int { return slices.Compare(a.OutPoint.TxID[:], b.OutPoint.TxID[:]) })
	return nil
}

// unspent adds a coin that a posted settlement has spent and the branch has not.
func (d *Desk) unspent(ctx context.Context, r *Resolution, at ledger.OutPoint) error {
	out, _, err := d.Chain.UTXO(ctx, wire.OutPoint{Hash: chainhash.Hash(at.TxID), Index: at.Vout})
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	a, ok := d.watch.Place(out.PkScript)
	if !ok {
		return fmt.Errorf("coin %s is not at an address of the vault", at)
	}
	a.OutPoint, a.Amount = at, ledger.Amount(out.Value)
	r.Event.Added = append(r.Event.Added, a)
	return nil
}

// versionOf is the version of a settlement that has a txid.
func versionOf(steps []postgres.Step, txid chainhash.Hash) (uint16, error) {
	for _, s := range steps {
		if s.Step != stepSigned || *s.TxID != ledger.Hash(txid) {
			continue
		}
		var sum summary
		if err := json.Unmarshal([]byte(s.Detail), &sum); err != nil {
			return 0, err
		}
		return sum.Version, nil
	}
	return 0, fmt.Errorf("no version is %s", txid)
}
