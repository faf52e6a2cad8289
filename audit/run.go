package audit

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Config is what an audit works with.
type Config struct {
	Charter ledger.Charter
	Vault   *taproot.Vault // of the founding
	Journal Journal
	Chain   Chain
	// Table reads the stored account table; nil leaves out that comparison.
	Table func(context.Context) (*Table, error)
	// Scanner finds coins in the node's set of unspent outputs; nil leaves out
	// that comparison. bitcoind.Client is one.
	Scanner Scanner
	// Heads are hashes of headers that somebody else was shown, by number.
	Heads map[uint64]ledger.Hash
	// WithoutSignatures leaves out the members' signatures. All else is checked, the
	// operator's signatures too. The report then says of orders only that they follow
	// the rules.
	WithoutSignatures bool
	// Progress is called often, from one goroutine; nil for never.
	Progress func(Progress)
}

// Journal yields batches from a number on, up to the newest, without gaps. A
// postgres.Store, an api.Client and an export.Set are journals; none is believed.
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

// Run audits a bank once. A difference is no error: it is in the Report. An error
// is an *UncheckedError, or the context's.
func Run(ctx context.Context, c Config) (*Report, error) {
	a, err := New(ctx, c)
	if err != nil {
		return nil, err
	}
	return a.Round(ctx)
}

// An Audit follows one bank. It is not safe for concurrent use.
type Audit struct {
	Config
	replay  *Replay
	coins   *chainCoins
	history History
	since   interior       // what was paid inside since the last cut
	lost    netting.Flight // settlements that were in flight while the books were on blocks that left

	last     ledger.SignedHeader // of the last batch that is proved; zero before the first
	table    *Table              // of this round
	report   *Report             // of this round
	replayed *Report             // what the replay has found so far
}

// New begins an audit: the node must be on the bank's chain. Error:
// *UncheckedError, or the context's.
func New(ctx context.Context, c Config) (*Audit, error) {
	replay, err := NewReplay(c.Charter, c.Vault, c.Chain)
	if err != nil {
		return nil, unchecked(err, "begin the books")
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	replay.lenient = true
	a := &Audit{Config: c, replay: replay, coins: newChainCoins(), replayed: newReport(&c.Charter)}
	a.report = a.replayed
	if ledger.Hash(*c.Vault.Params().GenesisHash) != c.Charter.Chain {
		return nil, unchecked(ErrOtherVault, "use the vault")
	}
	if err := a.findBlock(ctx, 0, c.Charter.Chain); err != nil {
		return nil, err
	}
	return a, a.findBlock(ctx, c.Charter.BirthHeight, c.Charter.BirthHash)
}

// Round replays what the journal has beyond the round before, and compares
// everything that stands at its end. After a Report that is not OK the Audit is of
// no further use; after an error the next Round goes on. Errors are those of Run.
//
// When a Table is given, the journal is replayed to the batch at which the
// table stood, so that a bank can be audited while it works.
func (a *Audit) Round(ctx context.Context) (*Report, error) {
	a.report, a.table = a.replayed.clone(), nil
	if a.Table != nil {
		var err error
		if a.table, err = a.Table(ctx); err != nil {
			return nil, unchecked(err, "read the stored balances")
		}
	}
	whole, err := a.replayJournal(ctx)
	if a.WithoutSignatures {
		a.report.skip(CheckOrders, "the members' signatures were left out, as was asked; the rules hold")
	}
	a.replayed = a.report.clone() // what was found stays found, whatever goes wrong now
	if err != nil {
		return nil, err
	}
	if err := a.checkDepth(ctx); err != nil {
		return nil, err
	}
	if !whole {
		for _, name := range []string{CheckBalances, CheckCoins, CheckScan, CheckSum} {
			a.report.skip(name, "the journal cannot be replayed beyond batch %d", a.report.Batches)
		}
		return a.report, nil
	}
	a.compareHeads()
	a.compareTable()
	a.compareCoins()
	if err := a.compareScan(ctx); err != nil {
		return nil, err
	}
	a.compareSums()
	return a.report, nil
}

// findBlock makes sure that the node is on the charter's chain.
func (a *Audit) findBlock(ctx context.Context, height uint32, want ledger.Hash) error {
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
func (a *Audit) checkDepth(ctx context.Context) error {
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
func (a *Audit) nodeError(ctx context.Context, err error, height uint32) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if tip, tipErr := a.Chain.Height(ctx); tipErr == nil && int64(tip) < int64(height) {
		err = fmt.Errorf("%w (it is at block %d, the books need block %d)", ErrNodeBehind, tip, height)
	}
	return unchecked(err, "read the chain")
}

// compareHeads notes the headers of others that this journal does not reach yet;
// the replay compares the rest.
func (a *Audit) compareHeads() {
	for _, number := range slices.Sorted(maps.Keys(a.Heads)) {
		if number > a.report.Batches {
			a.report.skip(CheckJournal, "not compared with the header that somebody else has of batch %d: the journal ends before it", number)
			return
		}
	}
}

// compareSums adds up the wallets and compares them with the vault's account
// and with the coins.
func (a *Audit) compareSums() {
	books, r := a.replay.Books(), a.report
	r.LedgerSat = 0
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

func (a *Audit) progress(doing string) {
	p := Progress{Batch: a.report.Batches, Orders: a.report.Orders, Height: a.report.Height, Doing: doing}
	if a.table != nil {
		p.Until = a.table.Batch
	}
	a.Progress(p)
}

var (
	_ Chain   = (*bitcoind.Client)(nil)
	_ Scanner = (*bitcoind.Client)(nil)
)
