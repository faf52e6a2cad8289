package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// disk is what a guardian has stored; it survives a restart.
type disk struct {
	mu   sync.Mutex
	data map[ledger.Hash][]byte // by document
	full bool
}

var errFull = errors.New("no space left")

func (d *disk) Recovery(f *guardian.Founding) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	data := d.data[f.Hash()]
	if data == nil {
		return nil, keep.ErrNotFounded
	}
	return data, nil
}

func (d *disk) SaveRecovery(f *guardian.Founding, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errFull
	}
	if d.data == nil {
		d.data = make(map[ledger.Hash][]byte)
	}
	d.data[f.Hash()] = data
	return nil
}

// council is n guardians and the coordinator's ends to them. Each request passes
// intercept, which can spoil it.
type council struct {
	t         *testing.T
	founding  *guardian.Founding
	hosts     []*chilldkg.HostKey
	disks     []*disk
	ends      []*Guardian
	intercept func(id int, path string, answer func() *http.Response) (*http.Response, error)
}

func newCouncil(t *testing.T, threshold, n int) *council {
	t.Helper()
	c := &council{t: t}
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	c.founding = &guardian.Founding{Name: "council", Network: "regtest", BirthHash: ledger.Hash{1}, Depth: 2, WithdrawalMin: 1000,
		Operator: ledger.KeyOf(operator), Coordinator: chilldkg.HostPublicKey(operator.PubKey().SerializeCompressed()),
		Threshold: threshold, Recovery: taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{taproot.XOnlyKey(ledger.KeyOf(operator))}, Delay: 100}}
	for range n {
		host, err := chilldkg.GenerateHostKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.hosts, c.disks = append(c.hosts, host), append(c.disks, &disk{})
		c.founding.Guardians = append(c.founding.Guardians, host.Public())
	}
	if err := c.founding.Validate(); err != nil {
		t.Fatal(err)
	}
	c.ends = make([]*Guardian, n)
	for i := range n {
		c.restart(i)
	}
	return c
}

// restart gives a guardian a new process on what it has stored.
func (c *council) restart(i int) {
	c.t.Helper()
	end, err := NewGuardian(c.founding, c.hosts[i], c.disks[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.ends[i] = end
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *council) remotes() (list []*Remote) {
	for i := range c.ends {
		list = append(list, NewRemote(frost.ID(i), tripper(func(r *http.Request) (*http.Response, error) {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			answer := func() *http.Response {
				w := httptest.NewRecorder()
				c.ends[i].Handler().ServeHTTP(w, r)
				return w.Result()
			}
			if c.intercept != nil {
				return c.intercept(i, r.URL.Path, answer)
			}
			return answer(), nil
		})))
	}
	return list
}

func (c *council) found() (*frost.Group, error) {
	proof, err := Found(c.t.Context(), c.founding, c.remotes(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return proof.Group(c.founding)
}

// result is what a guardian has of the founding's key generation, or nil.
func (g *Guardian) result(f *guardian.Founding) *chilldkg.Result { return g.document(f.Hash()).result }

// expectSame checks that every guardian holds a share of this group.
func (c *council) expectSame(group *frost.Group) {
	c.t.Helper()
	for i, end := range c.ends {
		own := end.result(c.founding)
		if own == nil {
			c.t.Fatalf("guardian %d holds no share", i)
		}
		if own.Group.Key() != group.Key() || own.Share.ID() != frost.ID(i) {
			c.t.Errorf("guardian %d holds share %d of the key %s, the coordinator says %s", i, own.Share.ID(), own.Group.Key(), group.Key())
		}
		if public, _ := group.PublicShare(frost.ID(i)); public != own.Share.Public() {
			c.t.Errorf("guardian %d: its share is not the group's", i)
		}
	}
}

func TestFound(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 3}, {3, 5}} {
		c := newCouncil(t, size[0], size[1])
		group, err := c.found()
		if err != nil {
			t.Fatalf("%v: %v", size, err)
		}
		c.expectSame(group)
		again, err := c.found()
		if err != nil || again.Key() != group.Key() {
			t.Errorf("%v: founding again gives %v, %v; want the same key", size, again, err)
		}
	}
}

// TestFoundAfterACrash: the coordinator dies before the k-th message is sent or
// after it is answered, for every k; a second call ends with one group that
// all hold, and no key is given out before that.
func TestFoundAfterACrash(t *testing.T) {
	died := errors.New("the coordinator is dead")
	for k := 0; ; k++ {
		for _, answered := range []bool{false, true} {
			c := newCouncil(t, 2, 3)
			var mu sync.Mutex
			n, dead := 0, false
			c.intercept = func(_ int, _ string, answer func() *http.Response) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				if n++; dead || n <= k {
					if dead {
						return nil, died
					}
					return answer(), nil
				}
				dead = true
				if answered {
					answer()
				}
				return nil, died
			}
			group, err := c.found()
			if err == nil {
				if k < 12 {
					t.Fatalf("founding took only %d messages", k)
				}
				c.expectSame(group)
				return // k is beyond the last message
			}
			c.intercept = nil
			for i := range c.ends {
				c.restart(i) // and every guardian restarts too
			}
			if group, err = c.found(); err != nil {
				t.Fatalf("after a crash at message %d (answered %v): %v", k, answered, err)
			}
			c.expectSame(group)
		}
	}
}

// TestFoundRefuses: one guardian goes wrong, no group is given out, and the
// error says who.
func TestFoundRefuses(t *testing.T) {
	spoil := func(path string, change func(*keygenMessage)) func(*council) {
		return func(c *council) {
			c.intercept = func(id int, at string, answer func() *http.Response) (*http.Response, error) {
				response := answer()
				if id != 1 || at != path {
					return response, nil
				}
				raw, _ := io.ReadAll(response.Body)
				var m keygenMessage
				if err := json.Unmarshal(raw, &m); err != nil {
					return nil, err
				}
				change(&m)
				raw, _ = json.Marshal(m)
				response.Body = io.NopCloser(strings.NewReader(string(raw)))
				return response, nil
			}
		}
	}
	for _, row := range []struct {
		name  string
		wrong func(*council)
		said  string
	}{
		{"silent", func(c *council) {
			c.intercept = func(id int, _ string, answer func() *http.Response) (*http.Response, error) {
				if id == 1 {
					return nil, errors.New("connection refused")
				}
				return answer(), nil
			}
		}, "guardian 1"},
		{"another founding document", func(c *council) {
			other := *c.founding
			other.Name = "another bank"
			end, err := NewGuardian(&other, c.hosts[1], c.disks[1])
			if err != nil {
				c.t.Fatal(err)
			}
			c.ends[1] = end
		}, "guardian 1 has not agreed to the document"},
		{"rubbish in step one", spoil("/keygen/begin", func(m *keygenMessage) { clear(m.Message) }), "nonce"},
		{"too short in step one", spoil("/keygen/begin", func(m *keygenMessage) { m.Message = m.Message[1:] }), "1"},
		{"a wrong share in step one", spoil("/keygen/begin", func(m *keygenMessage) { m.Message[len(m.Message)-1] ^= 1 }), "1"},
		{"a wrong signature in step two", spoil("/keygen/step2", func(m *keygenMessage) { m.Message[10] ^= 1 }), "participant 1"},
		{"a wrong acknowledgement", spoil("/keygen/finalize", func(m *keygenMessage) { m.Message[10] ^= 1 }), "participant 1"},
		{"a run that never was", func(c *council) {
			c.intercept = func(id int, at string, answer func() *http.Response) (*http.Response, error) {
				response := answer()
				if id == 1 && at == "/status" {
					raw, err := json.Marshal(Status{Documents: []DocumentStatus{{Hash: c.founding.Hash(), Finished: true, Recovery: []byte("rubbish")}}})
					response.Body = io.NopCloser(strings.NewReader(string(raw)))
					return response, err
				}
				return response, nil
			}
		}, "guardian 1 says that it has finished"},
		{"a full disk", func(c *council) { c.disks[1].full = true }, errFull.Error()},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCouncil(t, 2, 3)
			row.wrong(c)
			group, err := c.found()
			if err == nil || group != nil {
				t.Fatalf("a group was given out: %v", group.Key())
			}
			if !strings.Contains(err.Error(), row.said) {
				t.Errorf("the error does not say %q: %v", row.said, err)
			}
		})
	}
}

// TestAdoptRefusesOthersData: recovery data of another group does not become
// this guardian's, even when its host key took part.
func TestAdoptRefusesOthersData(t *testing.T) {
	c := newCouncil(t, 2, 3)
	other := *c.founding
	other.Threshold = 3
	ends := slices.Clone(c.ends)
	for i := range c.ends {
		end, err := NewGuardian(&other, c.hosts[i], &disk{})
		if err != nil {
			t.Fatal(err)
		}
		c.ends[i] = end
	}
	if _, err := Found(t.Context(), &other, c.remotes(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	data := c.ends[0].result(&other).RecoveryData
	if _, err := ends[0].adopt(ends[0].document(c.founding.Hash()), data); !errors.Is(err, errOtherGroup) || ends[0].result(c.founding) != nil {
		t.Errorf("the data of a 3-of-3 group was taken for a 2-of-3 one: %v", err)
	}
}

// TestAdoptRefusesAnOldKey: a succession of the same guardians is not done with the
// key that they have.
func TestAdoptRefusesAnOldKey(t *testing.T) {
	c := newCouncil(t, 2, 3)
	group, err := c.found()
	if err != nil {
		t.Fatal(err)
	}
	next := c.succession(group.Key())
	for _, end := range c.ends {
		if err := end.Agree(next); err != nil {
			t.Fatal(err)
		}
	}
	old := c.ends[0].result(c.founding).RecoveryData
	if _, err := c.ends[1].adopt(c.ends[1].document(next.Hash()), old); !errors.Is(err, errOldKey) {
		t.Errorf("the old key was adopted for the succession: %v", err)
	}
	proof, err := Found(t.Context(), next, c.remotes(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if made, err := proof.Group(next); err != nil || made.Key() == group.Key() {
		t.Errorf("the succession made the key %v, %v", made, err)
	}
}

// succession is the document of the next guardians, who are the same.
func (c *council) succession(founded frost.PublicKey) *guardian.Founding {
	c.t.Helper()
	next := *c.founding
	policy := c.founding.Policy(founded)
	next.Generation, next.Founded = 1, &policy
	if err := next.Validate(); err != nil {
		c.t.Fatal(err)
	}
	return &next
}

// TestSigningNeedsAShare: before the key is made a guardian refuses to sign.
func TestSigningNeedsAShare(t *testing.T) {
	c := newCouncil(t, 2, 3)
	r := c.remotes()[0]
	if _, err := r.Commit(context.Background(), guardian.Proposal{}, struct{ commitRequest }{}.Request); err == nil {
		t.Error("a guardian without a share gave nonces")
	}
}

// TestFoundGivesUpWhoIsSilent: a guardian that takes the connection and answers
// nothing is named after a while.
func TestFoundGivesUpWhoIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 2, 3)
		remotes := c.remotes()
		remotes[1] = NewRemote(1, tripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		began := time.Now()
		_, err := Found(t.Context(), c.founding, remotes, slog.New(slog.DiscardHandler))
		if !errors.Is(err, errSilent) || !strings.Contains(err.Error(), "guardian 1") || time.Since(began) > askLimit {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// unreadable is a disk whose recovery data cannot be read now.
type unreadable struct{ disk }

var errUnreadable = errors.New("input/output error")

func (*unreadable) Recovery(*guardian.Founding) ([]byte, error) { return nil, errUnreadable }

// TestUnreadableShare: a guardian that cannot read whether it holds a share does
// not start as one that holds none.
func TestUnreadableShare(t *testing.T) {
	c := newCouncil(t, 2, 3)
	if end, err := NewGuardian(c.founding, c.hosts[0], &unreadable{}); end != nil || !errors.Is(err, errUnreadable) {
		t.Errorf("it starts: %v", err)
	}
}
