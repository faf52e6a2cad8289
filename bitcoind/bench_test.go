package bitcoind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// BenchmarkRawProcess is what the others are measured by: the bare program,
// asked until it answers.
func BenchmarkRawProcess(b *testing.B) {
	options := local()
	if options == nil {
		b.Skip("no local bitcoind")
	}
	s := &settings{}
	options[0](s)
	for b.Loop() {
		dir := b.TempDir()
		port, err := leasePort()
		must(b, err)
		text := coreConfig(Config{User: "u", Password: "p"}, "listen=0", fmt.Sprintf("rpcport=%d", port))
		must(b, os.WriteFile(filepath.Join(dir, "bitcoin.conf"), []byte(text), 0o600))
		cmd := exec.Command(s.binary, "-datadir="+dir, "-nodebuglogfile")
		must(b, cmd.Start())
		client := newClient(Config{URL: fmt.Sprintf("http://127.0.0.1:%d", port), User: "u", Password: "p"})
		for {
			if _, err := client.Tip(b.Context()); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		cmd.Process.Kill()
		cmd.Wait()
		releasePorts(port)
		b.StartTimer()
	}
}

func benchmarkStart(b *testing.B, options ...Option) {
	options = append(local(), options...)
	first, err := Open(b.Context(), options...) // mines the chain that the others copy
	must(b, err)
	must(b, first.Close())
	for b.Loop() {
		node, err := Open(b.Context(), options...)
		must(b, err)
		b.StopTimer()
		must(b, node.Close())
		b.StartTimer()
	}
}

func BenchmarkStart(b *testing.B)          { benchmarkStart(b) }
func BenchmarkStart101Blocks(b *testing.B) { benchmarkStart(b, WithBlocks(101)) }

func BenchmarkWarm(b *testing.B) {
	warm := NewWarm(1, append(local(), WithBlocks(101))...)
	defer warm.Close()
	for b.Loop() {
		b.StopTimer()
		time.Sleep(500 * time.Millisecond) // so that one is ready
		b.StartTimer()
		node, err := warm.Get(b.Context())
		must(b, err)
		b.StopTimer()
		must(b, node.Close())
		b.StartTimer()
	}
}

func BenchmarkMine1(b *testing.B) {
	node := Start(b, append(local(), WithBlocks(101))...)
	for b.Loop() {
		_, err := node.Mine(b.Context(), 1)
		must(b, err)
	}
}

// BenchmarkReorg6 replaces six blocks and keeps twenty transactions.
func BenchmarkReorg6(b *testing.B) {
	node := Start(b, append(local(), WithBlocks(130))...)
	for b.Loop() {
		b.StopTimer()
		var kept []chainhash.Hash
		for range 20 {
			coin, err := node.Fund(b.Context(), node.MinerScript(), 10_000)
			must(b, err)
			kept = append(kept, coin.Hash)
		}
		_, err := node.Mine(b.Context(), 6)
		must(b, err)
		b.StartTimer()
		result, err := node.Reorg(b.Context(), 6, ReorgKeep(kept...))
		must(b, err)
		if len(result.Reconfirmed) != len(kept) {
			b.Fatalf("%d confirmed again, want %d", len(result.Reconfirmed), len(kept))
		}
	}
}
