package guardian_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// faulty is a guardian that goes wrong in one way: it spoils what it gave, or
// gives none.
type faulty struct {
	guardian.Peer
	commit func(context.Context, []frost.PublicNonce) ([]frost.PublicNonce, error)
	sign   func(context.Context, roast.Answer) (roast.Answer, error)

	own roast.CommitmentID // of the nonces that it has, whatever it showed
}

func (f *faulty) Commit(ctx context.Context, p guardian.Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	nonces, err := f.Peer.Commit(ctx, p, request)
	f.own = roast.NewCommitmentID(nonces)
	if err != nil || f.commit == nil {
		return nonces, err
	}
	return f.commit(ctx, nonces)
}

func (f *faulty) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	request.Commitment = f.own
	answer, err := f.Peer.Sign(ctx, request)
	f.own = roast.NewCommitmentID(answer.Next)
	if err != nil || f.sign == nil {
		return answer, err
	}
	return f.sign(ctx, answer)
}

// steady is a guardian that takes a moment for each answer. Beside it the faulty
// ones are always the first, so that they do harm and are found out.
type steady struct{ guardian.Peer }

func (s steady) Commit(ctx context.Context, p guardian.Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	time.Sleep(time.Millisecond)
	return s.Peer.Commit(ctx, p, request)
}

func (s steady) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	time.Sleep(time.Millisecond)
	return s.Peer.Sign(ctx, request)
}

var (
	errAway    = errors.New("connection refused")
	errRefuses = &roast.RefusalError{Reason: "signed another one meanwhile"}
	errRubbish = &roast.MalformedError{Sent: []byte("GET / HTTP/1.1"), Err: errors.New("no JSON")}
)

// A fault is a way in which a guardian can go wrong, and what is said of it.
type fault struct {
	name  string
	fault faulty
	lie   roast.Lie // "" of one that does not lie
	said  string    // of one that does not lie
}

var faults = []fault{
	{"away", faulty{commit: noNonces(errAway)}, "", "connection refused"},
	{"gone between the rounds", faulty{sign: noAnswer(errAway)}, "", "connection refused"},
	{"slow in round one", faulty{commit: func(ctx context.Context, _ []frost.PublicNonce) ([]frost.PublicNonce, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, "", "no answer within 30s"},
	{"slow in round two", faulty{sign: func(ctx context.Context, _ roast.Answer) (roast.Answer, error) {
		<-ctx.Done()
		return roast.Answer{}, ctx.Err()
	}}, "", "no answer within 30s"},
	{"refuses in round one", faulty{commit: noNonces(errRefuses)}, "", "signed another one meanwhile"},
	{"refuses in round two", faulty{sign: noAnswer(errRefuses)}, "", "signed another one meanwhile"},
	{"rubbish in round one", faulty{commit: noNonces(errRubbish)}, roast.LieMalformed, ""},
	{"rubbish in round two", faulty{sign: noAnswer(errRubbish)}, roast.LieMalformed, ""},
	{"a nonce too few", faulty{commit: func(_ context.Context, n []frost.PublicNonce) ([]frost.PublicNonce, error) {
		return n[1:], nil
	}}, roast.LieNonceCount, ""},
	{"a nonce too many", faulty{commit: func(_ context.Context, n []frost.PublicNonce) ([]frost.PublicNonce, error) {
		return append(n, n[0]), nil
	}}, roast.LieNonceCount, ""},
	{"no nonces", faulty{commit: noNonces(nil)}, roast.LieNonceCount, ""},
	{"a nonce that is no point", faulty{commit: func(_ context.Context, n []frost.PublicNonce) ([]frost.PublicNonce, error) {
		n[2] = frost.PublicNonce{7}
		return n, nil
	}}, roast.LieNonce, ""},
	{"a nonce that is not its own", faulty{commit: func(_ context.Context, n []frost.PublicNonce) ([]frost.PublicNonce, error) {
		n[0], n[1] = n[1], n[0]
		return n, nil
	}}, roast.LieSignature, ""},
	{"a partial signature of zero", faulty{sign: func(_ context.Context, a roast.Answer) (roast.Answer, error) {
		a.Signatures[1] = frost.PartialSignature{}
		return a, nil
	}}, roast.LieSignature, ""},
	{"a partial signature out of range", faulty{sign: func(_ context.Context, a roast.Answer) (roast.Answer, error) {
		a.Signatures[0] = frost.PartialSignature(slices.Repeat([]byte{0xff}, 32))
		return a, nil
	}}, roast.LieSignature, ""},
	{"a partial signature of another input", faulty{sign: func(_ context.Context, a roast.Answer) (roast.Answer, error) {
		a.Signatures[2] = a.Signatures[0]
		return a, nil
	}}, roast.LieSignature, ""},
	{"a signature too few", faulty{sign: func(_ context.Context, a roast.Answer) (roast.Answer, error) {
		a.Signatures = a.Signatures[1:]
		return a, nil
	}}, roast.LieSignatureCount, ""},
}

func noNonces(err error) func(context.Context, []frost.PublicNonce) ([]frost.PublicNonce, error) {
	return func(context.Context, []frost.PublicNonce) ([]frost.PublicNonce, error) { return nil, err }
}

func noAnswer(err error) func(context.Context, roast.Answer) (roast.Answer, error) {
	return func(context.Context, roast.Answer) (roast.Answer, error) { return roast.Answer{}, err }
}

// spoilt are the town's guardians, some of them faulty.
func (w *town) spoilt(fault faulty, wrong ...frost.ID) []guardian.Peer {
	peers := w.peers()
	for i, p := range peers {
		if slices.Contains(wrong, p.ID()) {
			peers[i] = &faulty{Peer: p, commit: fault.commit, sign: fault.sign}
		} else {
			peers[i] = steady{p}
		}
	}
	return peers
}

// With one or two of five guardians wrong in any way the settlement is signed,
// and the log names them with what they did; with three wrong it is not, and the
// error names them. Whatever they did, the same five sign the next time.
func TestQuorumWithFaultyGuardians(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a guardian's deadline passes at once
		w := newTown(t)
		for _, f := range faults {
			for _, wrong := range [][]frost.ID{{0}, {1, 2}, {0, 1, 3}} {
				for _, complaint := range w.try(t.Context(), f, wrong) {
					t.Errorf("%s, guardians %v: %v", f.name, wrong, complaint)
				}
			}
		}
		sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
		w.checkSigned(t, sigs, err)
	})
}

// try signs with some guardians wrong and returns what is not as it should be.
func (w *town) try(ctx context.Context, f fault, wrong []frost.ID) (complaints []error) {
	warned := make(warnings)
	sigs, err := w.sign(ctx, warned, w.spoilt(f.fault, wrong...))
	var named map[frost.ID]error
	if len(wrong) <= audittest.Guardians-audittest.Threshold {
		if err == nil {
			err = w.verify(sigs)
		}
		if err != nil {
			return []error{err}
		}
		named = warned
		if strings.HasPrefix(f.name, "slow") {
			wrong = nil // nobody waited for them
		}
	} else {
		var failed *roast.NoQuorumError
		if sigs != nil || !errors.As(err, &failed) || failed.Need != audittest.Threshold {
			return []error{fmt.Errorf("%d signatures, %v", len(sigs), err)}
		}
		named = failed.Failed
		if helped := len(failed.Willing) + len(failed.Awaited); helped != audittest.Guardians-len(wrong) {
			complaints = append(complaints, fmt.Errorf("%d would have helped: %w", helped, err))
		}
	}
	if got := slices.Sorted(maps.Keys(named)); !slices.Equal(got, wrong) {
		complaints = append(complaints, fmt.Errorf("named are %v", got))
	}
	for id, said := range named {
		if err := w.judge(id, said, f); err != nil {
			complaints = append(complaints, fmt.Errorf("of guardian %d is said: %w", id, err))
		}
	}
	return complaints
}

// judge is nil if what is said of a guardian is its fault. A lie can be shown to
// somebody who was not there.
func (w *town) judge(id frost.ID, said error, f fault) error {
	var blame *roast.Blame
	lied := errors.As(said, &blame)
	switch {
	case f.lie == "" && !lied && strings.Contains(said.Error(), f.said):
		return nil
	case f.lie == "" || !lied || blame.ID != id || blame.Lie != f.lie || !strings.Contains(said.Error(), string(f.lie)):
		return fmt.Errorf("%w; want %s%s", said, f.lie, f.said)
	case f.lie == roast.LieMalformed:
		return nil // bytes show nothing
	}
	messages, err := guardian.Messages(w.built, 0)
	if err != nil {
		return err
	}
	return blame.Check(w.Group, messages)
}

// The caller's own end is blamed on no guardian.
func TestQuorumEndsWithItsContext(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(cancel context.CancelFunc) faulty
	}{
		{"in round one", func(cancel context.CancelFunc) faulty {
			return faulty{commit: func(ctx context.Context, _ []frost.PublicNonce) ([]frost.PublicNonce, error) {
				cancel()
				return nil, ctx.Err()
			}}
		}},
		{"in round two", func(cancel context.CancelFunc) faulty {
			return faulty{sign: func(ctx context.Context, _ roast.Answer) (roast.Answer, error) {
				cancel()
				return roast.Answer{}, ctx.Err()
			}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				ctx, cancel := context.WithCancel(t.Context())
				warned := make(warnings)
				sigs, err := w.sign(ctx, warned, w.spoilt(tt.fault(cancel), 1))
				var ended *roast.NoQuorumError
				if sigs != nil || !errors.Is(err, context.Canceled) || !errors.As(err, &ended) {
					t.Fatalf("%d signatures, %v; want the context's error", len(sigs), err)
				}
				for id, said := range ended.Failed {
					if !errors.Is(said, roast.ErrSilent) {
						t.Errorf("of guardian %d: %v", id, said)
					}
				}
				if len(ended.Blamed())+len(warned) > 0 {
					t.Errorf("blamed: %v %v", ended.Blamed(), warned)
				}
			})
		})
	}
}

// warnings gathers what a log's warnings say of guardians.
type warnings map[frost.ID]error

func (w warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w warnings) WithGroup(string) slog.Handler            { return w }

func (w warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level != slog.LevelWarn {
		return nil
	}
	var id frost.ID
	var said error
	r.Attrs(func(a slog.Attr) bool {
		switch v := a.Value.Any().(type) {
		case frost.ID:
			id = v
		case error:
			said = v
		}
		return true
	})
	w[id] = said
	return nil
}
