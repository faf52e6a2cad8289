package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ahead"
	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// batchesAhead is how many batches are read and prepared before they are applied.
const batchesAhead = 8

// replayJournal follows the journal to its end or, with a table, to the batch
// that the table stands at. It reports false when a batch broke the replay.
//
// Batches are read and prepared on all cores, applied here in their order, and
// their signatures verified on all cores behind. What is found in a batch is told
// when the signatures of it and of all before it are known to be good.
func (a *Audit) replayJournal(ctx context.Context) (whole bool, err error) {
	signed := newSignatures()
	end, err := a.applyBatches(ctx, signed)
	if forged := signed.flush(); forged != nil {
		a.report.differ(a.broken(nil, forged))
		return false, nil
	}
	if err == nil && end != nil {
		a.report.differ(*end)
	}
	return err == nil && end == nil, err
}

// applyBatches returns the difference that ends the replay, nil for none. It ends
// early, too, when a signature is found to be forged.
func (a *Audit) applyBatches(ctx context.Context, signed *signatures) (*Difference, error) {
	last := a.last
	from := max(last.Number, 1)
	source := func(ctx context.Context) iter.Seq2[*ledger.Batch, error] { return a.Journal.Batches(ctx, from) }
	prepare := func(b *ledger.Batch) (*ledger.Prepared, error) { return ledger.Prepare(b), nil }
	met := last.Number == 0
	for p, err := range ahead.Map(ctx, runtime.GOMAXPROCS(0), batchesAhead, source, prepare) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, unchecked(err, "read the journal")
		}
		header := &p.Batch.Header
		if !met {
			if d := a.otherHistory(p); d != nil {
				return d, nil
			}
			met = true
			continue
		}
		if a.table != nil && header.Number > a.table.Batch {
			break
		}
		d, err := a.follow(ctx, p, signed)
		if d != nil || err != nil || signed.forged != nil {
			return d, err
		}
		a.progress("replaying the journal")
	}
	if !met {
		return &Difference{Check: CheckJournal, Batch: last.Number,
			Text: fmt.Sprintf("batch %d, whose header has the hash %s, was replayed before and is not in the journal now", last.Number, last.Hash())}, nil
	}
	return nil, nil
}

// otherHistory compares the first batch that is read again with what it was.
func (a *Audit) otherHistory(p *ledger.Prepared) *Difference {
	h := &p.Batch.Header
	d := &Difference{Check: CheckJournal, Batch: a.last.Number}
	switch err := p.Verify(a.Charter.Operator); {
	case err != nil:
		d.Batch, d.Text = h.Number, err.Error()
	case h.Number != a.last.Number:
		d.Text = fmt.Sprintf("batch %d was replayed before, the journal now goes on with batch %d", a.last.Number, h.Number)
	case h.Hash() != a.last.Hash():
		d.Headers = []string{fmt.Sprintf("%x", a.last.Bytes()), fmt.Sprintf("%x", h.Bytes())}
		d.Text = fmt.Sprintf("batch %d was shown with the header %s before and with %s now: the operator signed two histories, and both headers prove it", h.Number, a.last.Hash(), h.Hash())
	default:
		return nil
	}
	return d
}

// follow checks one batch, all but its signatures. A fact that is not so is a
// difference and does not end the replay, so that its consequences can be counted
// too; what ends it is returned.
func (a *Audit) follow(ctx context.Context, p *ledger.Prepared, signed *signatures) (*Difference, error) {
	books := a.replay.Books()
	ended := func(h *ledger.HistoryError) (*Difference, error) {
		if tampered := (*ledger.TamperedError)(nil); errors.As(p.Verify(a.Charter.Operator), &tampered) {
			h = &ledger.HistoryError{Batch: h.Batch, Entry: -1, Reason: tampered.Reason} // nothing in it is the operator's word
		}
		d := a.broken(p, h)
		return &d, nil
	}
	var history *ledger.HistoryError
	facts, err := a.replay.readFacts(ctx, p)
	if err == nil && a.lookAhead(ctx, p.Batch.Header.Number, facts) {
		facts, err = a.replay.readFacts(ctx, p)
	}
	b := &followed{audit: a, batch: p}
	if err == nil {
		err = a.followBranch(ctx, b)
	}
	switch {
	case errors.As(err, &history):
		return ended(history)
	case err != nil:
		height, _ := books.Block()
		return nil, a.nodeError(ctx, err, height+1)
	}
	for _, f := range facts {
		if err := a.examine(f, b); err != nil {
			return nil, err
		}
	}
	unverified, err := books.AppendUnverified(p)
	if errors.As(err, &history) {
		d := a.broken(p, history)
		return &d, nil
	}
	if err := a.replay.taken(p, facts); errors.As(err, &history) {
		return ended(history)
	} else if err != nil {
		return nil, unchecked(err, "replay batch %d", p.Batch.Header.Number)
	}
	b.note(books)
	items := []bip340.Item{unverified.Header()}
	if !a.WithoutSignatures {
		items = unverified.All()
	}
	signed.add(unverified, items, b.prove)
	return nil, nil
}

// lookAhead looks further on in the journal whether a block that the node does not have
// in its chain has left it.
func (a *Audit) lookAhead(ctx context.Context, from uint64, facts []*fact) bool {
	gone := slices.IndexFunc(facts, func(f *fact) bool {
		return !f.left && ledger.Hash(f.block().BlockHash()) != f.recorded[0].(*ledger.Block).Hash
	})
	if gone < 0 {
		return false
	}
	for batch, err := range a.Journal.Batches(ctx, from+1) {
		if err != nil {
			return false
		}
		if e := reorganisedIn(batch); e != nil && e.From <= facts[gone].height {
			a.replay.LeftChain(batch.Header.Number, e)
			return true
		}
	}
	return false
}

// reorganisedIn is the entry of a batch that takes the books to another branch; nil for
// none. It is the first of its batch.
func reorganisedIn(batch *ledger.Batch) *ledger.Reorganised {
	if len(batch.Entries) == 0 || len(batch.Entries[0]) < 2 || ledger.Kind(batch.Entries[0][1]) != ledger.KindReorganised {
		return nil
	}
	entry, err := ledger.DecodeEntry(batch.Entries[0])
	if err != nil {
		return nil
	}
	e, _ := entry.Event.(*ledger.Reorganised)
	return e
}

// followBranch checks a batch that takes the books to another branch, and counts the
// coins of that.
func (a *Audit) followBranch(ctx context.Context, b *followed) error {
	number := b.batch.Batch.Header.Number
	var lie *netting.FactError
	if err := a.replay.checkReorganised(ctx, b.batch); errors.As(err, &lie) {
		b.found = append(b.found, Difference{Check: CheckChain, Batch: number, Height: lie.Height, Text: err.Error()})
	} else if err != nil {
		return err
	}
	e := reorganisedIn(b.batch.Batch)
	if e == nil {
		return nil
	}
	inFlight, err := a.replay.inFlight()
	if err != nil {
		return unchecked(err, "rebuild the settlement in flight")
	}
	height, _ := a.replay.Books().Block()
	for h := e.From; h <= e.Height && e.From <= height; h++ {
		blocks, err := netting.ReadBlocks(ctx, a.Chain, &a.Charter, h)
		if err != nil {
			return a.nodeError(ctx, err, h)
		}
		stolen := a.coins.take(a.replay, &fact{height: h, blocks: blocks}, slices.Concat(a.lost, inFlight), false)
		for i := range stolen.thefts {
			stolen.thefts[i].Batch = number
		}
		b.found, b.spent = append(b.found, stolen.thefts...), b.spent+len(stolen.spent)
	}
	a.lost = nil
	return nil
}

// examine compares what a batch took from one block with the block.
func (a *Audit) examine(f *fact, b *followed) error {
	batch := b.batch.Batch.Header.Number
	var lie *netting.FactError
	err := a.replay.checkFact(f)
	switch {
	case errors.As(err, &lie):
		b.found = append(b.found, Difference{Check: CheckChain, Batch: batch, Height: lie.Height,
			Text: fmt.Sprintf("batch %d: %v", batch, lie)})
	case err != nil:
		return unchecked(err, "check block %d", f.height)
	}
	inFlight, err := a.replay.inFlight()
	if err != nil {
		return unchecked(err, "rebuild the settlement in flight")
	}
	if f.left {
		// Its coins are counted when the books go on from another branch.
		b.left++
		a.lost = append(a.lost, inFlight...)
		return nil
	}
	b.checkSettled(f, inFlight, a.replay.Books().Versions())
	stolen := a.coins.take(a.replay, f, inFlight, lie == nil)
	for i := range stolen.thefts {
		stolen.thefts[i].Batch = batch
	}
	b.found, b.spent = append(b.found, stolen.thefts...), b.spent+len(stolen.spent)
	b.blocks = append(b.blocks, BlockPoint{Height: f.height, Time: f.block().Header.Timestamp.Unix(), CoinsSat: sum(a.coins.unspent)})
	return nil
}

// followed is what is known of a batch that the books have taken, and told when
// its signatures are proved.
type followed struct {
	audit *Audit
	batch *ledger.Prepared

	found   []Difference
	left    int // blocks that have left the chain since
	spent   int // coins of the vault
	posted  int // settlements
	blocks  []BlockPoint
	settled []SettlementPoint

	head     ledger.Hash // and the other places at which the books stand
	height   uint32
	block    ledger.Hash
	accounts uint32
	owed     ledger.Amount
}

// note says where the books stand after the batch.
func (b *followed) note(books *ledger.State) {
	b.head, b.accounts, b.owed = books.Head(), books.Accounts(), books.Liabilities()
	b.height, b.block = books.Block()
}

// checkSettled compares a settlement that the books post with the transaction
// that the cut of their version gives and with the one in the block.
func (b *followed) checkSettled(f *fact, inFlight netting.Flight, versions []*ledger.OpenCut) {
	batch := b.batch.Batch.Header.Number
	for _, e := range f.recorded {
		e, ok := e.(*ledger.Settled)
		if !ok || e.Version == 0 || int(e.Version) > len(inFlight) {
			continue // the books refuse it
		}
		built, open := inFlight[e.Version-1], versions[e.Version-1]
		b.posted++
		b.settled = append(b.settled, settlementPoint(f.height, built, open))
		if err := settledAsCut(e, built, open, f); err != nil {
			b.found = append(b.found, Difference{Check: CheckSettlements, Batch: batch, Height: f.height,
				Text: fmt.Sprintf("batch %d, block %d: settlement %d: %v", batch, f.height, e.Settlement, err)})
		}
	}
}

func settledAsCut(e *ledger.Settled, built *netting.Transaction, open *ledger.OpenCut, f *fact) error {
	if chainhash.Hash(e.TxID) != built.TxID {
		return fmt.Errorf("the books post %s, their cut gives %s", chainhash.Hash(e.TxID), built.TxID)
	}
	for _, tx := range f.block().Transactions {
		if tx.TxHash() != built.TxID {
			continue
		}
		number, books, ok := netting.ReadAnchor(tx)
		if !ok || number != open.Settlement || books != open.Books.Hash() {
			return fmt.Errorf("its anchor says settlement %d, books %s; the cut is %d, %s", number, books, open.Settlement, open.Books.Hash())
		}
		return nil
	}
	return fmt.Errorf("its transaction %s is not in the block", built.TxID)
}

// prove tells what was found in the batch, now that its signatures are good.
func (b *followed) prove() {
	a, r := b.audit, b.audit.report
	header := b.batch.Batch.Header
	r.count(CheckJournal, 1)
	r.Signatures++
	r.BlocksLeft += uint64(b.left)
	r.count(CheckSpends, b.spent)
	r.count(CheckSettlements, b.posted)
	b.countEntries()
	a.history.add(b, &a.since)
	for _, d := range b.found {
		r.differ(d)
	}
	if other, ok := a.Heads[header.Number]; ok && other != b.head {
		r.differ(Difference{Check: CheckJournal, Batch: header.Number, Headers: []string{fmt.Sprintf("%x", header.Bytes())},
			Text: fmt.Sprintf("batch %d has the header %s here and was shown to somebody else with %s: two histories", header.Number, b.head, other)})
	}
	a.last = header
	r.Batches, r.Head = header.Number, b.head
	r.Height, r.Block = b.height, chainhash.Hash(b.block).String()
	r.Accounts = uint64(b.accounts) - uint64(ledger.FirstMember)
}

func (b *followed) countEntries() {
	r, since := b.audit.report, &b.audit.since
	orders, events := 0, 0
	for _, entry := range b.batch.Entries() {
		if entry.Order != nil {
			orders++
			if transfer, ok := entry.Order.Body.(*ledger.Transfer); ok {
				since.count(transfer)
			}
			continue
		}
		events++
		switch entry.Kind() {
		case ledger.KindDeposit:
			r.Deposits++
		case ledger.KindSettled:
			r.Settlements++
		case ledger.KindCut:
			since.cut(entry.Event.(*ledger.Cut).Settlement)
		case ledger.KindRekey:
			r.Signatures++
			r.count(CheckKeys, 1)
		}
	}
	r.Orders += uint64(orders)
	if !b.audit.WithoutSignatures {
		r.Signatures += uint64(orders)
	}
	r.count(CheckOrders, orders)
	r.count(CheckChain, events)
}

// broken describes the batch that ends the replay, under the check it breaks.
func (a *Audit) broken(p *ledger.Prepared, h *ledger.HistoryError) Difference {
	d := Difference{Check: CheckJournal, Batch: h.Batch, Text: h.Error()}
	if h.Entry >= 0 {
		d.Check, d.Entry = CheckOrders, &h.Entry
		if p != nil && h.Entry < len(p.Entries()) && p.Entries()[h.Entry].Event != nil {
			d.Check = CheckChain
		}
	}
	if rekey := (*netting.RekeyError)(nil); errors.As(h, &rekey) {
		d.Check = CheckKeys
	}
	return d
}
