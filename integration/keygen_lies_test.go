package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot/chilldkg"
)

const (
	liar            = 0 // who lies in the key generation
	keygenThreshold = 2
)

// A keygenLie is told by guardian 0 of three in one step of the key generation.
type keygenLie struct {
	name string
	// proved: the coordinator can prove it by itself. Otherwise it is told what the
	// others say, or that guardian 0 said something that it cannot read.
	proved bool
	act
}

// keygenLies are in the order of the steps. From finalize on the key is there,
// and what is left is that everyone takes it.
var keygenLies = []keygenLie{
	{"finished with rubbish", false, act{path: "/status", do: edit(inDocument(func(a answer) { a["finished"], a["recovery"] = true, []byte("rubbish") }))}},
	{"finished with nothing", false, act{path: "/status", do: edit(inDocument(func(a answer) { a["finished"] = true }))}},
	{"of another founding", false, act{path: "/status", do: edit(inDocument(func(a answer) { a["hash"] = flipped(a["hash"].(string)) }))}},
	{"status not JSON", false, act{path: "/status", do: say(http.StatusOK, "\x00")}},
	{"first: no point", true, spoil("begin", func(b []byte, _ *rand.Rand) []byte { b[0] = 5; return b })},
	{"first: another point", false, spoil("begin", func(b []byte, _ *rand.Rand) []byte { b[0] ^= 1; return b })},
	{"first: proof", false, spoil("begin", within(keygenThreshold*33, keygenThreshold*33+64))},
	{"first: nonce", false, spoil("begin", within(keygenThreshold*33+64, keygenThreshold*33+64+1))},
	{"first: a share", false, spoil("begin", within(-32, -1))},
	{"first: any bit", false, spoil("begin", within(0, -1))},
	{"first: too short", false, spoil("begin", shorter)},
	{"first: too long", false, spoil("begin", longer)},
	{"first: nothing", false, spoil("begin", nothing)},
	{"first: not JSON", false, act{path: "/keygen/begin", do: say(http.StatusOK, "{")}},
	{"second: any bit", true, spoil("step2", within(0, -1))},
	{"second: too short", false, spoil("step2", shorter)},
	{"second: too long", false, spoil("step2", longer)},
	{"second: nothing", false, spoil("step2", nothing)},
	{"second: says that somebody is faulty", false, act{path: "/keygen/step2", do: say(http.StatusConflict,
		`{"error":{"kind":"unknown_faulty","message":"participant 1 is faulty"}}`)}},
	{"second: 2 MiB", false, act{path: "/keygen/step2", do: say(http.StatusOK, strings.Repeat(" ", 2<<20))}},
	{"acknowledgement: any bit", true, spoil("finalize", within(0, -1))},
	{"acknowledgement again: any bit", true, spoil("adopt", within(0, -1))},
	{"acknowledgement again: too short", false, spoil("adopt", shorter)},
	{"acknowledgement again: nothing", false, spoil("adopt", nothing)},
	{"finished with another key", false, act{path: "/status", do: edit(inDocument(func(a answer) {
		data, _ := base64.StdEncoding.DecodeString(a["recovery"].(string))
		a["recovery"] = within(0, -1)(data, rand.New(rand.NewPCG(1, 1)))
	}))}},
}

// inDocument changes what a status says of the founding's key generation.
func inDocument(change func(answer)) func(answer) {
	return func(a answer) { change(a.list("documents")[0].(map[string]any)) }
}

func init() {
	for _, l := range keygenLies {
		acts["key generation: "+l.name] = l.act
	}
}

// spoil changes the message that a step is answered with.
func spoil(step string, change func([]byte, *rand.Rand) []byte) act {
	return act{path: "/keygen/" + step, do: func(s *scene, w http.ResponseWriter, r *http.Request) {
		random := rand.New(rand.NewPCG(s.stage.orders().Seed, uint64(s.round)))
		edit(func(a answer) {
			message, _ := base64.StdEncoding.DecodeString(a["message"].(string))
			a["message"] = change(message, random)
		})(s, w, r)
	}}
}

// within flips one bit of the bytes from a place up to another; places below 0
// count from the end, −1 being the end.
func within(from, to int) func([]byte, *rand.Rand) []byte {
	return func(b []byte, random *rand.Rand) []byte {
		place := func(i int) int {
			if i < 0 {
				return len(b) + i + 1
			}
			return i
		}
		first, end := place(from), place(to)
		b[first+random.IntN(end-first)] ^= 1 << random.IntN(8)
		return b
	}
}

func shorter(b []byte, _ *rand.Rand) []byte { return b[:len(b)-1] }
func longer(b []byte, _ *rand.Rand) []byte  { return append(b, 0) }
func nothing([]byte, *rand.Rand) []byte     { return nil }

// TestGuardianLiesInTheCeremony: whatever a guardian says in the key generation
// instead of what it should, no group is given out, and nobody else is called
// faulty. When it is honest again the bank opens, and its vault can be spent.
func TestGuardianLiesInTheCeremony(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	seed := newSeed(t)
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), keygenThreshold, 3)
	s := stage(t.TempDir())
	h.reserve(ctx)
	for i := range 3 {
		p := h.guardian(i, h.folder(i))
		if i == liar {
			p = h.actor(i, s)
		}
		h.guardians = append(h.guardians, p)
		p.start()
	}
	h.founderStops(ctx, s)
	u := h.usurp(h.address)
	u.await(ctx, 3)
	for i, l := range keygenLies {
		t.Run(l.name, func(t *testing.T) {
			s.order(t, orders{Round: i + 1, Seed: seed, Acts: map[int]string{liar: "key generation: " + l.name}})
			group, err := wire.Found(ctx, h.foundingDocument(), u.remotes, slog.New(slog.DiscardHandler))
			if group != nil || err == nil {
				t.Fatal("a group was given out")
			}
			t.Logf("the coordinator says: %v", err)
			waitFor(ctx, t, "the lie to be told", func() (bool, string) {
				return slices.Equal(s.acted(i+1), []int{liar}), "nobody lied"
			})
			var faulty *chilldkg.FaultyParticipantError
			if proved := errors.As(err, &faulty); proved && faulty.ID != liar || !proved && l.proved {
				t.Errorf("proved of %+v, want of guardian %d: %t", faulty, liar, l.proved)
			}
			if !strings.Contains(err.Error(), "guardian 0") && !strings.Contains(err.Error(), "participant 0") {
				t.Error("the liar is not named")
			}
		})
	}

	if err := u.hub.Close(); err != nil {
		t.Error(err)
	}
	h.guardians[liar].stop()
	h.guardians[liar] = h.guardian(liar, h.folder(liar))
	h.guardians[liar].start()
	h.reopen(ctx)
	c := newCustomer(ctx, h)
	c.withdraw(10_000)
	c.mine(1)
	c.settle(2)
	h.expectSound()
	h.expectSignedOnce(c)
	raw, err := os.ReadFile(filepath.Join(h.dir, "bank.log"))
	if err != nil || bytes.Contains(raw, []byte("begins again")) {
		t.Errorf("the honest key generation did not end well at once: %v", err)
	}
}

// founderStops: the bank itself ends with the liar's name when there is proof, and
// has no key.
func (h *house) founderStops(ctx context.Context, s stage) {
	h.t.Helper()
	s.order(h.t, orders{Round: 0, Acts: map[int]string{liar: "key generation: second: any bit"}})
	log := h.logFromHere()
	h.spawn()
	select {
	case err := <-h.bank.exited:
		h.bank.cmd = nil
		if said := strings.Join(log.lines(h.t), "\n"); err == nil || !strings.Contains(said, "participant 0 is faulty") {
			h.t.Errorf("the bank ended with %v and says:\n%s", err, said)
		}
	case <-ctx.Done():
		h.t.Fatal("the bank goes on with a guardian that is proved to lie")
	}
	for _, name := range []string{"key-*.json", "bank.json"} {
		if found, err := filepath.Glob(filepath.Join(h.dir, "bank", name)); err != nil || len(found) > 0 {
			h.t.Errorf("there are %v: %v", found, err)
		}
	}
}
