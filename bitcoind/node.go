package bitcoind

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = time.Minute // when the context sets no earlier end
	readyPoll    = 5 * time.Millisecond
	slowestPoll  = 100 * time.Millisecond
	minVersion   = 280000 // of bitcoind, as getnetworkinfo counts
)

// Info says what a node is.
type Info struct {
	Kind    string `json:"kind"`              // bitcoind, docker, btcd or external
	Version string `json:"version"`           // as the node calls itself
	Source  string `json:"source"`            // the rung that found it, and its path or image
	Program string `json:"program,omitempty"` // path of a local bitcoind, for those who start it in their own way
}

// String returns one line for people.
func (i Info) String() string { return fmt.Sprintf("%s %s (%s)", i.Kind, i.Version, i.Source) }

// Node is a regtest node of the caller's own. Client and Miner talk to it;
// while it is down their calls fail with a *TransportError.
type Node struct {
	*Client
	*Miner

	info    Info
	home    home
	program program

	mu     sync.Mutex // one change of the program's state at a time
	closed bool
}

// Start is Open for a test, which fails if no node starts. The node is closed
// when the test ends; if the test failed, it prints the node's Report, and keeps
// the whole log when `go test -artifacts` is on.
func Start(t testing.TB, options ...Option) *Node {
	t.Helper()
	node, err := Open(t.Context(), append([]Option{WithLogf(t.Logf)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	node.cleanup(t)
	return node
}

// cleanup closes the node with its test, and tells about it if the test failed.
func (n *Node) cleanup(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.reportOf(t))
			if log, err := os.ReadFile(n.Log()); err == nil {
				os.WriteFile(filepath.Join(t.ArtifactDir(), "node.log"), log, 0o600)
			}
		}
		if err := n.Close(); err != nil {
			t.Errorf("close node: %v", err)
		}
	})
}

// starting holds a place for each node of this process that is being started. With
// hundreds at once all would be slower than startTimeout, and none be ready sooner.
var starting = make(chan struct{}, max(8, 4*runtime.NumCPU()))

// Open starts a node and returns when it answers. The context bounds the start
// only; without an end of its own a start has a minute, from its turn on when many
// are started at once. When no node starts, the error is a *NoNodeError.
func Open(ctx context.Context, options ...Option) (*Node, error) {
	s := &settings{poll: 20 * time.Millisecond, logf: func(string, ...any) {}}
	for _, option := range options {
		option(s)
	}
	select {
	case starting <- struct{}{}:
		defer func() { <-starting }()
	case <-ctx.Done():
		return nil, &NoNodeError{Rungs: []RungError{{Rung: "turn", Err: fmt.Errorf("many nodes start before this one: %w", ctx.Err())}}}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if s.external != nil {
		return openExternal(ctx, s)
	}
	failed := &NoNodeError{}
	for _, rung := range s.ladder() {
		recipe, err := rung.find(ctx, s)
		if err == nil {
			var node *Node
			if node, err = open(ctx, s, recipe); err == nil {
				s.logf("bitcoind: using %s", node.info)
				return node, nil
			}
			s.logf("bitcoind: %s does not start: %v", recipe.source, err)
		}
		failed.Rungs = append(failed.Rungs, RungError{Rung: rung.name, Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// open starts what a recipe found. Between the choice of a port and its use by
// the node another process may take it; then it tries again with another.
func open(ctx context.Context, s *settings, r recipe) (*Node, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		node, err := openOnce(ctx, s, r)
		if err == nil {
			return node, nil
		}
		var taken *portTakenError
		if !errors.As(err, &taken) || attempt == attempts {
			return nil, err
		}
	}
}

type portTakenError struct{ err error }

func (e *portTakenError) Error() string { return e.err.Error() }
func (e *portTakenError) Unwrap() error { return e.err }

func openOnce(ctx context.Context, s *settings, r recipe) (*Node, error) {
	var chain *premined
	if s.blocks > 1 && r.binary != "" {
		var err error
		if chain, err = premine(ctx, s, r, s.blocks-1); err != nil {
			s.logf("bitcoind: no chain to copy (%v); this node mines its own", err)
		}
	}
	home, err := newHome(s, r)
	if err != nil {
		return nil, err
	}
	node := &Node{home: home}
	if err := node.boot(ctx, s, r, chain); err != nil {
		if chain != nil {
			err = fmt.Errorf("%w\n(it begins with a copy of %s; remove that if it is damaged)", err, chain.dir)
		}
		return nil, errors.Join(err, node.abandon())
	}
	return node, nil
}

// newHome makes a directory with its guard and chooses ports and a password.
func newHome(s *settings, r recipe) (h home, err error) {
	host := r.host
	if host == "" {
		host = "127.0.0.1"
	}
	h.args = s.args
	defer func() {
		if err != nil {
			releasePorts(h.port, h.peerPort, h.zmqPort)
		}
	}()
	if h.port, err = leasePort(); err != nil {
		return h, err
	}
	if s.peers {
		if h.peerPort, err = leasePort(); err != nil {
			return h, err
		}
	}
	if s.zmq && r.kind == "bitcoind" {
		if h.zmqPort, err = leasePort(); err != nil {
			return h, err
		}
		h.config.ZMQ = fmt.Sprintf("tcp://127.0.0.1:%d", h.zmqPort)
	}
	if h.dir, err = os.MkdirTemp(tempDir(), "bitcoind-"); err != nil {
		return h, err
	}
	if h.guard, err = newGuard(h.dir); err != nil {
		return h, errors.Join(err, os.RemoveAll(h.dir))
	}
	h.log = filepath.Join(h.dir, "node.log")
	h.config.URL = fmt.Sprintf("http://%s:%d", host, h.port)
	h.config.User, h.config.Password, h.config.Poll = "regtest", rand.Text(), s.poll
	return h, nil
}

// close removes the directory and gives the ports back. The node has ended.
func (h home) close() error {
	releasePorts(h.port, h.peerPort, h.zmqPort)
	return h.guard.close()
}

// boot starts the program and waits until the node is of use.
func (n *Node) boot(ctx context.Context, s *settings, r recipe, chain *premined) (err error) {
	if chain != nil {
		if err := chain.unpack(n.home.dir); err != nil {
			return err
		}
	}
	if n.program, err = r.prepare(n.home); err != nil {
		return err
	}
	if err := n.program.start(); err != nil {
		return err
	}
	n.Client = newClient(n.home.config)
	if err := n.awaitReady(ctx, n.connect); err != nil {
		return err
	}
	if n.versionNumber < minVersion && !n.btcd {
		return fmt.Errorf("%s: older than version 28: %w", n.Version(), ErrUnsupported)
	}
	n.info = Info{Kind: r.kind, Version: n.Version(), Source: r.source, Program: r.binary}
	if err := n.equip(ctx, s, chain); err != nil {
		return err
	}
	return n.awaitReady(ctx, n.readBack) // which went on meanwhile
}

// equip makes the miner and the blocks that the node is to begin with. The last
// is mined now, which tells the node that it is not far behind.
func (n *Node) equip(ctx context.Context, s *settings, chain *premined) (err error) {
	seed := s.minerSeed
	switch {
	case s.member > 0 && seed != nil:
		seed = fmt.Appendf(slices.Clone(seed), " %d", s.member)
	case s.member == 0 && chain != nil:
		seed = chain.Seed
	}
	if n.Miner, err = NewMiner(n.Client, seed); err != nil || s.member > 0 {
		return err
	}
	if chain == nil {
		return n.mineAlone(ctx, s.blocks)
	}
	if err := n.adopt(chain); err != nil {
		return err
	}
	_, err = n.Mine(ctx, 1)
	return err
}

// abandon removes what a failed boot left.
func (n *Node) abandon() error {
	var errs []error
	if n.program != nil {
		errs = append(errs, n.kill(), n.program.close())
	}
	return errors.Join(append(errs, n.home.close())...)
}

// awaitReady asks until the node answers, and watches for its early end. What is
// asked ends with it too: a stranger may have the port, and never answer.
func (n *Node) awaitReady(ctx context.Context, ask func(context.Context) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-n.program.ended():
			stop()
		case <-running.Done():
		}
	}()
	begun := time.Now()
	for {
		err := ask(running)
		if err == nil {
			return nil
		}
		select {
		case <-n.program.ended():
			err := fmt.Errorf("%s before it answered; its log ends:\n%s", n.program.outcome(), n.LogTail(20))
			if n.portTaken() {
				return &portTakenError{err}
			}
			return err
		default:
		}
		// What takes long anyway is asked less often: many nodes may start at once.
		if pause(ctx, min(max(readyPoll, time.Since(begun)/10), slowestPoll)) != nil {
			return fmt.Errorf("%w before the node answered (%v); its log ends:\n%s", ctx.Err(), err, n.LogTail(20))
		}
	}
}

// portTaken reports whether a stranger has one of the node's ports, or, by the
// node's own word, had it for the moment that the node wanted it.
func (n *Node) portTaken() bool {
	log := strings.ToLower(n.LogTail(20))
	if strings.Contains(log, syscall.EADDRINUSE.Error()) || strings.Contains(log, "unable to bind to") { // the latter of a port for peers
		return true
	}
	return !portFree(n.home.port) || !portFree(n.home.peerPort) || !portFree(n.home.zmqPort)
}

// errReading: a node answers and still reads what it had written before.
var errReading = errors.New("node is still reading its mempool")

// readBack fails until the node answers and knows all that it knew before it was
// started.
func (n *Node) readBack(ctx context.Context) error {
	if err := n.indexed(ctx); err != nil {
		return err
	}
	loaded, err := n.mempoolLoaded(ctx)
	if err == nil && !loaded {
		err = errReading
	}
	return err
}

// Info says what the node is and how it was found.
func (n *Node) Info() Info { return n.info }

// Log returns the path of the node's log. It spans restarts and is removed by Close.
func (n *Node) Log() string { return n.home.log }

// Kill ends the node at once, as SIGKILL or a power cut would. Restart brings it
// back with what it had written: a local bitcoind writes its chain rarely, so
// a young one comes back without its last blocks, often without any. Stop
// first keeps everything.
func (n *Node) Kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return os.ErrClosed
	}
	return n.kill()
}

func (n *Node) kill() error {
	if err := n.program.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("bitcoind: kill node: %w", err)
	}
	<-n.program.ended()
	return nil
}

// Pause stops the node's process as SIGSTOP does: its ports stay open and nothing
// answers, so calls hang until their contexts end. Resume lets it run on.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (n *Node) Resume() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return os.ErrClosed
	}
	if err := n.program.signal(s); err != nil {
		return fmt.Errorf("bitcoind: %v: %w", s, err)
	}
	return nil
}

// Stop ends the node in good order. Restart brings it back.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return os.ErrClosed
	}
	return n.stop(ctx)
}

func (n *Node) stop(ctx context.Context) error {
	// A paused node ends only when it runs on.
	if err := errors.Join(n.program.signal(syscall.SIGTERM), n.program.signal(syscall.SIGCONT)); err != nil {
		return fmt.Errorf("bitcoind: stop node: %w", err)
	}
	select {
	case <-n.program.ended():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bitcoind: stop node: %w; its log ends:\n%s", ctx.Err(), n.LogTail(20))
	}
}

// Restart stops the node if it runs and starts it again, with the same data and
// the same port. It returns when the node answers and has read its mempool and its
// index back, so that nothing it knew seems to be gone. btcd is an exception: on
// regtest it removes its database whenever it starts, and comes back with the
// genesis block only.
func (n *Node) Restart(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return os.ErrClosed
	}
	if err := n.stop(ctx); err != nil {
		return err
	}
	var args []string
	if at := n.frozen.Load(); at != 0 { // bitcoind does not start on blocks of the future
		args = append(args, fmt.Sprintf("-mocktime=%d", at))
	}
	n.http.CloseIdleConnections() // to the program that has ended
	if err := n.program.start(args...); err != nil {
		return fmt.Errorf("bitcoind: restart node: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.awaitReady(ctx, n.readBack); err != nil {
		return fmt.Errorf("bitcoind: restart node: %w", err)
	}
	n.Miner.restarted()
	return nil
}

// Close kills the node and removes its directory. A second Close does nothing.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	if n.info.Kind == "external" {
		n.http.CloseIdleConnections()
		return nil
	}
	err := n.kill() // nothing that it would still write is kept
	n.http.CloseIdleConnections()
	return errors.Join(err, n.program.close(), n.home.close())
}
