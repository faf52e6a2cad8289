package integration

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// A usurper is the story itself in the place of the bank's coordinator: it has
// its key, and asks what it likes.
type usurper struct {
	h       *house
	hub     *link.Hub
	remotes []*wire.Remote
}

// secret reads one of the bank's keys.
func (h *house) secret(name string) *btcec.PrivateKey {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "bank", name))
	if err != nil {
		h.t.Fatal(err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	key, _ := btcec.PrivKeyFromBytes(raw)
	return key
}

// foundingDocument is what the house's guardians agreed to.
func (h *house) foundingDocument() *guardian.Founding {
	h.t.Helper()
	raw, err := os.ReadFile(h.founding())
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := guardian.ParseFounding(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// usurp waits for guardians at an address.
func (h *house) usurp(address string) *usurper {
	h.t.Helper()
	var keys []*btcec.PublicKey
	for _, g := range h.foundingDocument().Guardians {
		key, err := btcec.ParsePubKey(g[:])
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, key)
	}
	hub, err := link.Listen(address, h.secret("coordinator.key"), keys, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	u := &usurper{h: h, hub: hub}
	for i := range keys {
		u.remotes = append(u.remotes, wire.NewRemote(frost.ID(i), hub.RoundTripper(i)))
	}
	h.t.Cleanup(func() { hub.Close() })
	return u
}

// await waits until the first n guardians are connected.
func (u *usurper) await(ctx context.Context, n int) {
	u.h.t.Helper()
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	if err := u.hub.Wait(ctx, places...); err != nil {
		u.h.t.Fatal(err)
	}
}

// reserve makes the addresses at which the bank answers known, without a bank.
func (h *house) reserve(ctx context.Context) {
	h.t.Helper()
	h.spawn()
	said := h.bank.await(ctx, "guardians")
	h.url, h.address = said["api"], said["guardians"]
	h.bank.kill()
}

// group is what the bank knows of its guardians' key.
func (h *house) group() *frost.Group {
	h.t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, "bank", "key-*.json"))
	if err != nil || len(paths) != 1 {
		h.t.Fatalf("the bank keeps the keys %v, %v", paths, err)
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		h.t.Fatal(err)
	}
	var made struct {
		Document *guardian.Founding `json:"document"`
		guardian.KeyProof
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		h.t.Fatal(err)
	}
	group, err := made.Group(made.Document)
	if err != nil {
		h.t.Fatal(err)
	}
	return group
}

// A sitting is one settlement that guardians are asked to sign, by whoever sits
// in the coordinator's place.
type sitting struct {
	h        *house
	group    *frost.Group
	proposal guardian.Proposal
	messages []roast.Message
	request  roast.CommitRequest
}

func (h *house) sit(x *history) *sitting {
	h.t.Helper()
	_, p, messages := x.flight()
	s := &sitting{h: h, group: h.group(), proposal: p, messages: messages}
	id, err := roast.NewRequestID(s.group, messages)
	if err != nil {
		h.t.Fatal(err)
	}
	s.request = roast.CommitRequest{Request: id, Messages: len(messages)}
	return s
}

// commit asks a guardian for nonces until it gives them: it may just have started.
func (s *sitting) commit(ctx context.Context, r *wire.Remote) (nonces []frost.PublicNonce) {
	s.h.t.Helper()
	waitFor(ctx, s.h.t, fmt.Sprintf("nonces of guardian %d", r.ID()), func() (bool, string) {
		var err error
		nonces, err = r.Commit(ctx, s.proposal, s.request)
		return err == nil, fmt.Sprint(err)
	})
	return nonces
}

// A trial is one session: whose nonces are in it, and what each is asked.
type trial struct {
	*sitting
	number     int
	given      map[frost.ID][]frost.PublicNonce
	signers    []frost.ID
	aggregates []frost.AggregateNonce
}

func (s *sitting) session(number int, given map[frost.ID][]frost.PublicNonce) *trial {
	s.h.t.Helper()
	q := &trial{sitting: s, number: number, given: given, signers: slices.Sorted(maps.Keys(given))}
	for i := range s.messages {
		nonces := make(map[frost.ID]frost.PublicNonce)
		for id, list := range given {
			nonces[id] = list[i]
		}
		sum, err := frost.NonceAgg(nonces)
		if err != nil {
			s.h.t.Fatal(err)
		}
		q.aggregates = append(q.aggregates, sum)
	}
	return q
}

// ask is what one of its signers is asked.
func (q *trial) ask(id frost.ID) roast.SignRequest {
	return roast.SignRequest{Request: q.request.Request, Session: q.number, Commitment: roast.NewCommitmentID(q.given[id]),
		Signers: slices.Clone(q.signers), Nonces: slices.Clone(q.aggregates)}
}

// verify says whether a partial signature for a message is right under a nonce.
func (q *trial) verify(id frost.ID, message int, nonce frost.PublicNonce, signature frost.PartialSignature) bool {
	q.h.t.Helper()
	session, err := frost.NewSession(q.group, frost.SessionParams{Signers: q.signers, AggregateNonce: q.aggregates[message],
		Tweaks: q.messages[message].Tweaks, Message: q.messages[message].Digest[:]})
	if err != nil {
		q.h.t.Fatal(err)
	}
	return session.PartialSigVerify(id, nonce, signature) == nil
}
