package bitcoind

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
)

// childVariable makes the test program a process that holds a node of the named
// kind until it is killed; see TestNothingIsLeftBehind.
const childVariable = "BITCOIND_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childVariable); kind != "" {
		if err := holdNode(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	status := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(status)
}

// kinds are the nodes that the stories run on.
var kinds = map[string][]Option{
	"bitcoind": local(),
	"docker":   {WithDocker("")},
	"btcd":     {WithBtcd()},
}

// local chooses a bitcoind of this machine, also where the ladder would prefer a
// Docker image; where there is none, the ladder's choice.
func local() []Option {
	for _, path := range []string{os.Getenv("BITCOIND"), "bitcoind"} {
		if found, err := exec.LookPath(path); err == nil {
			return []Option{WithBinary(found)}
		}
	}
	if tools, err := toolsDir(); err == nil {
		if path := filepath.Join(tools, "bitcoind", "bin", "bitcoind"); executable(path) == nil {
			return []Option{WithBinary(path)}
		}
	}
	return nil
}

// onEachKind tells one story on a new node of each kind, in parallel.
func onEachKind(t *testing.T, story func(t *testing.T, node *Node)) {
	onKinds(t, slices.Collect(maps.Keys(kinds)), nil, story)
}

// onEachProgram leaves out the container, where only the program matters.
func onEachProgram(t *testing.T, story func(t *testing.T, node *Node)) {
	onKinds(t, []string{"bitcoind", "btcd"}, nil, story)
}

// onEachWithCoins is onEachProgram on a chain whose coins the miner can spend at
// once.
func onEachWithCoins(t *testing.T, story func(t *testing.T, node *Node)) {
	onKinds(t, []string{"bitcoind", "btcd"}, map[string]int{"bitcoind": 120, "btcd": 432}, story)
}

func onKinds(t *testing.T, names []string, blocks map[string]int, story func(t *testing.T, node *Node)) {
	t.Parallel()
	for _, kind := range names {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needDocker(t, kind)
			story(t, Start(t, append(slices.Clone(kinds[kind]), WithBlocks(blocks[kind]))...))
		})
	}
}

// needDocker skips the test of a container where there is no engine or image.
func needDocker(t *testing.T, kind string) {
	t.Helper()
	if kind != "docker" {
		return
	}
	if _, err := findDocker(t.Context(), &settings{}); err != nil {
		t.Skipf("the docker provider is not tested here: %v", err)
	}
}

// someScript returns a P2TR script that nobody else pays.
func someScript(t testing.TB) []byte {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	must(t, err)
	script, err := txscript.PayToTaprootScript(key.PubKey())
	must(t, err)
	return script
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// branch builds n empty blocks on a block of any chain, which need not become
// active, and returns the last.
func (m *Miner) branch(ctx context.Context, from Block, n int) (Block, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	header, _, err := m.client.Header(ctx, from.Hash)
	if err != nil {
		return from, err
	}
	for range n {
		block, err := m.plan(from, header, header.Timestamp).build()
		if err != nil {
			return from, err
		}
		raw, err := encodeHex(block.Serialize)
		if err != nil {
			return from, err
		}
		var reason *string
		if err := m.client.Call(ctx, "submitblock", &reason, raw); err != nil {
			return from, err
		}
		if reason != nil && *reason != "inconclusive" { // bitcoind's word for a block beside the best chain
			return from, fmt.Errorf("%w: %s", ErrBlockRefused, *reason)
		}
		header, from = &block.Header, Block{Height: from.Height + 1, Hash: block.BlockHash()}
	}
	return from, nil
}

// hashAt is BlockHash for tests.
func (n *Node) hashAt(t testing.TB, height int32) chainhash.Hash {
	t.Helper()
	hash, err := n.BlockHash(t.Context(), height)
	must(t, err)
	return hash
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }
