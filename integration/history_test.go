package integration

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/roast"
)

// A history is a journal in the hands of somebody who has the operator's key:
// what a guardian can be shown.
type history struct {
	t        *testing.T
	charter  ledger.Charter
	vault    *taproot.Vault
	operator *btcec.PrivateKey
	books    *ledger.State
	batches  []*ledger.Batch
}

// readHistory copies the bank's journal as far as it is.
func (c *customer) readHistory() *history {
	c.h.t.Helper()
	return c.readUntil(func(*ledger.State, *ledger.Batch) bool { return false })
}

// readUntil copies the bank's journal up to the batch before which stop says so.
func (c *customer) readUntil(stop func(*ledger.State, *ledger.Batch) bool) *history {
	c.h.t.Helper()
	vault, err := taproot.NewVault(c.bank.Policy)
	c.must(err)
	x := &history{t: c.h.t, charter: c.bank.Charter, vault: vault, operator: c.h.secret("operator.key")}
	x.books, err = ledger.NewState(x.charter)
	c.must(err)
	for b, err := range c.client.Batches(c.ctx, 1) {
		c.must(err)
		if stop(x.books, b) {
			break
		}
		x.append(b)
	}
	return x
}

// inFlight says that a settlement is in flight, for readUntil.
func inFlight(n uint32) func(*ledger.State, *ledger.Batch) bool {
	return func(s *ledger.State, _ *ledger.Batch) bool { return s.Open() != nil && s.Open().Settlement == n }
}

// has says that a batch has an entry of a kind, for readUntil, from a batch on.
func has[E ledger.Event](from uint64) func(*ledger.State, *ledger.Batch) bool {
	return func(_ *ledger.State, b *ledger.Batch) bool {
		for _, raw := range b.Entries {
			if e, err := ledger.DecodeEntry(raw); err == nil && b.Header.Number >= from {
				if _, ok := e.Event.(E); ok {
					return true
				}
			}
		}
		return false
	}
}

func (x *history) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *history) append(b *ledger.Batch) {
	x.t.Helper()
	x.must(x.books.Append(b, ledger.CheckAll))
	x.batches = append(x.batches, b)
}

// add writes entries in a batch of their own and signs it.
func (x *history) add(entries ...ledger.Entry) {
	x.t.Helper()
	var raw [][]byte
	for _, e := range entries {
		raw = append(raw, e.Bytes())
	}
	header := x.books.Next(audittest.RootOf(raw), uint32(len(raw)), 1, x.books.Last().Time+1)
	x.append(audittest.Sign(x.t, x.operator, header, raw))
}

// withdraw is a member's order, signed.
func (x *history) withdraw(c *customer, amount ledger.Amount, to string) {
	x.t.Helper()
	a, _ := x.books.Account(c.id)
	o := &ledger.Order{Bank: x.books.Bank(), Payer: c.id, Sequence: a.Sequence + 1, Previous: a.Last,
		Body: &ledger.Withdraw{Amount: amount, FeeMax: 5_000, Script: audittest.Script(to)}}
	x.must(o.Sign(c.key))
	x.add(ledger.Entry{Order: o})
}

// vaults are those of a bank that has had one key.
func (x *history) vaults() *netting.Vaults { return netting.NewVaults(x.books.Bank(), x.vault) }

// cut plans the next settlement and writes its cut.
func (x *history) cut(inputsMax int) {
	x.t.Helper()
	limits := netting.StandardLimits
	limits.InputsMax = inputsMax
	cut, err := netting.Plan(x.books, x.vaults(), 2_000, limits)
	x.must(err)
	x.add(ledger.Entry{Event: cut})
}

// flight is the settlement in flight, and what guardians are asked about it.
func (x *history) flight() (built *netting.Transaction, p guardian.Proposal, messages []roast.Message) {
	x.t.Helper()
	open := x.books.Open()
	if open == nil {
		x.t.Fatal("no settlement is in flight")
	}
	built, err := netting.Build(open, x.vaults())
	x.must(err)
	messages, err = guardian.Messages(built, 0)
	x.must(err)
	return built, guardian.Proposal{Settlement: built.Settlement, Batch: open.Batch, Tx: plainTx(x.t, built)}, messages
}

func plainTx(t testing.TB, built *netting.Transaction) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := built.Tx.SerializeNoWitness(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// handler shows the history over the bank's API.
func (x *history) handler() http.Handler {
	return api.NewHandler(api.Config{Journal: shownJournal{batches: x.batches}, Vaults: x.vaults(), Charter: x.charter,
		Councils: func() []api.Council { return nil },
		Log:      slog.New(slog.DiscardHandler)})
}

// shownJournal can do no more than guardians ask for.
type shownJournal struct {
	api.Journal
	batches []*ledger.Batch
}

func (j shownJournal) Batches(_ context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for _, b := range j.batches {
			if b.Header.Number >= from && !yield(b, nil) {
				return
			}
		}
	}
}
