package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A child is the bank in a process of its own, so that it can be killed.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone
	err    error         // of the process; read after exited
	url    string
}

// startChild starts this program's serve and waits until its API answers. The
// log is appended to logPath. The process dies with this one.
func startChild(ctx context.Context, args []string, env []string, logPath string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := &child{cmd: exec.Command(self, append([]string{"serve"}, args...)...), exited: make(chan struct{})}
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
		return nil, fmt.Errorf("start the bank: %w", err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var line struct{ Listening string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Listening != "" {
				ready <- line.Listening
			}
		}
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	select {
	case c.url = <-ready:
		return c, nil
	case <-c.exited:
		return nil, fmt.Errorf("the bank stopped at once (%v); its log is %s", c.err, logPath)
	case <-ctx.Done():
		c.kill()
		return nil, fmt.Errorf("the bank did not answer: %w; its log is %s", ctx.Err(), logPath)
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
		return errors.New("the bank did not stop within 15 s and was killed")
	}
}
