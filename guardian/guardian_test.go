package guardian_test

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// town is a bank with a settlement in flight, and its five guardians.
type town struct {
	*audittest.Bank
	ann       *audittest.Member
	built     *netting.Transaction
	guardians []*guardian.Guardian
}

var limits = guardian.Limits{FeeRateMax: 10_000, FeeMax: 10_000, PaidMax: 1e8, PaidDayMax: 1e8}

func newTown(t *testing.T) *town {
	t.Helper()
	b := audittest.New(t)
	w := &town{Bank: b, ann: b.Open("ann")}
	b.Deposit(ledger.Treasury, 50_000)
	b.Deposit(w.ann.ID, 400_000, 500_000)
	b.Withdraw(w.ann, 100_000, 1_000, audittest.Script("ann outside"))
	w.built = b.Cut(2_000)
	for _, share := range b.Shares {
		w.guardians = append(w.guardians, w.guardian(share, b.Journal, limits))
	}
	return w
}

func (w *town) guardian(share *frost.Share, journal guardian.Journal, limits guardian.Limits) *guardian.Guardian {
	w.Helper()
	g, err := guardian.New(guardian.Config{Share: share, Group: w.Group, Vault: w.Vault, Charter: w.Charter,
		Journal: journal, Chain: w.Chain, Limits: limits})
	if err != nil {
		w.Fatal(err)
	}
	return g
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

func (w *town) signers() (list []guardian.Signer) {
	for _, g := range w.guardians {
		list = append(list, g)
	}
	return list
}

func (w *town) quorum(signers []guardian.Signer) *guardian.Quorum {
	return guardian.NewQuorum(w.Group, signers, slog.New(slog.DiscardHandler))
}

// checkSigned asserts that the signatures spend the vault's coins.
func (w *town) checkSigned(t *testing.T, sigs [][]byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := taproot.AttachSignatures(w.built.Tx, sigs)
	if err != nil {
		t.Fatal(err)
	}
	if err := taproot.VerifySpend(signed, w.built.Spent); err != nil {
		t.Fatal(err)
	}
}

func TestGuardiansSignASettlement(t *testing.T) {
	w := newTown(t)
	sigs, err := w.quorum(w.signers()).Sign(t.Context(), w.built, w.Books.Open().Batch)
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
	sigs, err = w.quorum(w.signers()).Sign(t.Context(), w.built, w.Books.Open().Batch)
	w.checkSigned(t, sigs, err)
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
	w := newTown(t)
	g := w.guardians[2]
	for _, tt := range []struct {
		name   string
		change func(w *town, p *guardian.Proposal)
		is     error // nil: a *RefusalError
	}{
		{"changed output", edit(func(tx *wire.MsgTx) { tx.TxOut[1].PkScript = audittest.Script("mallory") }), nil},
		{"changed amount", edit(func(tx *wire.MsgTx) { tx.TxOut[1].Value++ }), nil},
		{"higher fee", edit(func(tx *wire.MsgTx) { tx.TxOut[len(tx.TxOut)-1].Value -= 1_000 }), nil},
		{"extra output", edit(func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(1, audittest.Script("mallory"))) }), nil},
		{"missing output", edit(func(tx *wire.MsgTx) { tx.TxOut = tx.TxOut[1:] }), nil},
		{"missing input", edit(func(tx *wire.MsgTx) { tx.TxIn = tx.TxIn[1:] }), nil},
		{"extra input", edit(func(tx *wire.MsgTx) { tx.AddTxIn(&wire.TxIn{}) }), nil},
		{"final sequence", edit(func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum }), nil},
		{"lock time", edit(func(tx *wire.MsgTx) { tx.LockTime = 1 }), nil},
		{"no transaction", func(_ *town, p *guardian.Proposal) { p.Tx = nil }, nil},
		{"bytes behind it", func(_ *town, p *guardian.Proposal) { p.Tx = append(p.Tx, 0) }, nil},
		{"another settlement's number", func(_ *town, p *guardian.Proposal) { p.Settlement++ }, nil},
		{"another batch", func(_ *town, p *guardian.Proposal) { p.Batch-- }, nil},
		{"a cut that is not in the journal", func(_ *town, p *guardian.Proposal) { p.Batch++ }, guardian.ErrNotThere},
		// This one must stay the last: it ends what the others refer to.
		{"a settlement that is posted", func(w *town, p *guardian.Proposal) { w.Mine(w.Sign(w.built)); w.Bury() }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := w.proposal()
			tt.change(w, &p)
			nonces, err := g.Commit(t.Context(), p)
			var refusal *guardian.RefusalError
			switch {
			case nonces != nil:
				t.Fatal("nonces were given out")
			case tt.is != nil:
				if !errors.Is(err, tt.is) {
					t.Fatalf("got %v, want %v", err, tt.is)
				}
			case !errors.As(err, &refusal) || refusal.ID != g.ID() || refusal.Settlement != p.Settlement:
				t.Fatalf("got %v, want a refusal", err)
			}
			if w.Books.Open() == nil {
				return
			}
			if nonces, err := g.Commit(t.Context(), w.proposal()); err != nil || len(nonces) != len(w.built.Tx.TxIn) {
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
		signs  bool
	}{
		{"at all limits", guardian.Limits{FeeRateMax: 2_000, FeeMax: w.built.FeeSat, PaidMax: paid, PaidDayMax: paid}, true},
		{"fee rate above its limit", guardian.Limits{FeeRateMax: 1_999, FeeMax: 1_000_000, PaidMax: 1e8, PaidDayMax: 1e8}, false},
		{"fee above its limit", guardian.Limits{FeeRateMax: 1_000_000, FeeMax: w.built.FeeSat - 1, PaidMax: 1e8, PaidDayMax: 1e8}, false},
		{"more than one settlement may take", guardian.Limits{FeeRateMax: 2_000, FeeMax: 1e6, PaidMax: paid - 1, PaidDayMax: 1e8}, false},
		{"more than a day may take", guardian.Limits{FeeRateMax: 2_000, FeeMax: 1e6, PaidMax: 1e8, PaidDayMax: paid - 1}, false},
		{"no limits given", guardian.Limits{}, false},
	} {
		_, err := w.guardian(w.Shares[0], w.Journal, tt.limits).Commit(t.Context(), w.proposal())
		var refusal *guardian.RefusalError
		if tt.signs != (err == nil) || !tt.signs && !errors.As(err, &refusal) {
			t.Errorf("%s: %v", tt.name, err)
		}
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
		{"bad operator signature", func(_ *town, j *audittest.Journal) { (*j)[2].Header.Signature[5] ^= 1 }},
		{"header of another key", func(w *town, j *audittest.Journal) {
			b := (*j)[1]
			*b = *audittest.Sign(w, audittest.Key("mallory"), b.Header.Header, b.Entries)
		}},
		{"broken chain", func(_ *town, j *audittest.Journal) { *j = append((*j)[:2], (*j)[3:]...) }},
		{"changed entry", func(_ *town, j *audittest.Journal) { (*j)[0].Entries[0][60] ^= 1 }},
		{"missing entry", func(_ *town, j *audittest.Journal) { (*j)[1].Entries = (*j)[1].Entries[1:] }},
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
			g := w.guardian(w.Shares[0], journal, limits)
			err := g.Sync(t.Context())
			var halted *guardian.HaltError
			var history *ledger.HistoryError
			if !errors.As(err, &halted) || !errors.As(err, &history) || halted.ID != g.ID() {
				t.Fatalf("got %v, want a halt because of the history", err)
			}
			*journal = *w.Journal
			if err := g.Sync(t.Context()); !errors.As(err, &halted) {
				t.Errorf("it goes on: %v", err)
			}
			if _, err := g.Commit(t.Context(), w.proposal()); !errors.As(err, &halted) {
				t.Errorf("it gives nonces: %v", err)
			}
			if _, err := g.Sign(t.Context(), 1, nil, nil); !errors.As(err, &halted) {
				t.Errorf("it signs: %v", err)
			}
		})
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
				nonces, err := g.Commit(t.Context(), w.proposal())
				var halted *guardian.HaltError
				if nonces != nil || !tt.check(err) || errors.As(err, &halted) {
					t.Fatalf("%d nonces and %v", len(nonces), err)
				}
			}
			mend()
			if _, err := g.Commit(t.Context(), w.proposal()); err != nil {
				t.Fatalf("the node is back: %v", err)
			}
		})
	}
}

// What the operator says of the chain and the guardian's node does not show is
// never signed on, and an honest node that agrees later would mend it.
func TestGuardianDoesNotBelieveTheOperator(t *testing.T) {
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
	sigs, err := w.quorum(w.signers()).Sign(t.Context(), w.built, w.Books.Open().Batch)
	var failed *guardian.QuorumError
	if sigs != nil || !errors.As(err, &failed) || len(failed.Refused) != audittest.Guardians {
		t.Fatalf("%d signatures, %v", len(sigs), err)
	}
	for id, err := range failed.Refused {
		var fact *netting.FactError
		if !errors.As(err, &fact) {
			t.Errorf("guardian %d: %v", id, err)
		}
	}
}

// round is what a coordinator makes of the first t guardians' nonces.
func (w *town) round() (ids []frost.ID, aggregates []frost.AggregateNonce) {
	w.Helper()
	byInput := make([]map[frost.ID]frost.PublicNonce, len(w.built.Tx.TxIn))
	for i := range byInput {
		byInput[i] = make(map[frost.ID]frost.PublicNonce)
	}
	for _, g := range w.guardians[:audittest.Threshold] {
		nonces, err := g.Commit(w.Context(), w.proposal())
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, g.ID())
		for i, n := range nonces {
			byInput[i][g.ID()] = n
		}
	}
	for _, nonces := range byInput {
		agg, err := frost.NonceAgg(nonces)
		if err != nil {
			w.Fatal(err)
		}
		aggregates = append(aggregates, agg)
	}
	return ids, aggregates
}

// No nonce serves two signatures, whatever a coordinator asks for.
func TestNoncesAreUsedOnce(t *testing.T) {
	refused := func(t *testing.T, parts []frost.PartialSignature, err error) {
		t.Helper()
		var refusal *guardian.RefusalError
		if parts != nil || !errors.As(err, &refusal) {
			t.Errorf("%d signatures, %v; want a refusal", len(parts), err)
		}
	}
	t.Run("without round one", func(t *testing.T) {
		w := newTown(t)
		parts, err := w.guardians[0].Sign(t.Context(), 1, []frost.ID{0, 1, 2}, make([]frost.AggregateNonce, 3))
		refused(t, parts, err)
	})
	t.Run("twice", func(t *testing.T) {
		w := newTown(t)
		ids, aggregates := w.round()
		if parts, err := w.guardians[0].Sign(t.Context(), 1, ids, aggregates); err != nil || len(parts) != len(aggregates) {
			t.Fatalf("%d signatures, %v", len(parts), err)
		}
		parts, err := w.guardians[0].Sign(t.Context(), 1, ids, aggregates)
		refused(t, parts, err)
	})
	t.Run("after a wrong number of nonces", func(t *testing.T) {
		w := newTown(t)
		ids, aggregates := w.round()
		parts, err := w.guardians[0].Sign(t.Context(), 1, ids, aggregates[1:])
		refused(t, parts, err)
		parts, err = w.guardians[0].Sign(t.Context(), 1, ids, aggregates)
		refused(t, parts, err)
	})
	t.Run("after an impossible session", func(t *testing.T) {
		w := newTown(t)
		ids, aggregates := w.round()
		if parts, err := w.guardians[0].Sign(t.Context(), 1, []frost.ID{1, 2, 3}, aggregates); err == nil {
			t.Errorf("it signs %d inputs in a round that it is not in", len(parts))
		}
		parts, err := w.guardians[0].Sign(t.Context(), 1, ids, aggregates)
		refused(t, parts, err)
	})
	t.Run("fresh in every round", func(t *testing.T) {
		w := newTown(t)
		g := w.guardians[0]
		seen := make(map[frost.PublicNonce]bool)
		for range 3 {
			nonces, err := g.Commit(t.Context(), w.proposal())
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nonces {
				if seen[n] {
					t.Error("a nonce was given out twice")
				}
				seen[n] = true
			}
		}
	})
}

// A node, members and several coordinators talk to one guardian at once; run
// with -race. Each coordinator either gets a whole signature or is told.
func TestConcurrentUse(t *testing.T) {
	w := newTown(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, g := range w.guardians {
				if err := g.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				g.Head()
				g.ID()
			}
		})
		wg.Go(func() {
			sigs, err := w.quorum(w.signers()).Sign(t.Context(), w.built, w.Books.Open().Batch)
			var failed *guardian.QuorumError
			if err == nil && len(sigs) == len(w.built.Tx.TxIn) {
				return
			}
			if !errors.As(err, &failed) {
				t.Errorf("%d signatures, %v", len(sigs), err)
			}
		})
	}
	wg.Wait()
	sigs, err := w.quorum(w.signers()).Sign(t.Context(), w.built, w.Books.Open().Batch)
	w.checkSigned(t, sigs, err)
}
