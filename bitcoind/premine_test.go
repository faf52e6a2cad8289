package bitcoind

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
)

// TestNodesBeginWithOneChain starts several at once, of which one mines the
// chain that all begin with.
func TestNodesBeginWithOneChain(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	const count = 4
	var nodes [count]*Node
	var wait sync.WaitGroup
	for i := range nodes {
		wait.Go(func() {
			var err error
			if nodes[i], err = Open(t.Context(), append(local(), WithBlocks(101))...); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i, node := range nodes {
		if node == nil {
			t.Fatal("no node")
		}
		node.cleanup(t)
		ctx := t.Context()
		info, err := node.ChainInfo(ctx)
		must(t, err)
		if info.Tip.Height != 101 || node.hashAt(t, 100) != nodes[0].hashAt(t, 100) {
			t.Errorf("node %d at %v, want 101 on the same 100 blocks", i, info.Tip)
		}
		if i > 0 && info.Tip.Hash == nodes[0].hashAt(t, 101) {
			t.Errorf("node %d has the last block of node 0", i)
		}
		// It pays at once, and what it pays is worth something on its chain alone.
		coin, err := node.Fund(ctx, someScript(t), btcutil.SatoshiPerBitcoin)
		must(t, err)
		if height, err := node.Height(ctx); err != nil || height != 101 {
			t.Errorf("node %d mined to pay: %d, %v", i, height, err)
		}
		_, err = node.MineUntilConfirmed(ctx, coin.Hash, 1)
		must(t, err)
		must(t, node.Restart(ctx))
		if height, err := node.Height(ctx); err != nil || height != 102 {
			t.Errorf("node %d after a restart: %d, %v", i, height, err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(cache, "go-bitcoind-regtest", "*", "premined.json"))
	if err != nil || len(kept) != 1 && nodes[0].Info().Kind == "bitcoind" {
		t.Errorf("%d chains kept, %v; want one", len(kept), err)
	}
}

func TestNodeMinesItsOwnChainWhereNoneCanBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	t.Setenv("XDG_CACHE_HOME", file) // is no directory
	node := Start(t, append(local(), WithBlocks(5))...)
	if height, err := node.Height(t.Context()); err != nil || height != 5 {
		t.Errorf("height %d, %v; want 5", height, err)
	}
}

func TestBlocksOfOtherKinds(t *testing.T) {
	t.Parallel()
	for kind, options := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			needDocker(t, kind)
			node := Start(t, append([]Option{WithBlocks(3)}, options...)...)
			if height, err := node.Height(t.Context()); err != nil || height != 3 {
				t.Errorf("height %d, %v; want 3", height, err)
			}
		})
	}
}

func TestNetBeginsWithOneChain(t *testing.T) {
	t.Parallel()
	net := StartNet(t, 2, append(local(), WithBlocks(101), WithMinerSeed([]byte("net")))...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if bytes.Equal(net.Nodes[0].MinerScript(), net.Nodes[1].MinerScript()) {
		t.Error("two miners of a net have one key")
	}
	for _, node := range net.Nodes {
		if height, err := node.Height(ctx); err != nil || height != 101 {
			t.Errorf("height %d, %v; want 101", height, err)
		}
	}
	coin, err := net.Nodes[0].Fund(ctx, someScript(t), 1_000_000)
	must(t, err)
	must(t, net.Nodes[1].WaitTx(ctx, coin.Hash))
}

func TestWarmNodesAreTakenOnce(t *testing.T) {
	t.Parallel()
	warm := NewWarm(2, local()...)
	seen := make(map[string]bool)
	for range 4 {
		node := warm.Start(t)
		if seen[node.Config().URL] {
			t.Error("a node was given away twice")
		}
		seen[node.Config().URL] = true
		_, err := node.Mine(t.Context(), 1)
		must(t, err)
	}
	warm.Close()
	if _, err := warm.Get(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v, want os.ErrClosed", err)
	}
	broken := NewWarm(1, WithBinary("/no/such/bitcoind"))
	defer broken.Close()
	if _, err := broken.Get(t.Context()); err == nil {
		t.Error("no program: no error")
	}
}

func TestCopyFileLeavesOutZeros(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := make([]byte, 300_000)
	copy(content[200_000:], "the last of it")
	for name, want := range map[string]int{"blk00000.dat": 262_144, "rev00000.dat": 262_144, "xor.dat": 300_000, "table.ldb": 300_000} {
		from, to := filepath.Join(dir, name), filepath.Join(dir, "copy-"+name)
		must(t, os.WriteFile(from, content, 0o600))
		must(t, copyFile(from, to))
		got, err := os.ReadFile(to)
		must(t, err)
		if len(got) != want || !bytes.Equal(got, content[:len(got)]) {
			t.Errorf("%s: %d bytes, want %d and the same", name, len(got), want)
		}
	}
}

// TestChainThatIsKeptIsMadeAnew damages the chain that is kept as crashes, full
// disks and people do. Whoever comes next makes it anew.
func TestChainThatIsKeptIsMadeAnew(t *testing.T) {
	binary := nodeProgram(local())
	if binary == "" {
		t.Skip("no local bitcoind")
	}
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	const blocks = 7 // and one of the node that begins with them
	s := &settings{binary: binary, poll: time.Millisecond, logf: t.Logf}
	r, err := explicitBinary(binary)(t.Context(), s)
	must(t, err)
	chain, err := premine(t.Context(), s, r, blocks)
	must(t, err)
	dir := chain.dir
	for what, damage := range map[string]func() error{
		"a file is cut":       func() error { return os.Truncate(filepath.Join(dir, "regtest", "blocks", "blk00000.dat"), 100) },
		"a file is gone":      func() error { return os.RemoveAll(filepath.Join(dir, "regtest", "chainstate")) },
		"a list is cut":       func() error { return os.Truncate(filepath.Join(dir, "premined.json"), 10) },
		"a list is gone":      func() error { return os.Remove(filepath.Join(dir, "premined.json")) },
		"a bit is turned":     func() error { return flip(filepath.Join(dir, "regtest", "blocks", "blk00000.dat"), 1000) },
		"all of it is gone":   func() error { return os.RemoveAll(dir) },
		"half of it is there": func() error { return os.Rename(dir, dir+".new") },
		"a lock lies about":   func() error { return os.WriteFile(dir+".lock", []byte("of one that was killed"), 0o600) },
	} {
		must(t, damage())
		if chain, err = premine(t.Context(), s, r, blocks); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := loadPremined(dir); err != nil || chain.dir != dir {
			t.Errorf("%s: afterwards %v", what, err)
		}
		if found, err := filepath.Glob(filepath.Join(cache, "go-bitcoind-regtest", "*.new")); err != nil || len(found) != 0 {
			t.Errorf("%s: left %v, %v", what, found, err)
		}
	}
	node := Start(t, WithBinary(binary), WithBlocks(blocks+1))
	if height, err := node.Height(t.Context()); err != nil || height != blocks+1 {
		t.Errorf("height %d, %v; want %d", height, err, blocks+1)
	}
	block, err := node.Block(t.Context(), node.hashAt(t, blocks))
	must(t, err)
	if coinbase := block.Transactions[0].TxHash().String(); coinbase != chain.Coins[blocks-1].TxID {
		t.Errorf("its last block but one pays %s, and the chain that is kept %s", coinbase, chain.Coins[blocks-1].TxID)
	}
}

// flip turns one bit of a file.
func flip(path string, at int) error {
	content, err := os.ReadFile(path)
	if err == nil {
		content[at] ^= 1
		err = os.WriteFile(path, content, 0o600)
	}
	return err
}

// TestBlocksInTheClear copies a chain whose blocks lie on disk as they are: the
// key by which bitcoind otherwise hides them is then all zeros.
func TestBlocksInTheClear(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(3), WithArgs("-blocksxor=0"))...)
	if height, err := node.Height(t.Context()); err != nil || height != 3 {
		t.Errorf("height %d, %v; want 3", height, err)
	}
}
