package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot"
)

var liarsSeed = flag.Uint64("liars.seed", 0, "seed of the stories in which guardians lie; 0 takes a new one")

// newSeed is a seed that a failed story can be repeated with.
func newSeed(t *testing.T) uint64 {
	seed := *liarsSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./integration -run '^%s$' -args -liars.seed=%d", t.Name(), seed)
	return seed
}

// deposit pays the customer's address, so that the next settlement has one coin
// more to spend than the vault's change.
func (c *customer) deposit(amount int64) {
	c.h.t.Helper()
	vault, err := taproot.NewVault(c.bank.Policy)
	c.must(err)
	out, err := vault.Output(taproot.Deposit, c.id.Index())
	c.must(err)
	_, err = c.h.node.FundMany(c.ctx, []*wire.TxOut{wire.NewTxOut(amount, out.Script)})
	c.must(err)
}

// expectSound audits the bank: every signature, every fact and every settlement,
// and that all wallets together are the coins on chain.
func (h *house) expectSound() {
	h.t.Helper()
	run(h.t, append(nodeEnv(h.node), "DAOBANK_POSTGRES="+h.database), "audit", "--data", h.dir)
}

// A logPart is what the bank has logged since a moment.
type logPart struct {
	path string
	from int
}

func (h *house) logFromHere() logPart {
	h.t.Helper()
	raw, err := os.ReadFile(h.bank.log)
	if err != nil {
		h.t.Fatal(err)
	}
	return logPart{path: h.bank.log, from: len(raw)}
}

func (l logPart) lines(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(raw[l.from:]), "\n")
}

var (
	blamedForm = regexp.MustCompile(`lied: signer (\d+) sent`)
	falseForm  = regexp.MustCompile(`an attestation is not kept.*guardian=(\d+)`)
)

// blamed are the guardians that the bank says have lied.
func (l logPart) blamed(t *testing.T) (who []int) {
	t.Helper()
	for _, line := range l.lines(t) {
		for _, form := range []*regexp.Regexp{blamedForm, falseForm} {
			for _, found := range form.FindAllStringSubmatch(line, -1) {
				id, err := strconv.Atoi(found[1])
				if err != nil {
					t.Fatal(err)
				}
				who = append(who, id)
			}
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// TestGuardiansLie: of five guardians, of which three sign, two lie in every
// message that they can send. Each time the settlement is mined, and whoever is
// called a liar is one.
func TestGuardiansLie(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	random := rand.New(rand.NewPCG(newSeed(t), 1))
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 3, 5)
	s := stage(t.TempDir())
	h.openWith(ctx, h.cast(s, 0, 1, 4))
	c := newCustomer(ctx, h)

	n := uint32(1)
	for _, path := range []string{"/status", "/commit", "/sign"} {
		lies := liesAbout(path)
		random.Shuffle(len(lies), func(i, j int) { lies[i], lies[j] = lies[j], lies[i] })
		for i := 0; i < len(lies); i += 2 {
			told := map[int]string{0: lies[i], 1: lies[(i+1)%len(lies)], 4: "last"}
			t.Run(fmt.Sprintf("%s and %s", told[0], told[1]), func(t *testing.T) {
				for range 3 { // a lie that comes too late is not heard
					n++
					if c.settleAmongLiars(t, s, orders{Round: int(n), Acts: told}) {
						return
					}
				}
				t.Error("nobody is blamed")
			})
		}
	}
	s.order(t, orders{Round: int(n) + 1})
	c.withdraw(10_000)
	c.mine(1)
	c.settle(n + 1)
	h.expectSound()
	h.expectSignedOnce(c)
}

// liesAbout are the acts, in order, in which somebody lies in an answer and lives.
func liesAbout(path string) (names []string) {
	for name, a := range acts {
		if a.path == path && name != "last" && !strings.HasPrefix(name, "dies ") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// openWith is open where the guardians' processes are prepared otherwise.
func (h *house) openWith(ctx context.Context, prepare func(i int) *process) {
	h.t.Helper()
	h.spawn()
	said := h.bank.await(ctx, "guardians")
	h.url, h.address = said["api"], said["guardians"]
	for i := range h.identities() {
		h.guardians = append(h.guardians, prepare(i))
		h.guardians[i].start()
	}
	h.bank.await(ctx, "listening")
}

// cast prepares some guardians as actors and the others as they are.
func (h *house) cast(s stage, actors ...int) func(i int) *process {
	return func(i int) *process {
		if slices.Contains(actors, i) {
			return h.actor(i, s)
		}
		return h.guardian(i, h.folder(i))
	}
}

// settleAmongLiars lets a settlement be signed while orders are carried out, and
// says whether somebody was blamed, or nobody had to be.
func (c *customer) settleAmongLiars(t *testing.T, s stage, o orders) bool {
	defer func(outer *testing.T) { c.h.t = outer }(c.h.t)
	c.h.t = t
	log, certain := c.h.logFromHere(), false
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v, done by %v; the bank's log:\n%s", o.Acts, s.acted(o.Round), strings.Join(log.lines(t), "\n"))
		}
	})
	s.order(t, o)
	if acts[o.Acts[0]].path == "/status" { // which has nothing to do with settlements
		log.from = 0 // what is wrong with attestations is told once
		c.wait("the lies", func() (bool, string) { who := s.acted(o.Round); return len(who) == 2, fmt.Sprint(who) })
	}
	c.deposit(10_000)
	c.mine(depth)
	c.settle(uint32(o.Round))
	liars := slices.DeleteFunc(s.acted(o.Round), func(id int) bool { return o.Acts[id] == "last" })
	if len(liars) == 0 {
		t.Error("nobody lied")
	}
	for _, id := range liars {
		certain = certain || acts[o.Acts[id]].certain
	}
	blamed := log.blamed(t)
	if slices.ContainsFunc(blamed, func(id int) bool { return id > 1 }) {
		t.Errorf("%v are blamed, the liars are 0 and 1", blamed)
	}
	return !certain || len(blamed) > 0
}

// expectSignedOnce checks, when all guardians have stopped or wait, that none has
// signed two transactions for one number, and that each was mined.
func (h *house) expectSignedOnce(c *customer) {
	h.t.Helper()
	for i := range h.identities() {
		for n, txids := range signedLog(h.t, h.folder(i)) {
			list, err := c.client.Settlements(c.ctx, n, 1)
			c.must(err)
			if len(txids) != 1 || len(list) == 0 || list[0].TxID != txids[0].String() {
				h.t.Errorf("guardian %d has signed %v for settlement %d, which is %+v", i, txids, n, list)
			}
		}
	}
}

// signedLog is what a guardian has agreed to sign, by number.
func signedLog(t *testing.T, folder string) map[uint32][]chainhash.Hash {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "signed.log"))
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[uint32][]chainhash.Hash)
	for line := range strings.Lines(string(raw)) {
		var s guardian.Signed
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list[s.Settlement] = append(list[s.Settlement], chainhash.Hash(s.TxID))
	}
	return list
}
