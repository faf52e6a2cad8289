package guardian_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// challenge is what the auditor of these tests asks to be signed.
const challenge = "Ann's audit, 28 November"

// consented is a guardian whose owner has consented to the challenge.
func (w *town) consented(share *frost.Share) seated {
	w.Helper()
	g := w.guardian(w.config(share))
	g.Consent(&guardian.Consent{Text: challenge, Until: time.Now().Add(time.Hour)})
	return g
}

func (w *town) reserves() *netting.Reserves {
	w.Helper()
	r, err := netting.ReservesOf(w.Books, w.Vaults, challenge)
	w.must(err)
	return r
}

// reservesProposal is the right one, with the request for nonces that goes with it.
func (w *town) reservesProposal() (guardian.Proposal, roast.CommitRequest) {
	w.Helper()
	part := w.reserves().Parts[0]
	p := guardian.Proposal{Batch: w.Books.Last().Number, Tx: plain(part.Tx), Reserves: &guardian.Reserves{Text: challenge}}
	return p, w.requestFor(part.Tx, part.Spent, part.Signers, txscript.SigHashDefault)
}

// requestFor asks for signatures on the inputs of a transaction after the first, or on
// all of them.
func (w *town) requestFor(tx *wire.MsgTx, spent []*wire.TxOut, signers []netting.Signer, hashType txscript.SigHashType) roast.CommitRequest {
	w.Helper()
	fetcher := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		fetcher.AddPrevOut(in.PreviousOutPoint, spent[i])
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	var messages []roast.Message
	for i, s := range signers {
		at := i + len(tx.TxIn) - len(signers)
		digest, err := txscript.CalcTaprootSignatureHash(hashes, hashType, tx, at, fetcher)
		w.must(err)
		messages = append(messages, roast.Message{Digest: [32]byte(digest), Tweaks: s.Tweaks})
	}
	id, err := roast.NewRequestID(w.Group, messages)
	w.must(err)
	return roast.CommitRequest{Request: id, Messages: len(messages)}
}

// Guardians whose owners have consented sign all coins of the vault, and every script
// is satisfied, but for the output that the first input spends: it does not exist.
func TestGuardiansSignReserves(t *testing.T) {
	w := newTown(t)
	var peers []guardian.Peer
	for i, share := range w.Shares {
		if i < audittest.Threshold {
			peers = append(peers, w.consented(share))
		} else {
			peers = append(peers, w.guardian(w.config(share)))
		}
	}
	r := w.reserves()
	sigs, err := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(slog.DiscardHandler)).Reserves(t.Context(), r, w.Books.Last().Number)
	w.must(err)
	checkReserves(t, r, sigs)
	if r.Total != w.Books.Liabilities() || len(r.Parts) != 1 || len(r.Parts[0].Coins) != len(w.Books.Coins()) {
		t.Errorf("the proof has %d sat in %d parts, the vault holds %d sat", r.Total, len(r.Parts), w.Books.Liabilities())
	}
	peers[0] = w.guardian(w.config(w.Shares[0]))
	_, err = guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(slog.DiscardHandler)).Reserves(t.Context(), r, w.Books.Last().Number)
	if err == nil || !strings.Contains(err.Error(), "do not sign the proof of reserves") || !strings.Contains(err.Error(), "has consented to no proof") {
		t.Errorf("with two that consent: %v", err)
	}
}

// checkReserves asserts that the signatures satisfy the scripts of the coins.
func checkReserves(t *testing.T, r *netting.Reserves, sigs [][]frost.Signature) {
	t.Helper()
	for i := range r.Parts {
		var list []ledger.Signature
		for _, sig := range sigs[i] {
			list = append(list, ledger.Signature(sig))
		}
		tx, err := r.Parts[i].Signed(list)
		if err == nil {
			err = taproot.VerifySpend(tx, r.Parts[i].Spent)
		}
		if err != nil {
			t.Fatal(err)
		}
		// Spending anything else first, by a single bit, no signature holds.
		tx.TxIn[0].PreviousOutPoint.Hash[31] ^= 1
		if err := taproot.VerifySpend(tx, r.Parts[i].Spent); !errors.Is(err, taproot.ErrSpendInvalid) {
			t.Errorf("the signatures hold for another commitment: %v", err)
		}
	}
}

// Each generation signs its coins, after a change of guardians.
func TestReservesOfTwoGenerations(t *testing.T) {
	w := newTown(t)
	w.Mine(w.Sign(w.built))
	w.Bury()
	h := w.heirs(2, 3)
	w.takeOver(h)
	w.Mine(w.Payment(w.ToGeneration(1, taproot.Deposit, w.ann.ID.Index(), 40_000)))
	w.Bury()
	consent := &guardian.Consent{Text: challenge, Until: time.Now().Add(time.Hour)}
	var founders, heirs []guardian.Peer
	for _, share := range w.Shares {
		founders = append(founders, w.consented(share))
	}
	for _, g := range w.seated(h) {
		g.Consent(consent)
		heirs = append(heirs, g)
	}
	q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: founders}, slog.New(slog.DiscardHandler))
	q.Succeed(guardian.Council{Group: h.group, Peers: heirs})
	r := w.reserves()
	sigs, err := q.Reserves(t.Context(), r, w.Books.Last().Number)
	w.must(err)
	checkReserves(t, r, sigs)
}

// foundCoin is a node that knows a coin which no other node knows.
type foundCoin struct {
	guardian.Chain
	at wire.OutPoint
}

func (c foundCoin) UTXO(ctx context.Context, at wire.OutPoint) (*wire.TxOut, int64, error) {
	if at == c.at {
		return wire.NewTxOut(0, []byte{txscript.OP_TRUE}), 100, nil
	}
	return c.Chain.UTXO(ctx, at)
}

// A guardian gives no nonce for anything that could spend a coin of the vault, that
// its owner has not consented to, or that its own books and node do not show.
func TestGuardianRefusesReserves(t *testing.T) {
	type ask struct {
		w       *town
		g       seated
		p       guardian.Proposal
		request roast.CommitRequest
	}
	w := newTown(t)
	part := func() netting.ReservesPart { return w.reserves().Parts[0] }
	// changed proposes another transaction, and asks for signatures on it.
	changed := func(edit func(p *netting.ReservesPart)) func(*ask) {
		return func(a *ask) {
			p := part()
			edit(&p)
			a.p.Tx = plain(p.Tx)
			a.request = w.requestFor(p.Tx, p.Spent, p.Signers, txscript.SigHashDefault)
		}
	}
	hashed := func(hashType txscript.SigHashType) func(*ask) {
		return func(a *ask) {
			p := part()
			a.request = w.requestFor(p.Tx, p.Spent, p.Signers, hashType)
		}
	}
	books := func(at func(s *netting.Statement)) func(*ask) {
		return func(a *ask) {
			s := w.reserves().Statement
			at(&s)
			r, err := netting.NewReserves(s, w.Books.Coins(), w.Vaults.Output)
			w.must(err)
			a.p.Tx = plain(r.Parts[0].Tx)
			a.request = w.requestFor(r.Parts[0].Tx, r.Parts[0].Spent, r.Parts[0].Signers, txscript.SigHashDefault)
		}
	}
	const (
		unlike  = "is not the proof of reserves that the books give"
		another = "is not what this signer would sign"
	)
	for _, tt := range []struct {
		name   string
		change func(a *ask)
		want   string // of the refusal
	}{
		{"the right one", func(*ask) {}, ""},
		{"no consent", func(a *ask) { a.g.Consent(nil) }, "has consented to no proof of reserves"},
		{"consent to another message", func(a *ask) {
			a.g.Consent(&guardian.Consent{Text: challenge + ".", Until: time.Now().Add(time.Hour)})
		}, "another message"},
		{"another message than the one consented to", func(a *ask) { a.p.Reserves.Text += "." }, "another message"},
		{"consent that has ended", func(a *ask) { a.g.Consent(&guardian.Consent{Text: challenge, Until: time.Now().Add(-time.Second)}) }, "consent to a proof of reserves ended"},
		{"consent to what cannot be shown", func(a *ask) {
			a.g.Consent(&guardian.Consent{Text: "a\x1b[2J", Until: time.Now().Add(time.Hour)})
			a.p.Reserves.Text = "a\x1b[2J"
		}, "not printed"},
		{"a real coin as first input", changed(func(p *netting.ReservesPart) {
			p.Tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Hash: chainhash.Hash{1}}
		}), unlike},
		{"a coin of the vault as first input", changed(func(p *netting.ReservesPart) {
			p.Tx.TxIn, p.Spent, p.Signers = p.Tx.TxIn[1:], p.Spent[1:], p.Signers[1:]
		}), unlike},
		{"the commitment's second output", changed(func(p *netting.ReservesPart) { p.Tx.TxIn[0].PreviousOutPoint.Index = 1 }), unlike},
		{"no commitment", changed(func(p *netting.ReservesPart) { p.Tx.TxIn, p.Spent = p.Tx.TxIn[1:], p.Spent[1:] }), unlike},
		{"the commitment last", changed(func(p *netting.ReservesPart) {
			p.Tx.TxIn = append(p.Tx.TxIn[1:], p.Tx.TxIn[0])
			p.Spent = append(p.Spent[1:], p.Spent[0])
		}), unlike},
		{"the digest reversed", changed(func(p *netting.ReservesPart) {
			h := &p.Tx.TxIn[0].PreviousOutPoint.Hash
			for i := range 16 {
				h[i], h[31-i] = h[31-i], h[i]
			}
		}), unlike},
		{"a coin left out", changed(func(p *netting.ReservesPart) {
			p.Tx.TxIn, p.Spent, p.Signers = p.Tx.TxIn[:2], p.Spent[:2], p.Signers[:1]
		}), unlike},
		{"an output to somebody else", changed(func(p *netting.ReservesPart) { p.Tx.TxOut[0].PkScript = audittest.Script("mallory") }), unlike},
		{"a second output", changed(func(p *netting.ReservesPart) { p.Tx.AddTxOut(wire.NewTxOut(1, audittest.Script("mallory"))) }), unlike},
		{"a fee", changed(func(p *netting.ReservesPart) { p.Tx.TxOut[0].Value -= 1_000 }), unlike},
		{"a lock time", changed(func(p *netting.ReservesPart) { p.Tx.LockTime = 1 }), unlike},
		{"bytes behind it", func(a *ask) { a.p.Tx = append(a.p.Tx, 0) }, unlike},
		{"the message of another bank", books(func(s *netting.Statement) { s.Bank[0] ^= 1 }), unlike},
		{"as of another block", books(func(s *netting.Statement) { s.Block[0] ^= 1 }), unlike},
		{"as of an earlier height", books(func(s *netting.Statement) { s.Height-- }), unlike},
		{"SIGHASH_ALL", hashed(txscript.SigHashAll), another},
		{"SIGHASH_NONE", hashed(txscript.SigHashNone), another},
		{"ANYONECANPAY", hashed(txscript.SigHashAll | txscript.SigHashAnyOneCanPay), another},
		{"the commitment said to hold a satoshi", func(a *ask) {
			p := part()
			p.Spent[0] = wire.NewTxOut(1, []byte{txscript.OP_TRUE})
			a.request = w.requestFor(p.Tx, p.Spent, p.Signers, txscript.SigHashDefault)
		}, another},
		{"the request of the settlement in flight", func(a *ask) { a.request = w.request() }, another},
		{"a settlement and a proof of reserves", func(a *ask) { a.p.Settlement = w.built.Settlement }, "and something else"},
		{"a succession and a proof of reserves", func(a *ask) { a.p.Succession = &guardian.Succession{} }, "and something else"},
		{"a part that is none", func(a *ask) { a.p.Reserves.Part = 1 }, "no part 1"},
		{"a part below all", func(a *ask) { a.p.Reserves.Part = -1 }, "no part -1"},
		{"a generation that is none", func(a *ask) { a.p.Generation = 1 }, "no key of generation 1"},
		{"a commitment that the guardian's node has as a coin", func(a *ask) {
			config := w.config(w.Shares[0])
			config.Chain = foundCoin{w.Chain, w.reserves().Commitment()}
			config.Consent = &guardian.Consent{Text: challenge, Until: time.Now().Add(time.Hour)}
			a.g = w.guardian(config)
		}, "could be mined"},
		{"asked too often", func(a *ask) {
			for range 60 {
				if _, err := a.g.Commit(t.Context(), a.p, a.request); err != nil {
					t.Fatal(err)
				}
			}
		}, "asked for proofs of reserves 60 times"},
		// This one must stay the last: it spends what the others refer to.
		{"a coin that a settlement has spent", func(*ask) { w.Chain.Mine(w.Sign(w.built)) }, "is not there or is spent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &ask{w: w, g: w.consented(w.Shares[0])}
			a.p, a.request = w.reservesProposal()
			tt.change(a)
			nonces, err := a.g.Commit(t.Context(), a.p, a.request)
			if tt.want == "" {
				if err != nil || len(nonces) != len(w.Books.Coins()) {
					t.Errorf("%d nonces, %v", len(nonces), err)
				}
				return
			}
			if nonces != nil {
				t.Fatal("nonces were given out")
			}
			checkRefused(t, err, tt.want)
		})
	}
}

// An owner who takes the consent back stops a signature that nonces were given for.
func TestConsentIsTakenBack(t *testing.T) {
	w := newTown(t)
	r := w.reserves()
	var peers []guardian.Peer
	for _, share := range w.Shares[:audittest.Threshold] {
		g := w.consented(share)
		peers = append(peers, before{g, func() { g.Consent(nil) }})
	}
	_, err := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(slog.DiscardHandler)).Reserves(t.Context(), r, w.Books.Last().Number)
	if err == nil || !strings.Contains(err.Error(), "has consented to no proof of reserves") {
		t.Errorf("got %v", err)
	}
}

// kept is a guardian whose errors are kept.
type kept struct {
	guardian.Peer
	errs *[]error
}

func (k kept) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	answer, err := k.Peer.Sign(ctx, request)
	*k.errs = append(*k.errs, err)
	return answer, err
}

// A proof of reserves in the middle of a settlement takes no nonce from it, and leaves
// no trace in what the guardian remembers of what left the vault.
func TestReservesDoNotDisturbSettlements(t *testing.T) {
	w := newTown(t)
	path := filepath.Join(t.TempDir(), "signed.log")
	var plain, peers []guardian.Peer
	var errs [audittest.Threshold][]error
	for i, share := range w.Shares[:audittest.Threshold] {
		config := w.config(share)
		if i == 0 {
			memory, err := guardian.OpenMemory(path)
			w.must(err)
			defer memory.Close()
			config.Memory = memory
		}
		g := w.guardian(config)
		g.Consent(&guardian.Consent{Text: challenge, Until: time.Now().Add(time.Hour)})
		plain = append(plain, g)
		peers = append(peers, before{kept{g, &errs[i]}, func() {
			proposal, request := w.reservesProposal()
			if _, err := g.Commit(t.Context(), proposal, request); err != nil {
				t.Error(err)
			}
		}})
	}
	signAll := func() {
		t.Helper()
		q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(slog.DiscardHandler))
		sigs, err := q.Sign(t.Context(), w.built, w.Books.Open().Batch)
		w.checkSigned(t, sigs, err)
	}
	signAll()
	for i, list := range errs {
		for _, err := range list {
			if err != nil {
				t.Errorf("guardian %d signed at the second try only: %v", i, err)
			}
		}
	}
	remembered := func() string {
		raw, err := os.ReadFile(path)
		w.must(err)
		return string(raw)
	}
	was := remembered()
	sigs, err := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: plain}, slog.New(slog.DiscardHandler)).Reserves(t.Context(), w.reserves(), w.Books.Last().Number)
	w.must(err)
	checkReserves(t, w.reserves(), sigs)
	if now := remembered(); now != was || strings.Count(was, "\n") != 1 {
		t.Errorf("signed.log was\n%s\nand is\n%s", was, now)
	}
	signAll()
}

// Nothing that anyone can choose gives a commitment the form of a txid: what is hashed
// is longer than the 32 bytes of which a txid is the hash.
func TestCommitmentIsNoTxID(t *testing.T) {
	w := newTown(t)
	for _, text := range []string{"x", "Some Message", strings.Repeat("ä", 250)} {
		s := w.reserves().Statement
		s.Text = text
		if n := len("Proof-of-Reserves: " + s.Message()); n <= 64 {
			t.Errorf("%q: %d bytes are hashed", text, n)
		}
	}
}
