package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// close stops the server and removes what was temporary. What is kept is shut down in order; what is thrown away
// need not be.
func (s *private) close() error {
	signal := syscall.SIGINT // fast shutdown: roll back, checkpoint, end
	if s.temporary {
		signal = syscall.SIGQUIT // immediate shutdown
	}
	errs := []error{s.stop(signal)}
	if s.socketDir != "" && s.socketDir != s.dir {
		errs = append(errs, os.RemoveAll(s.socketDir))
	}
	if s.temporary && s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	if s.watchdog != nil {
		s.watchdog.dismiss()
		s.watchdog = nil
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// stop signals the server and waits until it has ended, in the end by force.
func (s *private) stop(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cluster: stop the server: %w", err)
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-s.exited:
		s.process = nil
		s.watchdog.guard(0)
		return nil
	case <-timeout.C:
		return s.kill()
	}
}

func (s *private) ended() <-chan struct{} { return s.exited }

// kill ends the server and its processes by SIGKILL. The server is halted first, so that it cannot start another
// process in between; the processes would end by themselves a little later, but a crash does not wait.
func (s *private) kill() error {
	if s.process == nil {
		return nil
	}
	pid := s.process.Process.Pid
	_ = s.process.Process.Signal(syscall.SIGSTOP) // may have ended already; Kill tells
	children := childrenOf(pid)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // may have ended already; awaitGone tells
	}
	if err := s.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cluster: kill the server: %w", err)
	}
	<-s.exited
	s.process = nil
	s.watchdog.guard(0)
	return awaitGone(children)
}

func (s *private) restart(ctx context.Context) error {
	if s.watchdog == nil {
		return errors.New("cluster: restart: the cluster is closed")
	}
	if err := s.stop(syscall.SIGINT); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("cluster: restart: %w", err)
	}
	return nil
}

// childrenOf lists the processes whose parent is pid. Where there is no /proc it lists none: PostgreSQL's
// processes end by themselves when they see that their parent has gone.
func childrenOf(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	var children []int
	for _, path := range stats {
		if _, parent := processState(path); parent == pid {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // digits, by the pattern
			children = append(children, child)
		}
	}
	return children
}

// processState reads the state letter and the parent from a /proc/<pid>/stat file (proc(5)): they follow the
// program's name, which stands in parentheses and may hold anything.
func processState(path string) (state string, parent int) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// awaitGone waits until the processes have ended; a zombie that nobody has waited for counts as ended.
func awaitGone(pids []int) error {
	deadline := time.Now().Add(stopTimeout)
	for _, pid := range pids {
		for {
			state, _ := processState(fmt.Sprintf("/proc/%d/stat", pid))
			if state == "" || state == "Z" || state == "X" {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("cluster: process %d of the server is still in state %s after SIGKILL", pid, state)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}
