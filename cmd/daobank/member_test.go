package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// testMain runs the tests and stops the PostgreSQL that they share.
type testMain struct{ m *testing.M }

func (t testMain) Run() int { return cluster.Main(t.m) }

func TestMain(m *testing.M) {
	testscript.Main(testMain{m}, map[string]func(){
		"daobank": func() {
			scryptWorkFactor = 8 // a passphrase of a test needs no protection
			os.Exit(run())
		},
	})
}

// Each script is a story of members at a bank of its own: the real engine on a
// real PostgreSQL behind HTTP. Besides testscript's commands there are
//
//	member NAME ARG…    daobank member with the key NAME.key and the passphrase of the file "pass"
//	credit NAME SAT     a deposit reaches its depth
//	attest N            as if N guardians had replayed the journal so far
//	bank lose N         the next N orders are carried out, and their answers lost
//	bank stop, start    the bank goes away and comes back
//	bank forget         the bank comes back with books that are empty
//	mode PERM FILE      the file has exactly these permissions
//	eventually PATTERN exec PROGRAM ARG…    the output matches after a while
func TestMember(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/member",
		Setup: func(env *testscript.Env) error {
			b, err := startScriptBank(scriptTB{env})
			if err != nil {
				return err
			}
			env.Values[bankKey{}] = b
			env.Vars = append(env.Vars, "DAOBANK_BANK="+b.url, "XDG_CONFIG_HOME="+env.WorkDir+"/config")
			return os.WriteFile(env.WorkDir+"/pass", []byte("correct horse\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"member": scriptMember,
			"credit": scriptCredit,
			"attest": scriptAttest,
			"bank":   scriptBankCommand,
			"mode":   scriptMode,

			"eventually": scriptEventually,
		},
	})
}

type bankKey struct{}

// scriptTB lets cluster.Test belong to one script.
type scriptTB struct{ *testscript.Env }

func (t scriptTB) Helper()           {}
func (t scriptTB) Cleanup(f func())  { t.Defer(f) }
func (t scriptTB) Fatal(args ...any) { t.T().Fatal(args...) }
func (t scriptTB) Errorf(format string, args ...any) {
	t.T().Log(fmt.Sprintf(format, args...))
}

// scriptBank is the bank of one script.
type scriptBank struct {
	tb  scriptTB
	url string

	mu      sync.Mutex
	lose    int          // answers to orders
	handler http.Handler // nil while the bank is away
	engine  *clearing.Engine
	store   *postgres.Store
}

func scriptKey(name string) *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("daobank script key " + name))
	priv, _ := btcec.PrivKeyFromBytes(seed[:])
	return priv
}

func scriptCharter() ledger.Charter {
	return ledger.Charter{
		Name: "Bank of the Scripts", Chain: sha256.Sum256([]byte("genesis")), Operator: ledger.KeyOf(scriptKey("operator")),
		BirthHeight: 100, BirthHash: sha256.Sum256([]byte("birth")), Depth: 2, WithdrawalMin: 1000,
	}
}

func startScriptBank(tb scriptTB) (*scriptBank, error) {
	b := &scriptBank{tb: tb}
	if err := b.found(context.Background()); err != nil {
		return nil, err
	}
	server := httptest.NewServer(b)
	tb.Cleanup(server.Close)
	tb.Cleanup(func() { _ = b.stop(context.Background()) }) // before the store closes
	b.url = server.URL
	return b, b.start(context.Background())
}

// found makes the bank, with empty books, in a database of its own.
func (b *scriptBank) found(ctx context.Context) error {
	store, err := postgres.Open(ctx, cluster.Test(b.tb))
	if err != nil {
		return err
	}
	b.tb.Cleanup(store.Close)
	b.store = store
	return store.Create(ctx, scriptCharter())
}

// estimator is a fake of the node: all that a quote asks it for.
type estimator struct{ settlement.Chain }

func (estimator) FeeRate(context.Context, int) (int64, error) { return 2_000, nil }

func (estimator) Height(context.Context) (int32, error) { return 1, nil }

func (estimator) BlockHash(context.Context, int32) (chainhash.Hash, error) {
	return chainhash.Hash{1}, nil
}

func (b *scriptBank) start(ctx context.Context) error {
	log := slog.New(slog.DiscardHandler)
	engine, err := clearing.Open(ctx, clearing.Config{Store: b.store, Charter: scriptCharter(), Operator: scriptKey("operator"), Log: log})
	if err != nil {
		return err
	}
	policy := taproot.Policy{Threshold: 3, Guardians: 5, Network: "regtest", Recovery: taproot.Recovery{Threshold: 1, Delay: 144}}
	copy(policy.GroupKey[:], scriptKey("group").PubKey().SerializeCompressed())
	policy.Recovery.Keys = []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(scriptKey("recovery").PubKey()))}
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return err
	}
	charter := scriptCharter()
	vaults := netting.NewVaults(charter.ID(), vault)
	desk, err := settlement.New(settlement.Config{Engine: engine, Store: b.store, Vaults: vaults, Chain: estimator{}, Policy: settlement.DefaultPolicy(), Log: log})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.engine = engine
	b.handler = api.NewHandler(api.Config{Clearing: engine, Journal: b.store, Attestations: b.store, Desk: desk, Vaults: vaults, Charter: scriptCharter(),
		Councils: func() []api.Council { return []api.Council{{Threshold: 3, Guardians: scriptGuardians}} }, Ready: func(context.Context) error { return engine.Err() }, Log: log})
	return nil
}

func (b *scriptBank) stop(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handler == nil {
		return nil
	}
	b.handler = nil
	return b.engine.Close(ctx)
}

func (b *scriptBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	handler, lose := b.handler, false
	if handler != nil && r.Method == http.MethodPost && b.lose > 0 {
		b.lose--
		lose = true
	}
	b.mu.Unlock()
	switch {
	case handler == nil:
		panic(http.ErrAbortHandler)
	case lose:
		handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	handler.ServeHTTP(w, r)
}

func scriptMember(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: member NAME COMMAND…")
	}
	err := ts.Exec("daobank", append([]string{"member", "--key", args[0] + ".key", "--passphrase-file", "pass"}, args[1:]...)...)
	if (err != nil) != neg {
		ts.Fatalf("daobank member %s: error %v, want one: %v", strings.Join(args, " "), err, neg)
	}
}

func scriptCredit(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(bankKey{}).(*scriptBank)
	if len(args) != 2 || neg {
		ts.Fatalf("usage: credit NAME SAT")
	}
	var account struct {
		Number ledger.AccountID `json:"number"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0]+".account.json")), &account))
	amount, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ctx := context.Background()
	var height uint32
	var hash ledger.Hash
	ts.Check(b.engine.View(ctx, func(s *ledger.State) { height, hash = s.Block() }))
	next := sha256.Sum256(fmt.Append(nil, "block ", height+1))
	ts.Check(b.engine.Record(ctx, []ledger.Event{
		&ledger.Block{Height: height + 1, Hash: next, Previous: hash},
		&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: next}, Amount: ledger.Amount(amount), Index: account.Number.Index(), Height: height + 1, TxIndex: 1},
	}))
}

// scriptGuardians are the host keys of guardians that do not run here.
var scriptGuardians = func() (keys []chilldkg.HostPublicKey) {
	for i := range 5 {
		key := scriptKey(fmt.Sprintf("guardian %d", i)).PubKey()
		keys = append(keys, chilldkg.HostPublicKey(key.SerializeCompressed()))
	}
	return keys
}()

// scriptAttest is a fake of the guardians: it writes what they would attest into
// the store, which does not look at the signatures.
func scriptAttest(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(bankKey{}).(*scriptBank)
	if len(args) != 1 || neg {
		ts.Fatalf("usage: attest N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx := context.Background()
	var batch uint64
	var head ledger.Hash
	ts.Check(b.engine.View(ctx, func(s *ledger.State) { batch, head = s.Last().Number, s.Head() }))
	for id := range n {
		ts.Check(b.store.SaveAttestation(ctx, postgres.Attestation{Guardian: scriptGuardians[id], Batch: batch, Head: head}))
	}
}

func scriptBankCommand(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value(bankKey{}).(*scriptBank)
	ctx := context.Background()
	switch {
	case neg:
		ts.Fatalf("bank does not fail")
	case len(args) == 2 && args[0] == "lose":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		b.mu.Lock()
		b.lose = n
		b.mu.Unlock()
	case slices.Equal(args, []string{"stop"}):
		ts.Check(b.stop(ctx))
	case slices.Equal(args, []string{"start"}):
		ts.Check(b.start(ctx))
	case slices.Equal(args, []string{"forget"}):
		ts.Check(errors.Join(b.stop(ctx), b.found(ctx), b.start(ctx)))
	default:
		ts.Fatalf("usage: bank lose N | stop | start | forget")
	}
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: mode PERM FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// scriptEventually repeats a program whose output may lag until it matches.
func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || neg || args[1] != "exec" {
		ts.Fatalf("usage: eventually PATTERN exec PROGRAM…")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		ts.Check(ts.Exec(args[2], args[3:]...))
		shown := ts.ReadFile("stdout")
		if pattern.MatchString(shown) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("no match for %q, the last output was:\n%s", args[0], shown)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Of two commands that sign the same sequence number one fails before it sends,
// and what the first wrote down stays.
func TestOneOrderIsPendingForASequenceNumber(t *testing.T) {
	m := &member{keyFile: filepath.Join(t.TempDir(), "alice.key")}
	order := func(amount ledger.Amount) *ledger.Order {
		return &ledger.Order{Payer: 16, Sequence: 7, Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: 17, Amount: amount}}}}
	}
	if _, err := m.keepPending(order(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.keepPending(order(2)); err == nil {
		t.Error("a second order was written down for sequence 7")
	}
	list, err := m.pendingOrders()
	if err != nil || len(list) != 1 || !ledger.SameOrder(list[0].order, order(1)) {
		t.Errorf("pending are %v (%v), want the first order alone", list, err)
	}
	// Another key in the same folder has orders of its own.
	other := &member{keyFile: filepath.Join(filepath.Dir(m.keyFile), "alice-2.key")}
	if list, err := other.pendingOrders(); err != nil || len(list) != 0 {
		t.Errorf("pending for another key are %v (%v)", list, err)
	}
	if _, err := other.keepPending(order(3)); err != nil {
		t.Error(err)
	}
	if list, err := m.pendingOrders(); err != nil || len(list) != 1 {
		t.Errorf("pending are %v (%v), want one", list, err)
	}
	if err := errors.Join(list[0].forget(), list[0].forget()); err != nil {
		t.Errorf("forgetting twice: %v", err)
	}
}
