package integration

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// connect starts a guardian's process where somebody else than the bank is its
// coordinator, or shows it the journal.
func (h *house) connect(i int, coordinator, bank string, flags ...string) {
	h.t.Helper()
	defer func(address, url string) { h.address, h.url = address, url }(h.address, h.url)
	h.address, h.url = coordinator, bank
	h.guardians[i] = h.guardian(i, h.folder(i))
	h.guardians[i].args = append(h.guardians[i].args, flags...)
	h.guardians[i].start()
}

// TestFalseCoordinator: whoever has the coordinator's key asks the guardians,
// which follow the real bank, to sign what they should not. They give no nonces,
// write nothing down, and sign the right settlement afterwards.
func TestFalseCoordinator(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	h.open(ctx)
	c := newCustomer(ctx, h)
	for _, g := range h.guardians {
		g.stop()
	}
	c.withdraw(10_000)
	c.mine(1)
	c.wait("the cut", func() (bool, string) { s := c.stage(2); return s == "cut", s })
	u := h.usurp("127.0.0.1:0")
	address := u.hub.Addr().String()
	h.connect(0, address, h.url)
	h.connect(1, address, h.url)
	h.connect(2, address, h.url, "--fee-max", "1") // its owner finds any fee too high

	right := h.sit(c.readHistory())
	for _, r := range u.remotes[:2] {
		right.commit(ctx, r)
	}
	for _, tt := range c.falseProposals(right) {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range u.remotes[:2] {
				nonces, err := r.Commit(ctx, tt.proposal, tt.request)
				checkRefused(t, nonces, err, tt.want)
			}
		})
	}
	t.Run("too high a fee", func(t *testing.T) {
		var nonces []frost.PublicNonce
		var err error
		waitFor(ctx, t, "an answer", func() (bool, string) {
			nonces, err = u.remotes[2].Commit(ctx, right.proposal, right.request)
			return err == nil || strings.Contains(err.Error(), "its fee of"), fmt.Sprint(err)
		})
		checkRefused(t, nonces, err, "above the limit of 1 sat")
	})
	for i := range u.remotes {
		if signed := signedLog(t, h.folder(i))[2]; len(signed) > 0 {
			t.Errorf("guardian %d has agreed to sign %v", i, signed)
		}
	}
	t.Run("frames a guardian", func(t *testing.T) { right.frame(ctx, t, u) })

	for i, g := range h.guardians {
		g.stop()
		h.connect(i, h.address, h.url)
	}
	c.settle(2)
	h.expectSound()
	h.expectSignedOnce(c)
}

func checkRefused(t *testing.T, nonces []frost.PublicNonce, err error, want string) {
	t.Helper()
	if len(nonces) > 0 {
		t.Errorf("%d nonces were given", len(nonces))
	}
	var refused *roast.RefusalError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, want) {
		t.Errorf("got %v, want it refused: %q", err, want)
	}
}

// A falseProposal is one that guardians must refuse, and why.
type falseProposal struct {
	name     string
	proposal guardian.Proposal
	request  roast.CommitRequest
	want     string
}

const (
	unlikeBooks = "is not the one that the books give"
	noSuchCut   = "the books have no such cut in flight"
	notAsked    = "is not what this signer would sign"
)

// falseProposals are made of the right one. Each asks for signatures of what it
// proposes, as somebody does who wants them.
func (c *customer) falseProposals(right *sitting) (list []falseProposal) {
	c.h.t.Helper()
	for name, change := range map[string]func(tx *wire.MsgTx){
		"a wrong amount":            func(tx *wire.MsgTx) { tx.TxOut[1].Value++ },
		"a foreign output":          func(tx *wire.MsgTx) { tx.TxOut[1].PkScript = audittest.Script("mallory") },
		"an output more":            func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(1_000, audittest.Script("mallory"))) },
		"more for the miner":        func(tx *wire.MsgTx) { tx.TxOut[len(tx.TxOut)-1].Value -= 1_000 },
		"a coin that is not there":  func(tx *wire.MsgTx) { tx.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{1}, 0), nil, nil)) },
		"other inputs":              func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Hash: chainhash.Hash{2}} },
		"another anchor":            func(tx *wire.MsgTx) { tx.TxOut[0].PkScript[20] ^= 1 },
		"an input that is final":    func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum },
		"a time before which it is": func(tx *wire.MsgTx) { tx.LockTime = 500 },
	} {
		built, _, _ := c.readHistory().flight()
		altered := *built
		altered.Tx = built.Tx.Copy()
		change(altered.Tx)
		p := right.proposal
		p.Tx = plainTx(c.h.t, &altered)
		list = append(list, falseProposal{name, p, right.requestFor(&altered), unlikeBooks})
	}
	_, old, _ := c.readUntil(inFlight(1)).flight()
	renumbered, later, empty := old, right.proposal, right.proposal
	renumbered.Settlement = 2
	later.Settlement, empty.Tx = 3, nil
	bare := right.request
	bare.Request = roast.RequestID(sha256.Sum256([]byte("a hash of something")))
	return append(list,
		falseProposal{"an old cut", old, right.request, noSuchCut},
		falseProposal{"an old cut under the new number", renumbered, right.request, noSuchCut},
		falseProposal{"the next number", later, right.request, noSuchCut},
		falseProposal{"no transaction", empty, right.request, unlikeBooks},
		falseProposal{"a bare hash", right.proposal, bare, notAsked})
}

// requestFor asks for signatures on a transaction, whatever it is.
func (s *sitting) requestFor(built *netting.Transaction) roast.CommitRequest {
	s.h.t.Helper()
	for len(built.Spent) < len(built.Tx.TxIn) { // of a coin that is not there
		built.Spent, built.Signers = append(built.Spent, built.Spent[0]), append(built.Signers, built.Signers[0])
	}
	messages, err := guardian.Messages(built, 0)
	if err != nil {
		s.h.t.Fatal(err)
	}
	id, err := roast.NewRequestID(s.group, messages)
	if err != nil {
		s.h.t.Fatal(err)
	}
	return roast.CommitRequest{Request: id, Messages: len(messages)}
}

// frame tries to make guardian 0's honest answers look wrong. What does not fit is
// not answered. A session that was spoilt on purpose is, and the answer is right
// for what was asked: whoever shows both shows no lie.
func (s *sitting) frame(ctx context.Context, t *testing.T, u *usurper) {
	nonces := map[frost.ID][]frost.PublicNonce{}
	for _, r := range u.remotes[:2] {
		nonces[r.ID()] = s.commit(ctx, r)
	}
	q := s.session(1, nonces)
	for name, change := range map[string]func(*roast.SignRequest){
		"nonces that it did not give": func(r *roast.SignRequest) { r.Commitment[0] ^= 1 },
		"another request":             func(r *roast.SignRequest) { r.Request[0] ^= 1 },
		"a session without it":        func(r *roast.SignRequest) { r.Signers = []frost.ID{1, 2} },
		"a session of one":            func(r *roast.SignRequest) { r.Signers = []frost.ID{0} },
		"a stranger in the session":   func(r *roast.SignRequest) { r.Signers = []frost.ID{0, 7} },
		"a sum too few":               func(r *roast.SignRequest) { r.Nonces = nil },
		"a sum that is no point":      func(r *roast.SignRequest) { r.Nonces[0] = frost.AggregateNonce{5} },
	} {
		request := q.ask(0)
		change(&request)
		if a, err := u.remotes[0].Sign(ctx, request); err == nil || len(a.Signatures) > 0 {
			t.Errorf("%s: %d signatures, %v", name, len(a.Signatures), err)
		}
	}
	_, stranger, err := frost.NonceGen(nil, frost.NonceParams{})
	if err != nil {
		t.Fatal(err)
	}
	spoilt := s.session(2, map[frost.ID][]frost.PublicNonce{0: nonces[0], 1: {stranger}})
	a, err := u.remotes[0].Sign(ctx, spoilt.ask(0))
	if err != nil || len(a.Signatures) != 1 {
		t.Fatalf("%d signatures, %v", len(a.Signatures), err)
	}
	if !spoilt.verify(0, 0, nonces[0][0], a.Signatures[0]) {
		t.Error("its signature is wrong for what it was asked")
	}
	blame := roast.Blame{ID: 0, Lie: roast.LieSignature, Session: 2, Nonces: nonces[0], Signatures: a.Signatures,
		Signers: spoilt.signers, Aggregates: spoilt.aggregates}
	if err := blame.Check(s.group, s.messages); !errors.Is(err, roast.ErrNoLie) {
		t.Errorf("what it was asked and what it answered show a lie: %v", err)
	}
	if a, err := u.remotes[0].Sign(ctx, q.ask(0)); !errors.Is(err, roast.ErrNoNonces) {
		t.Errorf("asked again with the same nonces it gives %d signatures, %v", len(a.Signatures), err)
	}
}
