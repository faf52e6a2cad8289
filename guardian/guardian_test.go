package guardian_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// town is a bank with a settlement in flight, and its five guardians.
type town struct {
	*audittest.Bank
	ann       *audittest.Member
	built     *netting.Transaction
	guardians []seated
}

// seated is a guardian of the founding, under its number.
type seated struct {
	*guardian.Guardian
	id frost.ID
}

func (s seated) ID() frost.ID { return s.id }

var limits = guardian.Limits{FeeRateMax: 10_000, FeeMax: 10_000, PaidMax: 1e8, PaidDayMax: 1e8}

func newTown(t *testing.T) *town {
	t.Helper()
	b := audittest.New(t)
	w := &town{Bank: b, ann: b.Open("ann")}
	b.Deposit(ledger.Treasury, 50_000)
	b.Deposit(w.ann.ID, 400_000, 500_000)
	b.Withdraw(w.ann, 100_000, 1_000, audittest.Script("ann outside"))
	w.built = b.Cut(2_000)
	w.seat()
	return w
}

// config is what the guardian of a share knows.
func (w *town) config(share *frost.Share) guardian.Config {
	return guardian.Config{Keys: []guardian.Key{{Share: share, Group: w.Group}}, Vault: w.Vault, Charter: w.Charter,
		Journal: w.Journal, Chain: w.Chain, Limits: limits}
}

func (w *town) guardian(config guardian.Config) seated {
	w.Helper()
	g, err := guardian.New(config)
	if err != nil {
		w.Fatal(err)
	}
	return seated{g, config.Keys[0].Share.ID()}
}

// seat puts new guardians, with empty books, in the place of all others.
func (w *town) seat() {
	w.Helper()
	w.guardians = nil
	for _, share := range w.Shares {
		w.guardians = append(w.guardians, w.guardian(w.config(share)))
	}
}

// proposal is the right one.
func (w *town) proposal() guardian.Proposal {
	return guardian.Proposal{Settlement: w.built.Settlement, Batch: w.Books.Open().Batch, Tx: plain(w.built.Tx)}
}

func plain(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	_ = tx.SerializeNoWitness(&b) // a bytes.Buffer does not fail
	return b.Bytes()
}

// request is the right one.
func (w *town) request() roast.CommitRequest {
	w.Helper()
	messages, err := guardian.Messages(w.built, 0)
	if err != nil {
		w.Fatal(err)
	}
	id, err := roast.NewRequestID(w.Group, messages)
	if err != nil {
		w.Fatal(err)
	}
	return roast.CommitRequest{Request: id, Messages: len(messages)}
}

func (w *town) peers() (list []guardian.Peer) {
	for _, g := range w.guardians {
		list = append(list, g)
	}
	return list
}

// sign asks these peers for the settlement in flight.
func (w *town) sign(ctx context.Context, log slog.Handler, peers []guardian.Peer) ([][]byte, error) {
	return guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(log)).Sign(ctx, w.built, w.Books.Open().Batch)
}

// checkSigned asserts that the signatures spend the vault's coins.
func (w *town) checkSigned(t *testing.T, sigs [][]byte, err error) {
	t.Helper()
	if err == nil {
		err = w.verify(sigs)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *town) verify(sigs [][]byte) error {
	signed, err := taproot.AttachSignatures(w.built.Tx, sigs)
	if err != nil {
		return err
	}
	return taproot.VerifySpend(signed, w.built.Spent)
}

func TestGuardiansSignASettlement(t *testing.T) {
	w := newTown(t)
	sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
	w.checkSigned(t, sigs, err)
	for _, g := range w.guardians[:audittest.Threshold] {
		if batch, head := g.Head(); batch != w.Books.Last().Number || head != w.Books.Head() {
			t.Errorf("guardian %d is at batch %d", g.ID(), batch)
		}
	}
	// And the next one, after the first is posted.
	w.Mine(w.Sign(w.built))
	w.Bury()
	w.Withdraw(w.ann, 50_000, 1_000, audittest.Script("ann outside"))
	w.built = w.Cut(3_000)
	sigs, err = w.sign(t.Context(), slog.DiscardHandler, w.peers())
	w.checkSigned(t, sigs, err)
}

// checkRefused asserts that the guardian will not sign, for a reason.
func checkRefused(t *testing.T, err error, want string) {
	t.Helper()
	var refusal *roast.RefusalError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, want) {
		t.Errorf("got %v, want it refused: %q", err, want)
	}
}

// A guardian signs what it has built and nothing else; a refusal changes nothing.
func TestGuardianRefuses(t *testing.T) {
	edit := func(change func(tx *wire.MsgTx)) func(*town, *guardian.Proposal) {
		return func(w *town, p *guardian.Proposal) {
			tx := w.built.Tx.Copy()
			change(tx)
			p.Tx = plain(tx)
		}
	}
	const (
		unlike = "is not the one that the books give"
		noCut  = "no such cut in flight"
	)
	w := newTown(t)
	g := w.guardians[2]
	for _, tt := range []struct {
		name   string
		change func(w *town, p *guardian.Proposal)
		want   string // of the refusal; "" where the cut is not there
	}{
		{"changed output", edit(func(tx *wire.MsgTx) { tx.TxOut[1].PkScript = audittest.Script("mallory") }), unlike},
		{"changed amount", edit(func(tx *wire.MsgTx) { tx.TxOut[1].Value++ }), unlike},
		{"higher fee", edit(func(tx *wire.MsgTx) { tx.TxOut[len(tx.TxOut)-1].Value -= 1_000 }), unlike},
		{"extra output", edit(func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(1, audittest.Script("mallory"))) }), unlike},
		{"missing output", edit(func(tx *wire.MsgTx) { tx.TxOut = tx.TxOut[1:] }), unlike},
		{"missing input", edit(func(tx *wire.MsgTx) { tx.TxIn = tx.TxIn[1:] }), unlike},
		{"extra input", edit(func(tx *wire.MsgTx) { tx.AddTxIn(&wire.TxIn{}) }), unlike},
		{"final sequence", edit(func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum }), unlike},
		{"lock time", edit(func(tx *wire.MsgTx) { tx.LockTime = 1 }), unlike},
		{"no transaction", func(_ *town, p *guardian.Proposal) { p.Tx = nil }, unlike},
		{"bytes behind it", func(_ *town, p *guardian.Proposal) { p.Tx = append(p.Tx, 0) }, unlike},
		{"another settlement's number", func(_ *town, p *guardian.Proposal) { p.Settlement++ }, noCut},
		{"another batch", func(_ *town, p *guardian.Proposal) { p.Batch-- }, noCut},
		{"a cut that is not in the journal", func(_ *town, p *guardian.Proposal) { p.Batch++ }, ""},
		// This one must stay the last: it ends what the others refer to.
		{"a settlement that is posted", func(w *town, p *guardian.Proposal) { w.Mine(w.Sign(w.built)); w.Bury() }, noCut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := w.proposal()
			tt.change(w, &p)
			nonces, err := g.Commit(t.Context(), p, w.request())
			switch {
			case nonces != nil:
				t.Fatal("nonces were given out")
			case tt.want != "":
				checkRefused(t, err, tt.want)
			case !errors.Is(err, guardian.ErrNotThere):
				t.Fatalf("got %v, want %v", err, guardian.ErrNotThere)
			}
			if w.Books.Open() == nil {
				return
			}
			if nonces, err := g.Commit(t.Context(), w.proposal(), w.request()); err != nil || len(nonces) != len(w.built.Tx.TxIn) {
				t.Errorf("after it the right proposal gets %d nonces, %v", len(nonces), err)
			}
		})
	}
}

func TestGuardianKeepsItsLimits(t *testing.T) {
	w := newTown(t)
	paid := w.built.FeeSat
	for _, p := range w.Books.Open().Payouts {
		paid += int64(p.Amount)
	}
	for _, tt := range []struct {
		name   string
		limits guardian.Limits
		want   string // of the refusal; "" when it signs
	}{
		{"at all limits", guardian.Limits{FeeRateMax: 2_000, FeeMax: w.built.FeeSat, PaidMax: paid, PaidDayMax: paid}, ""},
		{"fee rate above its limit", guardian.Limits{FeeRateMax: 1_999, FeeMax: 1_000_000, PaidMax: 1e8, PaidDayMax: 1e8}, "its fee rate of 2000 sat"},
		{"fee above its limit", guardian.Limits{FeeRateMax: 1_000_000, FeeMax: w.built.FeeSat - 1, PaidMax: 1e8, PaidDayMax: 1e8}, "its fee of"},
		{"more than one settlement may take", guardian.Limits{FeeRateMax: 2_000, FeeMax: 1e6, PaidMax: paid - 1, PaidDayMax: 1e8}, "one settlement may take"},
		{"more than a day may take", guardian.Limits{FeeRateMax: 2_000, FeeMax: 1e6, PaidMax: 1e8, PaidDayMax: paid - 1}, "a day may take"},
		{"no limits given", guardian.Limits{}, "above the limit of 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := w.config(w.Shares[0])
			config.Limits = tt.limits
			nonces, err := w.guardian(config).Commit(t.Context(), w.proposal(), w.request())
			switch {
			case tt.want != "":
				checkRefused(t, err, tt.want)
			case err != nil || len(nonces) != len(w.built.Tx.TxIn):
				t.Errorf("%d nonces, %v", len(nonces), err)
			}
		})
	}
}

// A journal that contradicts itself ends a guardian's signing for good, also
// when it is shown the right one afterwards.
func TestGuardianHalts(t *testing.T) {
	w := newTown(t)
	for _, tt := range []struct {
		name   string
		tamper func(w *town, j *audittest.Journal)
	}{
		{"forged order under the operator's signature", func(w *town, j *audittest.Journal) {
			*j = (*j)[:len(*j)-1] // the batch before the cut is ann's withdrawal
			w.Reseal(j, func(e [][]byte) [][]byte {
				o, err := ledger.DecodeOrder(e[0])
				if err != nil {
					w.Fatal(err)
				}
				o.Sign(audittest.Key("mallory"))
				return [][]byte{o.Bytes()}
			})
		}},
		{"a second payment with one sequence number", func(w *town, j *audittest.Journal) {
			*j = (*j)[:len(*j)-1]
			w.Reseal(j, func(e [][]byte) [][]byte { return append(e, e[0]) })
		}},
		{"a cut that takes what nobody withdrew", func(w *town, j *audittest.Journal) {
			w.Reseal(j, func(e [][]byte) [][]byte {
				entry, err := ledger.DecodeEntry(e[0])
				if err != nil {
					w.Fatal(err)
				}
				cut := entry.Event.(*ledger.Cut)
				cut.Payouts[0].Sequence++
				return [][]byte{ledger.Entry{Event: cut}.Bytes()}
			})
		}},
		{"a deposit without its block", func(w *town, j *audittest.Journal) {
			*j = (*j)[:len(*j)-1]
			w.Reseal(j, func(e [][]byte) [][]byte {
				return append(e, ledger.Entry{Event: &ledger.Deposit{Amount: 1}}.Bytes())
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			journal := w.Journal.Clone()
			tt.tamper(w, journal)
			config := w.config(w.Shares[0])
			config.Journal = journal
			g := w.guardian(config)
			err := g.Sync(t.Context())
			var halted *guardian.HaltError
			var history *ledger.HistoryError
			if !errors.As(err, &halted) || !errors.As(err, &history) {
				t.Fatalf("got %v, want a halt because of the history", err)
			}
			*journal = *w.Journal
			if err := g.Sync(t.Context()); !errors.As(err, &halted) {
				t.Errorf("it goes on: %v", err)
			}
			if _, err := g.Commit(t.Context(), w.proposal(), w.request()); !errors.As(err, &halted) {
				t.Errorf("it gives nonces: %v", err)
			}
			if _, err := g.Sign(t.Context(), roast.SignRequest{}); !errors.As(err, &halted) {
				t.Errorf("it signs: %v", err)
			}
		})
	}
}

// What the operator did not sign says nothing of the operator: whoever stands
// between can send it. The guardian takes none of it, and goes on with the truth.
func TestGuardianBelievesOnlyTheOperatorsWord(t *testing.T) {
	w := newTown(t)
	for _, tt := range []struct {
		name   string
		tamper func(j *audittest.Journal)
	}{
		{"bad operator signature", func(j *audittest.Journal) { (*j)[2].Header.Signature[5] ^= 1 }},
		{"header of another key", func(j *audittest.Journal) {
			b := (*j)[1]
			*b = *audittest.Sign(w, audittest.Key("mallory"), b.Header.Header, b.Entries)
		}},
		{"a batch left out", func(j *audittest.Journal) { *j = append((*j)[:2], (*j)[3:]...) }},
		{"an old batch again", func(j *audittest.Journal) { (*j)[2] = &ledger.Batch{Header: (*j)[1].Header, Entries: (*j)[1].Entries} }},
		{"changed entry", func(j *audittest.Journal) { (*j)[0].Entries[0][60] ^= 1 }},
		{"missing entry", func(j *audittest.Journal) { (*j)[1].Entries = (*j)[1].Entries[1:] }},
		{"an entry more", func(j *audittest.Journal) { (*j)[1].Entries = append((*j)[1].Entries, []byte{1}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			journal := w.Journal.Clone()
			tt.tamper(journal)
			config := w.config(w.Shares[0])
			config.Journal = all{journal}
			g := w.guardian(config)
			err := g.Sync(t.Context())
			if tampered := (*ledger.TamperedError)(nil); !errors.As(err, &tampered) || g.Halted() != nil {
				t.Fatalf("got %v, halted %v; want to wait for the operator's word", err, g.Halted())
			}
			*journal = *w.Journal
			if _, err := g.Commit(t.Context(), w.proposal(), w.request()); err != nil {
				t.Errorf("shown the truth it says %v", err)
			}
		})
	}
}

// all is a journal that shows every batch from a place on, whatever its number.
type all struct{ *audittest.Journal }

func (j all) Batches(_ context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for _, b := range (*j.Journal)[from-1:] {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// A node that is away, or on a branch that loses, is waited for.
func TestGuardianWaitsForItsNode(t *testing.T) {
	away := errors.New("the node is away")
	for _, tt := range []struct {
		name  string
		part  func(w *town) (mend func())
		check func(err error) bool
	}{
		{"node away", func(w *town) func() {
			w.Chain.Away(away)
			return func() { w.Chain.Away(nil) }
		}, func(err error) bool { return errors.Is(err, away) }},
		{"node behind", func(w *town) func() {
			dropped := w.Chain.Drop(3)
			return func() { w.Chain.Restore(dropped) }
		}, func(err error) bool { return err != nil }},
		{"node on another branch", func(w *town) func() {
			dropped := w.Chain.Drop(3)
			for range 4 {
				w.Chain.Mine()
			}
			return func() { w.Chain.Restore(dropped) }
		}, func(err error) bool {
			var fact *netting.FactError
			return errors.As(err, &fact)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			mend := tt.part(w)
			g := w.guardians[0]
			for range 2 {
				nonces, err := g.Commit(t.Context(), w.proposal(), w.request())
				var halted *guardian.HaltError
				if nonces != nil || !tt.check(err) || errors.As(err, &halted) {
					t.Fatalf("%d nonces and %v", len(nonces), err)
				}
			}
			mend()
			if _, err := g.Commit(t.Context(), w.proposal(), w.request()); err != nil {
				t.Fatalf("the node is back: %v", err)
			}
		})
	}
}

// What the operator says of the chain and the guardian's node does not show is
// never signed on, and an honest node that agrees later would mend it.
func TestGuardianDoesNotBelieveTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // they are asked again, after a while
		w := newTown(t)
		w.Mine(w.Sign(w.built))
		w.Report = func(honest []ledger.Event) []ledger.Event {
			d := &ledger.Deposit{OutPoint: ledger.OutPoint{Vout: 3}, Amount: 900_000, Index: w.ann.ID.Index(), TxIndex: 9}
			d.Height = honest[0].(*ledger.Block).Height
			return append(honest, d)
		}
		w.Bury()
		w.Withdraw(w.ann, 900_000, 1_000, audittest.Script("ann outside"))
		w.built = w.Cut(2_000)
		sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
		var failed *roast.NoQuorumError
		if sigs != nil || !errors.As(err, &failed) || len(failed.Failed) != audittest.Guardians {
			t.Fatalf("%d signatures, %v", len(sigs), err)
		}
		for id, err := range failed.Failed {
			var fact *netting.FactError
			if !errors.As(err, &fact) {
				t.Errorf("guardian %d: %v", id, err)
			}
		}
	})
}
