package guardian_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot/frost"
)

// faulty is a guardian that goes wrong in one way.
type faulty struct {
	guardian.Signer
	commit func(context.Context, []frost.PublicNonce, error) ([]frost.PublicNonce, error)
	sign   func(context.Context, []frost.PartialSignature, error) ([]frost.PartialSignature, error)
}

func (f faulty) Commit(ctx context.Context, p guardian.Proposal) ([]frost.PublicNonce, error) {
	nonces, err := f.Signer.Commit(ctx, p)
	if f.commit != nil {
		return f.commit(ctx, nonces, err)
	}
	return nonces, err
}

func (f faulty) Sign(ctx context.Context, settlement uint32, ids []frost.ID, nonces []frost.AggregateNonce) ([]frost.PartialSignature, error) {
	parts, err := f.Signer.Sign(ctx, settlement, ids, nonces)
	if f.sign != nil {
		return f.sign(ctx, parts, err)
	}
	return parts, err
}

var errAway = errors.New("connection refused")

// faults are the ways in which a guardian can go wrong, and what is said of it.
var faults = []struct {
	name  string
	fault func(guardian.Signer) guardian.Signer
	said  string
}{
	{"away", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(context.Context, []frost.PublicNonce, error) ([]frost.PublicNonce, error) { return nil, errAway }}
	}, "connection refused"},
	{"gone between the rounds", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, sign: func(context.Context, []frost.PartialSignature, error) ([]frost.PartialSignature, error) {
			return nil, errAway
		}}
	}, "connection refused"},
	{"slow in round one", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(ctx context.Context, _ []frost.PublicNonce, _ error) ([]frost.PublicNonce, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	}, "deadline exceeded"},
	{"slow in round two", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, sign: func(ctx context.Context, _ []frost.PartialSignature, _ error) ([]frost.PartialSignature, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	}, "deadline exceeded"},
	{"a nonce too few", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(_ context.Context, n []frost.PublicNonce, err error) ([]frost.PublicNonce, error) {
			return n[1:], err
		}}
	}, "2 nonces for 3 inputs"},
	{"a nonce too many", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(_ context.Context, n []frost.PublicNonce, err error) ([]frost.PublicNonce, error) {
			return append(n, n[0]), err
		}}
	}, "4 nonces for 3 inputs"},
	{"no nonces", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(context.Context, []frost.PublicNonce, error) ([]frost.PublicNonce, error) { return nil, nil }}
	}, "0 nonces for 3 inputs"},
	{"a nonce that is no point", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(_ context.Context, n []frost.PublicNonce, err error) ([]frost.PublicNonce, error) {
			n[2] = frost.PublicNonce{7}
			return n, err
		}}
	}, "public nonce of participant"},
	{"a nonce that is not its own", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, commit: func(_ context.Context, n []frost.PublicNonce, err error) ([]frost.PublicNonce, error) {
			n[0], n[1] = n[1], n[0]
			return n, err
		}}
	}, "partial signature of participant"},
	{"a partial signature of zero", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, sign: func(_ context.Context, p []frost.PartialSignature, err error) ([]frost.PartialSignature, error) {
			p[1] = frost.PartialSignature{}
			return p, err
		}}
	}, "partial signature of participant"},
	{"a partial signature out of range", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, sign: func(_ context.Context, p []frost.PartialSignature, err error) ([]frost.PartialSignature, error) {
			for i := range p[0] {
				p[0][i] = 0xff
			}
			return p, err
		}}
	}, "partial signature of participant"},
	{"a signature too few", func(s guardian.Signer) guardian.Signer {
		return faulty{Signer: s, sign: func(_ context.Context, p []frost.PartialSignature, err error) ([]frost.PartialSignature, error) {
			return p[1:], err
		}}
	}, "2 signatures for 3 inputs"},
}

// With one or two of five guardians wrong in any way the settlement is signed,
// and the log names them; with three wrong it is not, and the error names them.
func TestQuorumWithFaultyGuardians(t *testing.T) {
	w := newTown(t)
	for _, tt := range faults {
		for _, wrong := range [][]frost.ID{{0}, {1, 2}, {0, 1, 3}} {
			t.Run(tt.name, func(t *testing.T) {
				// In the bubble a guardian's deadline passes at once.
				synctest.Test(t, func(t *testing.T) {
					signers := w.signers()
					for _, id := range wrong {
						signers[id] = tt.fault(signers[id])
					}
					var named namedInLog
					q := guardian.NewQuorum(w.Group, signers, slog.New(&named))
					sigs, err := q.Sign(t.Context(), w.built, w.Books.Open().Batch)
					if len(wrong) <= audittest.Guardians-audittest.Threshold {
						w.checkSigned(t, sigs, err)
						if got := slices.Sorted(maps.Keys(named)); !slices.Equal(got, wrong) {
							t.Errorf("the log names %v, wrong are %v", got, wrong)
						}
						return
					}
					var failed *guardian.QuorumError
					if !errors.As(err, &failed) || failed.Need != audittest.Threshold {
						t.Fatalf("%d signatures, %v", len(sigs), err)
					}
					if got := slices.Sorted(maps.Keys(failed.Refused)); !slices.Equal(got, wrong) {
						t.Errorf("the error names %v, wrong are %v", got, wrong)
					}
					for id, reason := range failed.Refused {
						if !strings.Contains(reason.Error(), tt.said) || !strings.Contains(err.Error(), reason.Error()) {
							t.Errorf("guardian %d: %v, want %q", id, reason, tt.said)
						}
					}
				})
			})
		}
	}
}

// The caller's own end is not blamed on a guardian.
func TestQuorumEndsWithItsContext(t *testing.T) {
	for _, tt := range faults {
		if !strings.HasPrefix(tt.name, "slow") {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t)
			ctx, cancel := context.WithCancel(t.Context())
			signers := w.signers()
			slow := tt.fault(signers[1])
			signers[1] = canceling{slow, cancel, strings.HasSuffix(tt.name, "one")}
			_, err := w.quorum(signers).Sign(ctx, w.built, w.Books.Open().Batch)
			var failed *guardian.QuorumError
			if !errors.Is(err, context.Canceled) || errors.As(err, &failed) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	}
}

// canceling ends the caller's context when its guardian is asked.
type canceling struct {
	guardian.Signer
	cancel   context.CancelFunc
	inCommit bool
}

func (c canceling) Commit(ctx context.Context, p guardian.Proposal) ([]frost.PublicNonce, error) {
	if c.inCommit {
		c.cancel()
	}
	return c.Signer.Commit(ctx, p)
}

func (c canceling) Sign(ctx context.Context, settlement uint32, ids []frost.ID, nonces []frost.AggregateNonce) ([]frost.PartialSignature, error) {
	c.cancel()
	return c.Signer.Sign(ctx, settlement, ids, nonces)
}

// namedInLog gathers the guardians that warnings name.
type namedInLog map[frost.ID]bool

func (n *namedInLog) Enabled(context.Context, slog.Level) bool { return true }
func (n *namedInLog) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *namedInLog) WithGroup(string) slog.Handler            { return n }

func (n *namedInLog) Handle(_ context.Context, r slog.Record) error {
	if *n == nil {
		*n = make(namedInLog)
	}
	r.Attrs(func(a slog.Attr) bool {
		if id, ok := a.Value.Any().(frost.ID); ok && r.Level == slog.LevelWarn {
			(*n)[id] = true
		}
		return true
	})
	return nil
}
