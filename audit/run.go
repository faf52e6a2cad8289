package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Config is what an audit works with.
type Config struct {
	Charter ledger.Charter
	Vault   *taproot.Vault
	Journal Journal
	Chain   Chain
	// Table reads the stored account table; nil leaves out that comparison.
	Table func(context.Context) (*Table, error)
	// Scanner finds coins in the node's set of unspent outputs; nil leaves out
	// that comparison. bitcoind.Client is one.
	Scanner Scanner
	// Progress is called often, from one goroutine; nil for never.
	Progress func(Progress)
}

// Journal yields batches from a number on, up to the newest, without gaps.
type Journal interface {
	Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error]
}

// Chain is the auditor's own node. bitcoind.Client is one.
type Chain interface {
	netting.Blocks
	Height(ctx context.Context) (int32, error)
}

// Progress says how far an audit is.
type Progress struct {
	Batch  uint64
	Until  uint64 // last batch that will be replayed; 0 when it is not known
	Orders uint64
	Height uint32 // of the books
	Doing  string // replaying the journal, scanning the node's coins…
}

// Run audits a bank. A difference is no error: it is in the Report. An error is
// an *UncheckedError, or the context's.
//
// When a Table is given, the journal is replayed to the batch at which the
// table stood, so that a bank can be audited while it works.
func Run(ctx context.Context, c Config) (*Report, error) {
	a, err := newAuditor(ctx, c)
	if err != nil {
		return nil, err
	}
	whole, err := a.replayJournal(ctx)
	if err != nil {
		return nil, err
	}
	a.describeBooks()
	if err := a.checkDepth(ctx); err != nil {
		return nil, err
	}
	if !whole {
		for _, name := range []string{CheckBalances, CheckCoins, CheckScan, CheckSum} {
			a.report.skip(name, "the journal cannot be replayed beyond batch %d", a.report.Batches)
		}
		return a.report, nil
	}
	a.compareTable()
	a.compareCoins()
	if err := a.compareScan(ctx); err != nil {
		return nil, err
	}
	a.compareSums()
	return a.report, nil
}

// An auditor is one run.
type auditor struct {
	Config
	replay *Replay
	coins  *chainCoins
	table  *Table
	report *Report
}

func newAuditor(ctx context.Context, c Config) (*auditor, error) {
	replay, err := NewReplay(c.Charter, c.Vault, c.Chain)
	if err != nil {
		return nil, unchecked(err, "begin the books")
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	a := &auditor{Config: c, replay: replay, coins: newChainCoins(), report: newReport(&c.Charter)}
	if ledger.Hash(*c.Vault.Params().GenesisHash) != c.Charter.Chain {
		return nil, unchecked(ErrOtherVault, "use the vault")
	}
	if err := a.findBlock(ctx, 0, c.Charter.Chain); err != nil {
		return nil, err
	}
	if err := a.findBlock(ctx, c.Charter.BirthHeight, c.Charter.BirthHash); err != nil {
		return nil, err
	}
	if c.Table != nil {
		if a.table, err = c.Table(ctx); err != nil {
			return nil, unchecked(err, "read the stored balances")
		}
	}
	return a, nil
}

// findBlock makes sure that the node is on the charter's chain.
func (a *auditor) findBlock(ctx context.Context, height uint32, want ledger.Hash) error {
	got, err := a.Chain.BlockHash(ctx, int32(height))
	if err != nil {
		return a.nodeError(ctx, err, height)
	}
	if ledger.Hash(got) != want {
		return unchecked(ErrOtherChain, "find block %d, %s, on the node, which has %s there", height, chainhash.Hash(want), got)
	}
	return nil
}

// checkDepth makes sure that the node sees the books' last block as deep as the
// charter demands: what is not deep could still be another block tomorrow.
func (a *auditor) checkDepth(ctx context.Context) error {
	tip, err := a.Chain.Height(ctx)
	if err != nil {
		return a.nodeError(ctx, err, a.report.Height)
	}
	if need := int64(a.report.Height) + int64(a.Charter.Depth) - 1; a.report.Height > a.Charter.BirthHeight && int64(tip) < need {
		return unchecked(ErrNodeBehind, "find block %d of the books %d deep, the node is at block %d", a.report.Height, a.Charter.Depth, tip)
	}
	return nil
}

// nodeError explains why the node did not give what the books need at a height.
func (a *auditor) nodeError(ctx context.Context, err error, height uint32) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if tip, tipErr := a.Chain.Height(ctx); tipErr == nil && int64(tip) < int64(height) {
		err = fmt.Errorf("%w (it is at block %d, the books need block %d)", ErrNodeBehind, tip, height)
	}
	return unchecked(err, "read the chain")
}

// replayJournal follows the journal to its end or, with a table, to the batch
// that the table stands at. It reports false when a batch broke the replay.
func (a *auditor) replayJournal(ctx context.Context) (whole bool, err error) {
	for batch, err := range a.Journal.Batches(ctx, 1) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			return false, unchecked(err, "read the journal")
		}
		if a.table != nil && batch.Header.Number > a.table.Batch {
			break
		}
		if whole, err := a.follow(ctx, batch); err != nil || !whole {
			return false, err
		}
		a.progress("replaying the journal")
	}
	return true, nil
}

// follow checks one batch. A fact that is not so is a difference and does not
// end the replay, so that its consequences can be counted too.
func (a *auditor) follow(ctx context.Context, batch *ledger.Batch) (whole bool, err error) {
	var history *ledger.HistoryError
	facts, err := a.replay.readFacts(ctx, batch)
	switch {
	case errors.As(err, &history):
		a.broken(batch, history)
		return false, nil
	case err != nil:
		height, _ := a.replay.Books().Block()
		return false, a.nodeError(ctx, err, height+1)
	}
	var found []Difference // told after what is wrong with the batch itself
	for _, f := range facts {
		more, err := a.examine(f, batch.Header.Number)
		if err != nil {
			return false, err
		}
		found = append(found, more...)
	}
	if err := a.replay.take(batch, facts); errors.As(err, &history) {
		a.broken(batch, history)
		return false, nil
	} else if err != nil {
		return false, unchecked(err, "replay batch %d", batch.Header.Number)
	}
	a.countBatch(batch)
	for _, d := range found {
		a.report.differ(d)
	}
	return true, nil
}

// examine compares what a batch took from one block with the block.
func (a *auditor) examine(f *fact, batch uint64) (found []Difference, err error) {
	var lie *netting.FactError
	err = a.replay.checkFact(f)
	switch {
	case errors.As(err, &lie):
		found = append(found, Difference{Check: CheckChain, Batch: batch, Height: lie.Height,
			Text: fmt.Sprintf("batch %d: %v", batch, lie)})
	case err != nil:
		return nil, unchecked(err, "check block %d", f.height)
	}
	built, err := a.replay.inFlight()
	if err != nil {
		return nil, unchecked(err, "rebuild the settlement in flight")
	}
	settled := a.checkSettled(f, built, batch)
	stolen := a.coins.take(a.replay, f, built, lie == nil)
	a.report.count(CheckSpends, len(stolen.spent))
	for i := range stolen.thefts {
		stolen.thefts[i].Batch = batch
	}
	return append(append(found, settled...), stolen.thefts...), nil
}

// checkSettled compares a settlement that the books post with the transaction
// that their cut gives and with the one in the block.
func (a *auditor) checkSettled(f *fact, built *netting.Transaction, batch uint64) (found []Difference) {
	for _, e := range f.recorded {
		e, ok := e.(*ledger.Settled)
		if !ok || built == nil {
			continue
		}
		a.report.count(CheckSettlements, 1)
		if err := settledAsCut(e, built, a.replay.Books().Open(), f); err != nil {
			found = append(found, Difference{Check: CheckSettlements, Batch: batch, Height: f.height,
				Text: fmt.Sprintf("batch %d, block %d: settlement %d: %v", batch, f.height, e.Settlement, err)})
		}
	}
	return found
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

// broken records the batch that ends the replay, under the check it breaks.
func (a *auditor) broken(batch *ledger.Batch, h *ledger.HistoryError) {
	d := Difference{Check: CheckJournal, Batch: h.Batch, Text: h.Error()}
	if h.Entry >= 0 {
		d.Check, d.Entry = CheckOrders, &h.Entry
		if e, err := ledger.DecodeEntry(batch.Entries[h.Entry]); err == nil && e.Event != nil {
			d.Check = CheckChain
		}
	}
	if rekey := (*netting.RekeyError)(nil); errors.As(h, &rekey) {
		d.Check = CheckKeys
	}
	a.report.differ(d)
}

func (a *auditor) countBatch(batch *ledger.Batch) {
	r := a.report
	r.count(CheckJournal, 1)
	r.Signatures++
	for _, raw := range batch.Entries {
		entry, err := ledger.DecodeEntry(raw)
		if err != nil {
			continue // cannot be: the replay has decoded it
		}
		if entry.Order != nil {
			r.Orders++
			r.Signatures++
			r.count(CheckOrders, 1)
			continue
		}
		r.count(CheckChain, 1)
		switch entry.Kind() {
		case ledger.KindDeposit:
			r.Deposits++
		case ledger.KindSettled:
			r.Settlements++
		case ledger.KindRekey:
			r.Signatures++
			r.count(CheckKeys, 1)
		}
	}
}

// describeBooks says where the books stand.
func (a *auditor) describeBooks() {
	books := a.replay.Books()
	height, block := books.Block()
	r := a.report
	r.Batches, r.Head = books.Last().Number, books.Head()
	r.Height, r.Block = height, chainhash.Hash(block).String()
	r.Accounts = uint64(books.Accounts()) - uint64(ledger.FirstMember)
}

// compareSums adds up the wallets and compares them with the vault's account
// and with the coins.
func (a *auditor) compareSums() {
	books, r := a.replay.Books(), a.report
	for id := range ledger.AccountID(books.Accounts()) {
		if id != ledger.Vault {
			r.LedgerSat += books.Balance(id)
			r.count(CheckSum, 1)
		}
	}
	vault := -books.Balance(ledger.Vault)
	r.Equal = r.LedgerSat == r.ChainSat && r.LedgerSat == vault
	if !r.Equal {
		r.differ(Difference{Check: CheckSum, Batch: r.Batches, Height: r.Height,
			Text: fmt.Sprintf("at block %d all wallets hold %d sat, the vault's account %d sat, and the vault has %d sat on chain", r.Height, r.LedgerSat, vault, r.ChainSat)})
	} else if err := books.CheckInvariants(); err != nil {
		r.differ(Difference{Check: CheckSum, Batch: r.Batches, Text: err.Error()})
	}
}

func (a *auditor) progress(doing string) {
	books := a.replay.Books()
	p := Progress{Batch: books.Last().Number, Orders: a.report.Orders, Doing: doing}
	p.Height, _ = books.Block()
	if a.table != nil {
		p.Until = a.table.Batch
	}
	a.Progress(p)
}

var (
	_ Chain   = (*bitcoind.Client)(nil)
	_ Scanner = (*bitcoind.Client)(nil)
)
