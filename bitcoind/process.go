package bitcoind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// program is a node's program, which can be started again and again on the
// same data.
type program interface {
	// start returns at once; the node may not answer yet. The arguments, without
	// spaces, count for this run only.
	start(args ...string) error
	// ended is closed when the run that start began has ended, or nothing runs.
	ended() <-chan struct{}
	// outcome says how that run ended.
	outcome() string
	// signal sends SIGTERM, SIGKILL, SIGSTOP or SIGCONT to a run that has not ended.
	signal(syscall.Signal) error
	// close releases what outlives a run. The run has ended.
	close() error
}

// process is a program on this machine, in a process group of its own, so that
// an interrupt at the terminal reaches the caller and not the node.
type process struct {
	argv  []string
	env   []string // added to this process's own
	dir   string
	log   string // receives standard output and error
	guard *guard

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	done chan struct{}
}

var _ program = (*process)(nil)

// closed is what ended returns when nothing was started.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// The new process waits until the guard knows it; if this process dies before,
// the read fails and nothing starts.
const gateScript = `read -r _ <&3 || exit 1; exec 3<&-; exec "$@"`

func (p *process) start(args ...string) error {
	gate, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer gate.Close()
	defer open.Close()
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", slices.Concat([]string{"-c", gateScript, "sh"}, p.argv, args)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	cmd.ExtraFiles = []*os.File{gate}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	err = p.guard.watch(cmd.Process.Pid)
	if err == nil {
		_, err = open.WriteString("go\n")
	}
	open.Close() // without the word, the gate ends the process
	go func() {
		cmd.Wait() // its outcome is in ProcessState
		p.guard.watch(0)
		close(done)
	}()
	return err
}

func (p *process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		return closed
	}
	return p.done
}

func (p *process) outcome() string {
	<-p.ended()
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s: %s", filepath.Base(p.argv[0]), p.cmd.ProcessState)
}

func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.ended():
		return nil
	default:
	}
	// The whole group: a wrapper script need not exec its program.
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && err != syscall.ESRCH {
		return err
	}
	return nil
}

func (p *process) close() error { return nil }
