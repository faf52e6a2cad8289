package guardian_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// heirs are the next guardians of a vault, who have made their key.
type heirs struct {
	hosts    []*chilldkg.HostKey
	document *guardian.Founding
	proof    guardian.KeyProof
	results  []*chilldkg.Result
	group    *frost.Group
}

// heirs makes the key of the next guardians with ChillDKG.
func (w *town) heirs(threshold, n int) *heirs {
	w.Helper()
	h := &heirs{}
	for range n {
		host, err := chilldkg.GenerateHostKey(nil)
		w.must(err)
		h.hosts = append(h.hosts, host)
	}
	h.document = w.document(threshold, h.hosts)
	w.keygen(h)
	return h
}

// document names the next guardians.
func (w *town) document(threshold int, hosts []*chilldkg.HostKey) *guardian.Founding {
	w.Helper()
	founded := w.Vault.Policy()
	f := &guardian.Founding{Name: w.Charter.Name, Network: founded.Network, BirthHeight: w.Charter.BirthHeight, BirthHash: w.Charter.BirthHash,
		Depth: w.Charter.Depth, WithdrawalMin: w.Charter.WithdrawalMin, Operator: w.Charter.Operator, Coordinator: hosts[0].Public(),
		Threshold: threshold, Recovery: founded.Recovery, Generation: w.Books.Generation() + 1, Founded: &founded}
	for _, host := range hosts {
		f.Guardians = append(f.Guardians, host.Public())
	}
	w.must(f.Validate())
	return f
}

func (w *town) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *town) keygen(h *heirs) {
	w.Helper()
	params := h.document.Params()
	var participants []*chilldkg.Participant
	var first, second [][]byte
	for _, host := range h.hosts {
		p, message, err := chilldkg.NewParticipant(host, params, nil)
		w.must(err)
		participants, first = append(participants, p), append(first, message)
	}
	coordinator, broadcast, err := chilldkg.NewCoordinator(params, first)
	w.must(err)
	for i, p := range participants {
		message, err := p.Step2(h.hosts[i], broadcast, nil)
		w.must(err)
		second = append(second, message)
	}
	made, certificate, err := coordinator.Finalize(second)
	w.must(err)
	h.proof = guardian.KeyProof{Recovery: made.RecoveryData}
	for i, p := range participants {
		result, err := p.Finalize(certificate)
		w.must(err)
		ack, err := result.Acknowledge(h.hosts[i], nil)
		w.must(err)
		h.results, h.proof.Acks = append(h.results, result), append(h.proof.Acks, ack)
	}
	h.group, err = h.proof.Group(h.document)
	w.must(err)
}

// rekey is the entry that would give the vault the heirs' key.
func (w *town) rekey(h *heirs) *ledger.Rekey {
	w.Helper()
	e, err := h.document.Rekey(h.group.Key())
	w.must(err)
	return e
}

// takeOver writes it into the books.
func (w *town) takeOver(h *heirs) {
	w.Helper()
	e := w.rekey(h)
	w.SignRekey(e)
	w.Apply(ledger.Entry{Event: e})
	w.Seal()
	w.must(w.Vaults.Follow(w.Books))
}

// seated are the heirs as guardians.
func (w *town) seated(h *heirs) (list []seated) {
	w.Helper()
	for _, r := range h.results {
		config := w.config(w.Shares[0])
		config.Keys = []guardian.Key{{Share: r.Share, Group: r.Group}}
		list = append(list, w.guardian(config))
	}
	return list
}

// succession asks the founding's guardians to hand the vault to the heirs.
func (w *town) succession(h *heirs) guardian.Proposal {
	return guardian.Proposal{Batch: w.Books.Last().Number, Succession: &guardian.Succession{Document: h.document.Hash(), Proof: h.proof}}
}

// handOver is the request for nonces that goes with it.
func (w *town) handOver(group *frost.Group, h *heirs) roast.CommitRequest {
	w.Helper()
	id, err := roast.NewRequestID(group, []roast.Message{{Digest: w.rekey(h).Digest(w.Charter.ID())}})
	w.must(err)
	return roast.CommitRequest{Request: id, Messages: 1}
}

// A guardian hands the vault over to those to whom its owner has agreed, once they
// have made their key, and to nobody else. A refusal changes nothing.
func TestGuardianRefusesASuccession(t *testing.T) {
	w := newTown(t)
	h, strangers := w.heirs(2, 3), w.heirs(2, 3)
	fewer := &heirs{hosts: h.hosts, document: w.document(1, h.hosts)} // the same, of whom one may sign alone
	w.keygen(fewer)
	g := w.guardians[2]
	// with is another document, to which the owner agrees and which is proposed.
	with := func(change func(f *guardian.Founding)) func(*guardian.Proposal) {
		return func(p *guardian.Proposal) {
			f, founded := *h.document, *h.document.Founded
			f.Founded = &founded
			change(&f)
			g.Agree(&f)
			p.Succession.Document = f.Hash()
		}
	}
	proof := func(change func(p *guardian.KeyProof)) func(*guardian.Proposal) {
		return func(p *guardian.Proposal) {
			p.Succession.Proof = guardian.KeyProof{Recovery: bytes.Clone(h.proof.Recovery), Acks: slices.Clone(h.proof.Acks)}
			change(&p.Succession.Proof)
		}
	}
	const otherGroup = "of other guardians, or of another threshold"
	for _, tt := range []struct {
		name   string
		change func(p *guardian.Proposal)
		want   string
	}{
		{"no agreement", func(*guardian.Proposal) { g.Agree(nil) }, "agreed to no change of guardians"},
		{"an agreement to others", func(*guardian.Proposal) { g.Agree(strangers.document) }, "has agreed to the document"},
		{"another document", func(p *guardian.Proposal) { p.Succession.Document = strangers.document.Hash() }, "has agreed to the document"},
		{"no document", func(p *guardian.Proposal) { p.Succession.Document = ledger.Hash{} }, "has agreed to the document"},
		{"a generation too far", with(func(f *guardian.Founding) { f.Generation = 2 }), "for generation 2 of the vault's key, the next is 1"},
		{"the founding", with(func(f *guardian.Founding) { f.Generation, f.Founded = 0, nil }), "for generation 0 of the vault's key, the next is 1"},
		{"the last generation that can be", with(func(f *guardian.Founding) { f.Generation = ^uint32(0) }), "the next is 1"},
		{"another bank", with(func(f *guardian.Founding) { f.Name = "another" }), "of another bank"},
		{"another operator", with(func(f *guardian.Founding) { f.Operator = ledger.KeyOf(audittest.Key("mallory")) }), "of another bank"},
		{"another chain", with(func(f *guardian.Founding) { f.Network, f.Founded.Network = "signet", "signet" }), "of another bank"},
		{"another vault of the founding", with(func(f *guardian.Founding) { f.Founded.Recovery.Delay++ }), "another vault of the founding"},
		{"no vault of the founding", with(func(f *guardian.Founding) { f.Founded = nil }), "another vault of the founding"},
		{"proof of strangers", func(p *guardian.Proposal) { p.Succession.Proof = strangers.proof }, otherGroup},
		{"proof of another threshold", func(p *guardian.Proposal) { p.Succession.Proof = fewer.proof }, otherGroup},
		{"no proof", proof(func(p *guardian.KeyProof) { *p = guardian.KeyProof{} }), "proof of the key"},
		{"recovery data of a bit", proof(func(p *guardian.KeyProof) { p.Recovery = p.Recovery[:1] }), "proof of the key"},
		{"recovery data cut short", proof(func(p *guardian.KeyProof) { p.Recovery = p.Recovery[:len(p.Recovery)-1] }), "proof of the key"},
		{"recovery data damaged in the certificate", proof(func(p *guardian.KeyProof) { p.Recovery[len(p.Recovery)-1] ^= 1 }), "proof of the key"},
		{"recovery data damaged in the key", proof(func(p *guardian.KeyProof) { p.Recovery[10] ^= 1 }), "proof of the key"},
		{"an acknowledgement too few", proof(func(p *guardian.KeyProof) { p.Acks = p.Acks[:2] }), "proof of the key"},
		{"an acknowledgement too many", proof(func(p *guardian.KeyProof) { p.Acks = append(p.Acks, p.Acks[0]) }), "proof of the key"},
		{"an acknowledgement that is empty", proof(func(p *guardian.KeyProof) { p.Acks[1] = nil }), "proof of the key"},
		{"an acknowledgement of another", proof(func(p *guardian.KeyProof) { p.Acks[1] = p.Acks[0] }), "proof of the key"},
		{"an acknowledgement of another run", proof(func(p *guardian.KeyProof) { p.Acks[1] = fewer.proof.Acks[1] }), "proof of the key"},
		{"a settlement besides", func(p *guardian.Proposal) { p.Settlement = w.built.Settlement }, "both a settlement and a succession"},
		{"a transaction besides", func(p *guardian.Proposal) { p.Tx = plain(w.built.Tx) }, "both a settlement and a succession"},
		{"a generation that is not there", func(p *guardian.Proposal) { p.Generation = 1 }, "no key of generation 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.Agree(h.document)
			p := w.succession(h)
			tt.change(&p)
			nonces, err := g.Commit(t.Context(), p, w.handOver(w.Group, h))
			if nonces != nil {
				t.Fatal("nonces were given out")
			}
			checkRefused(t, err, tt.want)
			g.Agree(h.document)
			if nonces, err := g.Commit(t.Context(), w.succession(h), w.handOver(w.Group, h)); err != nil || len(nonces) != 1 {
				t.Errorf("after it the right proposal gets %d nonces, %v", len(nonces), err)
			}
		})
	}
}

// What is no refusal: the guardian cannot sign now, or never again.
func TestSuccessionMustWait(t *testing.T) {
	w := newTown(t)
	h := w.heirs(2, 3)
	g := w.guardians[0]
	g.Agree(h.document)
	p := w.succession(h)
	p.Batch++
	if nonces, err := g.Commit(t.Context(), p, w.handOver(w.Group, h)); nonces != nil || !errors.Is(err, guardian.ErrNotThere) {
		t.Errorf("behind the books: %d nonces, %v", len(nonces), err)
	}
	w.Reseal(w.Journal, func(entries [][]byte) [][]byte { return append(entries, entries[0]) }) // nothing follows a cut
	g = w.guardians[1]
	g.Agree(h.document)
	var halted *guardian.HaltError
	if nonces, err := g.Commit(t.Context(), w.succession(h), w.handOver(w.Group, h)); nonces != nil || !errors.As(err, &halted) {
		t.Errorf("halted: %d nonces, %v", len(nonces), err)
	}
}

// After the first change the guardians of the founding hand nothing over, nor is a
// key that the vault has had good once more.
func TestSuccessionOfASuccession(t *testing.T) {
	w := newTown(t)
	first := w.heirs(2, 3)
	w.takeOver(first)
	again := &heirs{hosts: first.hosts, document: w.document(2, first.hosts), proof: first.proof, group: first.group}
	second := &heirs{hosts: first.hosts, document: w.document(2, first.hosts)} // the same guardians
	w.keygen(second)
	for _, tt := range []struct {
		name       string
		guardian   seated
		group      *frost.Group
		generation uint32
		heirs      *heirs
		want       string // "" when it is signed
	}{
		{"the newest's guardian", w.seated(first)[1], first.group, 1, second, ""},
		{"the newest's guardian, asked for the founding's share", w.seated(first)[1], w.Group, 0, second, guardian.ErrNoSeat.Error()},
		{"a guardian of the founding", w.guardians[1], w.Group, 0, second, "generation 1 of the vault's key hands it over, not 0"},
		{"a guardian of the founding, asked for the newest's share", w.guardians[1], first.group, 1, second, guardian.ErrNoSeat.Error()},
		{"the first change once more", w.seated(first)[1], first.group, 1, first, "for generation 1 of the vault's key, the next is 2"},
		{"the key of now once more", w.seated(first)[1], first.group, 1, again, "it is the key of generation 1 again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.guardian.Agree(tt.heirs.document)
			p := w.succession(tt.heirs)
			p.Generation = tt.generation
			nonces, err := tt.guardian.Commit(t.Context(), p, w.handOver(tt.group, tt.heirs))
			if tt.want == "" {
				if err != nil || len(nonces) != 1 {
					t.Errorf("%d nonces, %v", len(nonces), err)
				}
				return
			}
			if nonces != nil {
				t.Error("nonces were given out")
			}
			checkRefused(t, err, tt.want)
		})
	}
}

// before is a guardian to whom something happens before it answers.
type before struct {
	guardian.Peer
	sign func()
}

func (b before) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	b.sign()
	return b.Peer.Sign(ctx, request)
}

// authorize has these guardians hand the vault over.
func (w *town) authorize(ctx context.Context, log slog.Handler, h *heirs, peers []guardian.Peer) (*ledger.Rekey, error) {
	e := w.rekey(h)
	q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: peers}, slog.New(log))
	return e, q.Authorize(ctx, w.Charter.ID(), e, *w.succession(h).Succession, w.Books.Last().Number)
}

// What an owner takes back between the rounds is not signed.
func TestAgreementTakenBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *town, h *heirs)
		want   [2]string // said in round two, and in round one when asked again
	}{
		{"to nobody", func(w *town, _ *heirs) { w.agree(nil) }, [2]string{"another document since, or to none", "agreed to no change"}},
		{"to others", func(w *town, h *heirs) {
			other := *h.document
			other.Recovery.Delay++
			w.agree(&other)
		}, [2]string{"another document since, or to none", "has agreed to the document"}},
		{"too late, others have the vault", func(w *town, _ *heirs) {
			w.Rekey(2, 4)
			for _, g := range w.guardians {
				w.must(g.Sync(w.Context()))
			}
		}, [2]string{"the next is 2", "generation 1 of the vault's key hands it over"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			h := w.heirs(2, 3)
			w.agree(h.document)
			var once sync.Once
			var peers []guardian.Peer
			for _, g := range w.guardians {
				peers = append(peers, before{Peer: g, sign: func() { once.Do(func() { tt.change(w, h) }) }})
			}
			e, err := w.authorize(t.Context(), slog.DiscardHandler, h, peers)
			var failed *roast.NoQuorumError
			if e.Signature != (ledger.Signature{}) || !errors.As(err, &failed) {
				t.Fatalf("the entry has the signature %x, %v", e.Signature, err)
			}
			for id, said := range failed.Failed {
				var refused *roast.RefusalError
				if !errors.As(said, &refused) || !strings.Contains(said.Error(), tt.want[0]) && !strings.Contains(said.Error(), tt.want[1]) {
					t.Errorf("guardian %d says %v", id, said)
				}
			}
			if len(failed.Blamed()) > 0 {
				t.Errorf("blamed are %v", failed.Blamed())
			}
		})
	}
}

// agree has every owner agree.
func (w *town) agree(f *guardian.Founding) {
	for _, g := range w.guardians {
		g.Agree(f)
	}
}

// A settlement and a succession are asked for at the same time: neither takes the
// other's nonces away.
func TestSuccessionBesideASettlement(t *testing.T) {
	w := newTown(t)
	h := w.heirs(2, 3)
	w.agree(h.document)
	var peers []guardian.Peer
	for _, g := range w.guardians {
		// Between the two rounds of the settlement the coordinator asks for the other.
		peers = append(peers, before{Peer: g, sign: func() {
			if nonces, err := g.Commit(t.Context(), w.succession(h), w.handOver(w.Group, h)); err != nil || len(nonces) != 1 {
				t.Errorf("%d nonces, %v", len(nonces), err)
			}
		}})
	}
	warned := make(warnings)
	sigs, err := w.sign(t.Context(), warned, peers)
	w.checkSigned(t, sigs, err)
	if len(warned) > 0 {
		t.Errorf("the settlement was signed in spite of %v", warned)
	}
	peers = nil
	for _, g := range w.guardians {
		peers = append(peers, before{Peer: g, sign: func() {
			if _, err := g.Commit(t.Context(), w.proposal(), w.request()); err != nil {
				t.Error(err)
			}
		}})
	}
	e, err := w.authorize(t.Context(), warned, h, peers)
	w.must(err)
	if len(warned) > 0 {
		t.Errorf("the vault was handed over in spite of %v", warned)
	}
	w.must(w.Vaults.Check(e))
}

// With one or two of five guardians wrong in any way the vault is handed over; with
// three wrong it is not. Who has agreed to others is no liar.
func TestAuthorizeWithFaultyGuardians(t *testing.T) {
	w := newTown(t)
	h := w.heirs(2, 3)
	w.agree(h.document)
	for _, f := range faults {
		if !fitsOneMessage(f.name) {
			continue
		}
		for _, wrong := range [][]frost.ID{{0}, {1, 2}, {0, 1, 3}} {
			ctx, cancel := context.WithCancel(t.Context())
			e, err := w.authorize(ctx, slog.DiscardHandler, h, w.spoilt(f.fault, wrong...))
			cancel()
			if len(wrong) < 3 {
				if err == nil {
					err = w.Vaults.Check(e)
				}
				if err != nil {
					t.Errorf("%s, guardians %v: %v", f.name, wrong, err)
				}
				continue
			}
			var failed *roast.NoQuorumError
			if e.Signature != (ledger.Signature{}) || !errors.As(err, &failed) || len(failed.Failed) != len(wrong) {
				t.Errorf("%s, guardians %v: %v", f.name, wrong, err)
			}
			if lied := len(failed.Blamed()); (f.lie != "") != (lied == len(wrong)) || f.lie == "" && lied > 0 {
				t.Errorf("%s, guardians %v: %d are blamed: %v", f.name, wrong, lied, err)
			}
		}
	}
	for _, g := range w.guardians[:2] {
		g.Agree(nil)
	}
	e, err := w.authorize(t.Context(), slog.DiscardHandler, h, w.peers())
	w.must(err)
	w.must(w.Vaults.Check(e))
	other := w.heirs(2, 3)
	w.guardians[2].Agree(other.document)
	for _, asked := range []*heirs{h, other} { // neither has three
		e, err := w.authorize(t.Context(), slog.DiscardHandler, asked, w.peers())
		var failed *roast.NoQuorumError
		if e.Signature != (ledger.Signature{}) || !errors.As(err, &failed) || len(failed.Blamed()) > 0 {
			t.Errorf("with owners that disagree: %v", err)
		}
	}
}

// fitsOneMessage: some faults need three signatures at once, some a clock of their own.
func fitsOneMessage(fault string) bool {
	return !slices.Contains([]string{"a nonce that is no point", "a nonce that is not its own",
		"a partial signature of zero", "a partial signature of another input", "slow in round one", "slow in round two"}, fault)
}

// The founding's key is handed over by nobody, and a generation that is not known
// signs nothing.
func TestAuthorizeRefuses(t *testing.T) {
	w := newTown(t)
	q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: w.peers()}, slog.New(slog.DiscardHandler))
	for _, generation := range []uint32{0, 2, ^uint32(0)} {
		e := &ledger.Rekey{Generation: generation, Policy: []byte("{}")}
		if err := q.Authorize(t.Context(), w.Charter.ID(), e, guardian.Succession{}, 1); err == nil || e.Signature != (ledger.Signature{}) {
			t.Errorf("generation %d is signed", generation)
		}
	}
	if q.Reachable(1) || !q.Reachable(0) {
		t.Error("guardians are reachable who are not known, or not those who are")
	}
}

func TestParseFoundingRefusesWhatFollows(t *testing.T) {
	w := newTown(t)
	raw, err := json.Marshal(w.document(2, w.heirs(2, 3).hosts))
	w.must(err)
	if _, err := guardian.ParseFounding(append(raw, ' ', '\n')); err != nil {
		t.Errorf("a document with a line's end: %v", err)
	}
	for _, after := range []string{"}", "]", "1", "{}", " ]", "x"} {
		if _, err := guardian.ParseFounding(append(bytes.Clone(raw), after...)); err == nil {
			t.Errorf("a document with %q behind it is taken", after)
		}
	}
}
