package bitcoind

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

func TestNodeSurvivesStopKillAndRestart(t *testing.T) {
	onEachKind(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		if node.Network().Name != "regtest" || node.Info().Version == "" || node.Info().Source == "" {
			t.Errorf("info %+v on %s", node.Info(), node.Network().Name)
		}
		if local := node.Info().Kind == "bitcoind"; local != (executable(node.Info().Program) == nil) {
			t.Errorf("%s names the program %q", node.Info().Kind, node.Info().Program)
		}
		before := node.Config().URL
		_, err := node.Mine(ctx, 3)
		must(t, err)
		tip, err := node.Tip(ctx)
		must(t, err)

		must(t, node.Stop(ctx))
		var transport *TransportError
		if _, err := node.Tip(ctx); !errors.As(err, &transport) {
			t.Errorf("a stopped node answered: %v", err)
		}
		must(t, node.Restart(ctx))
		if node.Info().Kind == "btcd" { // removes its regtest chain at every start
			tip = Block{Hash: node.hashAt(t, 0)}
		}
		if after, err := node.Tip(ctx); err != nil || after != tip {
			t.Errorf("after a stop: tip %v, %v; want %v", after, err, tip)
		}
		must(t, node.Restart(ctx)) // of a running node

		must(t, node.Kill())
		must(t, node.Kill()) // of a dead node
		must(t, node.Restart(ctx))
		if after, err := node.Tip(ctx); err != nil || after.Height < tip.Height {
			t.Errorf("after a kill: tip %v, %v; want what the stop had written", after, err)
		}
		if after := node.Config().URL; after != before {
			t.Errorf("the node moved from %s to %s", before, after)
		}
		_, err = node.Mine(ctx, 1)
		must(t, err)

		if tail := node.LogTail(5); len(strings.Split(tail, "\n")) != 5 {
			t.Errorf("last five lines of the log: %q", tail)
		}
		must(t, node.Close())
		must(t, node.Close())
		if _, err := os.Stat(node.home.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("directory after Close: %v", err)
		}
		for name, call := range map[string]func() error{
			"Restart": func() error { return node.Restart(ctx) },
			"Stop":    func() error { return node.Stop(ctx) },
			"Kill":    node.Kill,
		} {
			if err := call(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s after Close: %v, want os.ErrClosed", name, err)
			}
		}
	})
}

func TestDialFromElsewhere(t *testing.T) {
	onEachKind(t, func(t *testing.T, node *Node) {
		client, err := Dial(t.Context(), node.Config())
		must(t, err)
		if client.Version() != node.Version() || client.Network() != node.Network() {
			t.Errorf("dialled %s, want %s", client.Version(), node.Version())
		}
		wrong := node.Config()
		wrong.Password = "wrong"
		if _, err := Dial(t.Context(), wrong); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("wrong password: %v, want ErrUnauthorized", err)
		}
	})
}

// manyNodes is how many nodes TestNodesInParallel holds at once; "make repeat-nodes"
// raises it to hundreds.
var manyNodes = flag.Int("nodes", 8, "nodes of TestNodesInParallel")

func TestNodesInParallel(t *testing.T) {
	t.Parallel()
	nodes := make([]*Node, *manyNodes)
	tips := make([]chainhash.Hash, len(nodes))
	var wait sync.WaitGroup
	for i := range nodes {
		wait.Go(func() {
			node, err := Open(t.Context())
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			nodes[i] = node
			hashes, err := node.Mine(t.Context(), 2)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			tips[i] = hashes[1]
		})
	}
	wait.Wait()
	for i, node := range nodes {
		if node == nil {
			continue
		}
		if tip, err := node.Tip(t.Context()); err != nil || tip != (Block{Height: 2, Hash: tips[i]}) {
			t.Errorf("node %d: tip %v, %v; want its own, %s", i, tip, err, tips[i])
		}
		wait.Go(func() {
			if err := node.Close(); err != nil {
				t.Error(err)
			}
			if exists(node.home.dir) {
				t.Errorf("node %d left its directory", i)
			}
		})
	}
	wait.Wait()
}

func TestNodesStartInTurn(t *testing.T) {
	for range cap(starting) {
		starting <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, local()...)
	for range cap(starting) {
		<-starting
	}
	var none *NoNodeError
	if !errors.As(err, &none) || none.Rungs[0].Rung != "turn" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("when all places are taken: %v, want a NoNodeError that says so", err)
	}
	must(t, Start(t, local()...).Close())
}

func TestEarlyEndIsReportedWithTheLog(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), append(local(), WithArgs("-no-such-argument"))...)
	var none *NoNodeError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "no-such-argument") {
		t.Fatalf("error %v, want a NoNodeError with the node's complaint", err)
	}
}

func TestHungNodeIsGivenUpWithTheContext(t *testing.T) {
	t.Parallel()
	hung := filepath.Join(t.TempDir(), "hung")
	syscall.ForkLock.RLock() // no child that is just being made may hold the script open for writing
	err := os.WriteFile(hung, []byte("#!/bin/sh\necho here I am\ntouch "+hung+".runs\nsleep 1000\n"), 0o700)
	syscall.ForkLock.RUnlock()
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !exists(hung+".runs") && pause(ctx, time.Millisecond) == nil {
		}
		cancel()
	}()
	_, err = Open(ctx, WithBinary(hung))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "here I am") {
		t.Errorf("error %v, want the context's and the log", err)
	}
}

func TestLadderNamesEachRung(t *testing.T) {
	t.Setenv("BITCOIND", "")
	t.Setenv("BTCD", "")
	t.Setenv("PATH", t.TempDir())
	t.Setenv("DAOBANK_TOOLS", t.TempDir())
	t.Setenv("BITCOIND_IMAGE", "no-such-image:at-all")
	builtBtcd.path = "" // what an earlier test found
	_, err := Open(t.Context())
	var none *NoNodeError
	if !errors.As(err, &none) {
		t.Fatalf("error %v, want a NoNodeError", err)
	}
	var rungs []string
	for _, rung := range none.Rungs {
		rungs = append(rungs, rung.Rung)
		if rung.Err == nil {
			t.Errorf("%s: no reason", rung.Rung)
		}
	}
	if got := strings.Join(rungs, " "); got != "PATH .tools docker btcd" {
		t.Errorf("rungs %q", got)
	}
	for _, advice := range []string{"BITCOIND", "bitcoincore.org", "make setup"} {
		if !strings.Contains(err.Error(), advice) {
			t.Errorf("no %s in %q", advice, err)
		}
	}
}

// TestBtcdIsAToolOfTheImporter asks for btcd in a module that has it among its
// tools, as this one, and in one that has not.
func TestBtcdIsAToolOfTheImporter(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	t.Setenv("BTCD", "")
	t.Setenv("DAOBANK_TOOLS", t.TempDir())
	builtBtcd.path = ""
	node := Start(t, WithBtcd())
	if info := node.Info(); info.Kind != "btcd" || !strings.HasPrefix(info.Source, "go tool ") {
		t.Errorf("info %v, want the btcd that go built", info)
	}
	same := Start(t, WithBinary(strings.TrimPrefix(node.Info().Source, "go tool ")))
	if same.Info().Kind != "btcd" {
		t.Errorf("the same program by name is taken for %v", same.Info())
	}
	builtBtcd.path = ""
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/stranger\n\ngo 1.26\n"), 0o600))
	t.Chdir(dir)
	_, err := Open(t.Context(), WithBtcd())
	if err == nil || !strings.Contains(err.Error(), "go get -tool github.com/btcsuite/btcd@v") {
		t.Errorf("error %v, want advice", err)
	}
}

func TestExplicitChoiceIsTheOnlyOne(t *testing.T) {
	t.Setenv("BITCOIND", filepath.Join(t.TempDir(), "missing"))
	for name, options := range map[string][]Option{
		"BITCOIND": nil, "WithBinary": {WithBinary("/no/such/bitcoind")}, "WithDocker": {WithDocker("no-such-image:at-all")},
	} {
		_, err := Open(t.Context(), options...)
		var none *NoNodeError
		if !errors.As(err, &none) || len(none.Rungs) != 1 || none.Rungs[0].Rung != name {
			t.Errorf("%s: error %v, want only its own reason", name, err)
		}
	}
}

// TestNothingIsLeftBehind kills a process that holds a node, as the machine would,
// or lets it panic, as a test's timeout does, and looks for what remains.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	for name := range kinds {
		t.Run(name, func(t *testing.T) { nothingIsLeftBehind(t, name, name) })
	}
	t.Run("after a panic", func(t *testing.T) { nothingIsLeftBehind(t, "bitcoind", "bitcoind panic") })
}

func nothingIsLeftBehind(t *testing.T, kind, orders string) {
	t.Parallel()
	needDocker(t, kind)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+orders)
	panics := strings.HasSuffix(orders, "panic")
	if !panics { // whose text would look like this test's own
		child.Stderr = os.Stderr
	}
	output, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	if !panics {
		must(t, child.Process.Kill())
	}
	child.Wait()
	must(t, err)
	var dir, container string
	var pid, port int
	_, err = fmt.Sscanf(line, "%s %d %d %s", &dir, &pid, &port, &container)
	must(t, err)
	remains := func() string {
		switch {
		case !portFree(port):
			return "its port"
		case pid != 0 && runs(pid):
			return "its process"
		case exists(dir):
			return "its directory"
		case container != "-" && containerExists(t, container):
			return "its container"
		}
		return ""
	}
	for deadline := time.Now().Add(time.Minute); remains() != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is left behind: %s", remains(), line)
		}
	}
}

// holdNode starts a node, tells what there is to look for, and waits to be killed
// or panics.
func holdNode(orders string) error {
	kind, end, _ := strings.Cut(orders, " ")
	node, err := Open(context.Background(), kinds[kind]...)
	if err != nil {
		return err
	}
	pid, container := 0, "-"
	switch p := node.program.(type) {
	case *process:
		pid = p.cmd.Process.Pid
	case interface{ containerID() string }:
		container = p.containerID()
	}
	fmt.Println(node.home.dir, pid, node.home.port, container)
	if end == "panic" {
		panic("as ordered")
	}
	select {}
}

func (c *container) containerID() string { return c.id }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// runs reports whether a process exists that is not merely waiting to be reaped
// by whoever inherited it.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !strings.Contains(string(status), "State:\tZ")
}

func containerExists(t *testing.T, id string) bool {
	pool, err := dockertest.NewPool("")
	must(t, err)
	_, err = pool.Client.InspectContainer(id)
	var gone *docker.NoSuchContainer
	return !errors.As(err, &gone)
}

// TestAStrangerIsQuicker takes the first ports between their choice and the node's
// start: one for good, others for a moment, of which only the node's own log tells.
func TestAStrangerIsQuicker(t *testing.T) {
	t.Parallel()
	s := &settings{poll: time.Millisecond, logf: t.Logf}
	for _, option := range local() {
		option(s)
	}
	if s.binary == "" {
		t.Skip("no local bitcoind")
	}
	r, err := explicitBinary(s.binary)(t.Context(), s)
	must(t, err)
	prepare, starts := r.prepare, 0
	r.prepare = func(h home) (program, error) {
		starts++
		node, err := prepare(h)
		must(t, err)
		switch starts {
		case 1:
			listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
			must(t, err)
			t.Cleanup(func() { listener.Close() })
		case 2:
			node.(*process).argv = []string{"/bin/sh", "-c", "echo 'Binding RPC failed (Error: Address already in use (98)).'; exit 1"}
		case 3:
			node.(*process).argv = []string{"/bin/sh", "-c", "echo 'Unable to bind to 127.0.0.1:1 on this computer.'; exit 1"}
		}
		return node, nil
	}
	node, err := open(t.Context(), s, r)
	must(t, err)
	node.cleanup(t)
	if starts != 4 {
		t.Errorf("%d starts, want 4", starts)
	}
	_, err = node.Mine(t.Context(), 1)
	must(t, err)
}

// TestPortsAreLeasedWhateverTheTemporaryDirectory: processes of one user that have
// each a TMPDIR of their own must know of each other's ports.
func TestPortsAreLeasedWhateverTheTemporaryDirectory(t *testing.T) {
	first := leaseFiles()[0]
	t.Setenv("TMPDIR", t.TempDir())
	if second := leaseFiles()[0]; second != first {
		t.Errorf("leases in %s and in %s", first, second)
	}
}

// TestRestartForgetsNothing looks at once for what a node reads back in the
// background: a mempool, and an index that it has to make anew.
func TestRestartForgetsNothing(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	node.Require(t, CanKeepChain)
	ctx := t.Context()
	coin, err := node.Fund(ctx, someScript(t), 50_000)
	must(t, err)
	_, err = node.Mine(ctx, 300)
	must(t, err)
	w := newWallet(t, node, 200, 100_000)
	for range 200 {
		_, err := w.Send(ctx, Payment{})
		must(t, err)
	}
	must(t, node.Stop(ctx))
	must(t, os.RemoveAll(filepath.Join(node.home.dir, "regtest", "indexes")))
	must(t, node.Restart(ctx))
	if txids, err := node.Mempool(ctx); err != nil || len(txids) != 200 {
		t.Errorf("%d transactions in the mempool, %v; want 200", len(txids), err)
	}
	if _, confirmations, _, err := node.Tx(ctx, coin.Hash); err != nil || confirmations != 301 {
		t.Errorf("%d confirmations, %v; want 301", confirmations, err)
	}
}

// TestContainersThatNeverStartedAreSwept makes one as a caller leaves it that is
// killed before it starts it.
func TestContainersThatNeverStartedAreSwept(t *testing.T) {
	t.Parallel()
	needDocker(t, "docker")
	pool, err := dockertest.NewPool("")
	must(t, err)
	label := fmt.Sprintf("%s.test.%d", ours, os.Getpid())
	created, err := pool.Client.CreateContainer(docker.CreateContainerOptions{
		Config: &docker.Config{Image: cmp.Or(os.Getenv("BITCOIND_IMAGE"), defaultImage), Entrypoint: []string{"/bin/sh"}, Labels: map[string]string{label: ""}},
	})
	must(t, err)
	must(t, sweep(t.Context(), pool, label, time.Hour))
	if !containerExists(t, created.ID) {
		t.Error("a young one is gone: its caller may be about to start it")
	}
	must(t, sweep(t.Context(), pool, label, 0))
	if containerExists(t, created.ID) {
		t.Error("an old one is left")
	}
}
