package integration

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// mouthOrders names, in the environment, the folder from which a process of this
// test binary takes its orders. Set, the process is a guardian on a real folder
// with its real host key and share, whose answers are changed on their way out.
const mouthOrders = "DAOBANK_STORY_MOUTH"

// orders are what guardians with a mouth of their own do in one round of a story.
type orders struct {
	Round int
	Seed  uint64
	Acts  map[int]string // by guardian, the name of an act; the others are honest
}

// A stage is the folder in which a story leaves its orders and the actors leave
// what they did.
type stage string

func (s stage) path(format string, args ...any) string {
	return filepath.Join(string(s), fmt.Sprintf(format, args...))
}

// replace writes a file whole or not at all.
func (s stage) replace(name string, content []byte) error {
	f, err := os.CreateTemp(string(s), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close(), os.Rename(f.Name(), s.path("%s", name)))
}

func (s stage) order(t *testing.T, o orders) {
	t.Helper()
	raw, err := json.Marshal(o)
	if err == nil {
		err = s.replace("orders", raw)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s stage) orders() (o orders) {
	if raw, err := os.ReadFile(s.path("orders")); err == nil {
		_ = json.Unmarshal(raw, &o)
	}
	return o
}

// acted says which guardians have done what they were ordered to in a round.
func (s stage) acted(round int) (who []int) {
	found, _ := filepath.Glob(s.path("acted-%d-*", round))
	for _, path := range found {
		var id int
		if _, err := fmt.Sscanf(filepath.Base(path), fmt.Sprintf("acted-%d-%%d", round), &id); err == nil {
			who = append(who, id)
		}
	}
	slices.Sort(who)
	return who
}

// A mouth is what a guardian says: its honest answers, or what an act makes of
// them.
type mouth struct {
	id     int
	stage  stage
	honest http.Handler
}

func (m *mouth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o := m.stage.orders()
	a, ok := acts[o.Acts[m.id]]
	if !ok || !strings.HasPrefix(r.URL.Path, a.path) {
		m.honest.ServeHTTP(w, r)
		return
	}
	acted := func() { _ = m.stage.replace(fmt.Sprintf("acted-%d-%d", o.Round, m.id), nil) }
	a.do(&scene{mouth: m, round: o.Round, acted: acted}, w, r)
	acted()
}

// leaving answers as h does, and leaves the lists of the answers on the stage.
func leaving(h http.Handler, s stage, id int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := httptest.NewRecorder()
		h.ServeHTTP(said, r)
		var a answer
		if json.Unmarshal(said.Body.Bytes(), &a) == nil {
			for _, name := range []string{"nonces", "signatures"} {
				if l, ok := a[name].([]any); ok {
					raw, _ := json.Marshal(l)
					_ = s.replace(fmt.Sprintf("%s-%d", name, id), raw)
				}
			}
		}
		w.WriteHeader(said.Code)
		_, _ = w.Write(said.Body.Bytes())
	})
}

// revive starts an actor again that has died, and waits until it can sign.
func (h *house) revive(ctx context.Context, s stage, i int) {
	h.t.Helper()
	h.guardians[i].kill() // it is dead, but not buried
	if err := os.Remove(s.path("ready-%d", i)); err != nil {
		h.t.Fatal(err)
	}
	log := h.logFromHere()
	h.guardians[i].start()
	waitFor(ctx, h.t, fmt.Sprintf("guardian %d to be back", i), func() (bool, string) {
		_, err := os.Stat(s.path("ready-%d", i))
		connected := slices.ContainsFunc(log.lines(h.t), func(line string) bool {
			return strings.Contains(line, fmt.Sprintf(`"guardian connected" guardian=%d `, i))
		})
		return err == nil && connected, fmt.Sprintf("connected %t, ready %v", connected, err)
	})
}

// actor prepares the process of a guardian with a mouth of its own.
func (h *house) actor(i int, s stage) *process {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	p := h.guardian(i, h.folder(i))
	p.binary, p.args = self, p.args[2:]
	p.env = append(p.env, mouthOrders+"="+string(s))
	return p
}

// mouthMain is the process: what "daobank guardian run" does, with a mouth.
func mouthMain(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := speak(ctx, args); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func speak(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("mouth", flag.ContinueOnError)
	dir, identity, document := f.String("dir", "", ""), f.String("identity-file", "", ""), f.String("founding", "", "")
	coordinator, bank := f.String("coordinator", "", ""), f.String("bank", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	raw, err := os.ReadFile(*document)
	if err != nil {
		return err
	}
	founding, err := guardian.ParseFounding(raw)
	if err != nil {
		return err
	}
	k, err := keep.Open(*dir)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.Agree(founding); err != nil {
		return err
	}
	host, err := k.HostKey(keyfile.IdentityFile(*identity))
	if err != nil {
		return err
	}
	end, err := wire.NewGuardian(founding, host, k)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- guard(ctx, k, founding, end, *bank) }()
	go func() { failed <- dialAs(ctx, host, founding, end, *coordinator) }()
	return <-failed
}

// dialAs answers the coordinator through the mouth.
func dialAs(ctx context.Context, host *chilldkg.HostKey, founding *guardian.Founding, end *wire.Guardian, address string) error {
	secret, err := host.Reveal()
	if err != nil {
		return err
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	coordinator, err := btcec.ParsePubKey(founding.Coordinator[:])
	if err != nil {
		return err
	}
	id := slices.Index(founding.Guardians, host.Public())
	s := stage(os.Getenv(mouthOrders))
	m := &mouth{id: id, stage: s, honest: leaving(end.Handler(), s, id)}
	return link.Serve(ctx, address, coordinator, key, m, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

// guard follows the bank with the share, once there is one.
func guard(ctx context.Context, k *keep.Keep, founding *guardian.Founding, end *wire.Guardian, url string) error {
	var result *chilldkg.Result
	select {
	case result = <-end.Made():
	case <-ctx.Done():
		return ctx.Err()
	}
	charter, err := founding.Charter()
	if err != nil {
		return err
	}
	vault, err := taproot.NewVault(founding.Policy(result.Group.Key()))
	if err != nil {
		return err
	}
	node, err := bitcoind.Dial(ctx, bitcoind.Config{URL: os.Getenv("DAOBANK_BITCOIND"),
		User: os.Getenv("DAOBANK_BITCOIND_USER"), Password: os.Getenv("DAOBANK_BITCOIND_PASSWORD")})
	if err != nil {
		return err
	}
	memory, err := k.Memory()
	if err != nil {
		return err
	}
	headers, err := k.Headers()
	if err != nil {
		return err
	}
	g, err := guardian.New(guardian.Config{Keys: []guardian.Key{{Share: result.Share, Group: result.Group}}, Vault: vault, Charter: charter,
		Journal: api.Dial(url).Pin(charter.ID()), Chain: node, Limits: guardian.DefaultLimits(), Memory: memory, Headers: headers})
	if err != nil {
		return err
	}
	end.Serve(g)
	for {
		if g.Sync(ctx) == nil { // else the bank is away
			_ = stage(os.Getenv(mouthOrders)).replace(fmt.Sprintf("ready-%d", result.Share.ID()), nil)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// await waits until a file is there.
func (s stage) await(ctx context.Context, limit time.Duration, there func() bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !there() && ctx.Err() == nil {
		pause(ctx, 2*time.Millisecond)
	}
}
