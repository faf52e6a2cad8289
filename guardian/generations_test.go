package guardian_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// A bank in the middle of a change: its settlement spends two coins of the founding
// and one of the heirs.
func newChangingTown(t *testing.T) (*town, *heirs, *guardian.Quorum) {
	t.Helper()
	w := newTown(t)
	w.Mine(w.Sign(w.built))
	w.Bury()
	h := w.heirs(3, 5)
	w.takeOver(h)
	w.Mine(w.Payment(w.ToGeneration(0, taproot.Deposit, w.ann.ID.Index(), 30_000), w.ToGeneration(1, taproot.Deposit, w.ann.ID.Index(), 40_000)))
	w.Bury()
	w.built = w.Cut(2_000)
	q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: w.peers()}, slog.New(slog.DiscardHandler))
	var peers []guardian.Peer
	for _, g := range w.seated(h) {
		peers = append(peers, g)
	}
	q.Succeed(guardian.Council{Group: h.group, Peers: peers})
	return w, h, q
}

// Each generation signs the inputs that spend its coins, with guardians of either
// wrong in any way, and the signatures stand at their inputs.
func TestQuorumOfTwoGenerations(t *testing.T) {
	w, h, q := newChangingTown(t)
	var generations []uint32
	for _, s := range w.built.Signers {
		generations = append(generations, s.Generation)
	}
	if slices.Sort(generations); !slices.Equal(generations, []uint32{0, 0, 1}) {
		t.Fatalf("the settlement spends coins of the generations %v", generations)
	}
	sigs, err := q.Sign(t.Context(), w.built, w.Books.Open().Batch)
	w.checkSigned(t, sigs, err)
	successors := w.seated(h)
	for _, f := range faults {
		if !fitsOneMessage(f.name) {
			continue
		}
		spoil := func(list []seated, n int) (peers []guardian.Peer) {
			for i, g := range list {
				if i < n {
					peers = append(peers, &faulty{Peer: g, commit: f.fault.commit, sign: f.fault.sign})
				} else {
					peers = append(peers, steady{g})
				}
			}
			return peers
		}
		for _, wrong := range [][2]int{{2, 2}, {3, 0}, {0, 3}} {
			q := guardian.NewQuorum(guardian.Council{Group: w.Group, Peers: spoil(w.guardians, wrong[0])}, slog.New(slog.DiscardHandler))
			q.Succeed(guardian.Council{Group: h.group, Peers: spoil(successors, wrong[1])})
			sigs, err := q.Sign(t.Context(), w.built, w.Books.Open().Batch)
			if max(wrong[0], wrong[1]) < 3 {
				if err == nil {
					err = w.verify(sigs)
				}
				if err != nil {
					t.Errorf("%s, %v wrong: %v", f.name, wrong, err)
				}
				continue
			}
			if failed := (*roast.NoQuorumError)(nil); sigs != nil || !errors.As(err, &failed) {
				t.Errorf("%s, %v wrong: %d signatures, %v", f.name, wrong, len(sigs), err)
			}
		}
	}
}

// Guardians of two generations sign the coins of theirs alone.
func TestGuardianSignsItsOwnCoins(t *testing.T) {
	w, h, q := newChangingTown(t)
	heir, founder := w.seated(h)[0], w.guardians[0]
	both := w.config(w.Shares[0])
	both.Keys = append(both.Keys, guardian.Key{Share: h.results[0].Share, Group: h.group})
	request := func(group *frost.Group, generations ...uint32) roast.CommitRequest {
		var all []roast.Message
		for _, generation := range generations {
			messages, err := guardian.Messages(w.built, generation)
			w.must(err)
			all = append(all, messages...)
		}
		id, err := roast.NewRequestID(group, all)
		w.must(err)
		return roast.CommitRequest{Request: id, Messages: len(all)}
	}
	const unlike = "is not what this signer would sign"
	for _, tt := range []struct {
		name       string
		guardian   seated
		generation uint32
		request    roast.CommitRequest
		nonces     int
		want       string // of the refusal
	}{
		{"founder, its own", founder, 0, request(w.Group, 0), 2, ""},
		{"heir, its own", heir, 1, request(h.group, 1), 1, ""},
		{"one who is both, as founder", w.guardian(both), 0, request(w.Group, 0), 2, ""},
		{"one who is both, as heir", w.guardian(both), 1, request(h.group, 1), 1, ""},
		{"founder, all inputs", founder, 0, request(w.Group, 0, 1), 0, unlike},
		{"founder, the heirs'", founder, 0, request(w.Group, 1), 0, unlike},
		{"heir, all inputs", heir, 1, request(h.group, 0, 1), 0, unlike},
		{"one who is both, the other's", w.guardian(both), 1, request(h.group, 0), 0, unlike},
		{"founder as heir", founder, 1, request(h.group, 1), 0, guardian.ErrNoSeat.Error()},
		{"heir as founder", heir, 0, request(w.Group, 0), 0, guardian.ErrNoSeat.Error()},
		{"a generation that is not there", heir, 2, request(h.group, 1), 0, "no key of generation 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := w.proposal()
			p.Generation = tt.generation
			nonces, err := tt.guardian.Commit(t.Context(), p, tt.request)
			if len(nonces) != tt.nonces {
				t.Fatalf("%d nonces, want %d (%v)", len(nonces), tt.nonces, err)
			}
			if tt.want != "" {
				checkRefused(t, err, tt.want)
			}
		})
	}
	// The settlement after it moves no coin of the founding any more.
	sigs, err := q.Sign(t.Context(), w.built, w.Books.Open().Batch)
	w.must(err)
	signed, err := taproot.AttachSignatures(w.built.Tx, sigs)
	w.must(err)
	w.Mine(signed)
	w.Bury()
	w.Withdraw(w.ann, 20_000, 1_000, audittest.Script("ann outside"))
	w.built = w.Cut(2_000)
	nonces, err := founder.Commit(t.Context(), w.proposal(), request(w.Group, 1))
	if nonces != nil {
		t.Error("a founder gave nonces for coins that are not its")
	}
	checkRefused(t, err, "spends no coin of generation 0")
}
