package bitcoind

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// guard is a small shell that outlives this process for a moment. It reads a
// pipe whose other end only this process holds. When the pipe closes, for
// whatever reason, it kills the node it was last told of and removes the
// node's directory.
//
// The kernel's own way on Linux, a parent-death signal, is bound to the thread
// that started the child: the Go runtime may end that thread at any time, and
// the directory would stay.
type guard struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// Each line names the process group to kill; an empty line, none. A dying node
// may still write, so removal is repeated until it holds.
const guardScript = `
trap '' HUP INT TERM
while read -r line; do group=$line; done
if [ -n "$group" ]; then
	kill -s KILL -- "-$group"
	sleep 0.1
fi
n=0
while rm -rf -- "$1"; [ -e "$1" ] && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
`

// newGuard starts a guard of a directory.
func newGuard(dir string) (*guard, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	defer reader.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript, "sh", dir)
	cmd.Dir = "/"
	cmd.Stdin = reader
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of the terminal's signals
	if err := cmd.Start(); err != nil {
		writer.Close()
		return nil, fmt.Errorf("start guard: %w", err)
	}
	return &guard{pipe: writer, cmd: cmd}, nil
}

// watch names the process group to kill; zero, none.
func (g *guard) watch(group int) error {
	line := "\n"
	if group != 0 {
		line = strconv.Itoa(group) + "\n"
	}
	if _, err := g.pipe.WriteString(line); err != nil {
		return fmt.Errorf("tell guard: %w", err)
	}
	return nil
}

// close lets the guard do its work and waits for it.
func (g *guard) close() error {
	g.pipe.Close()
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("end guard: %w", err)
	}
	return nil
}
