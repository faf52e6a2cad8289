package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A child is a command of this program in a process of its own, so that it can
// be killed.
type child struct {
	name   string
	log    string
	cmd    *exec.Cmd
	said   chan map[string]string // lines of JSON on its standard output
	exited chan struct{}          // closed once the process is gone
	err    error                  // of the process; read after exited
}

// startChild starts this program with these arguments. Its log is appended to
// logPath. The process dies with this one.
func startChild(name string, args []string, env []string, logPath string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := &child{name: name, log: logPath, cmd: exec.Command(self, args...),
		said: make(chan map[string]string, 16), exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that started the process ends, so that
		// thread stays with it.
		runtime.LockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			<-c.exited
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go c.listen(stdout)
	return c, nil
}

// listen passes on what the process says until it ends.
func (c *child) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line map[string]string
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			select {
			case c.said <- line:
			default: // nobody waits for so much
			}
		}
	}
	c.err = c.cmd.Wait()
	close(c.exited)
}

// await returns the next line in which the process says something under a name.
// When ctx ends first, or the process does, the error names its log.
func (c *child) await(ctx context.Context, what string) (map[string]string, error) {
	for {
		select {
		case line := <-c.said:
			if _, ok := line[what]; ok {
				return line, nil
			}
		case <-c.exited:
			return nil, fmt.Errorf("%s stopped at once (%v); its log is %s", c.name, c.err, c.log)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s did not say %q: %w; its log is %s", c.name, what, ctx.Err(), c.log)
		}
	}
}

// kill ends the process with SIGKILL, as a power cut would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// stop asks the process to end and kills it when it does not.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	select {
	case <-c.exited:
		return c.err
	case <-time.After(15 * time.Second):
		c.kill()
		return fmt.Errorf("%s did not stop within 15 s and was killed", c.name)
	}
}
