package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// A scratch is a temporary directory that does not outlive this process, also
// when that is killed: a small shell holds the other end of a pipe, and removes
// the directory when the pipe ends without the word "keep".
type scratch struct {
	dir  string
	pipe *os.File
	cmd  *exec.Cmd
}

// The bank's process, which dies in the same moment, may still write: removal is
// repeated until it holds.
const scratchScript = `
trap '' HUP INT TERM
read -r word && [ "$word" = keep ] && exit 0
n=0
while rm -rf -- "$1"; [ -e "$1" ] && [ $n -lt 100 ]; do
	n=$((n + 1))
	sleep 0.1
done
`

func newScratch(prefix string) (_ *scratch, err error) {
	s := &scratch{}
	if s.dir, err = os.MkdirTemp("", prefix); err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.Remove(s.dir))
	}
	defer reader.Close()
	s.pipe = writer
	s.cmd = exec.Command("/bin/sh", "-c", scratchScript, "sh", s.dir)
	s.cmd.Dir = "/"
	s.cmd.Stdin = reader
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of the terminal's signals
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("guard %s: %w", s.dir, err), writer.Close(), os.Remove(s.dir))
	}
	return s, nil
}

// close removes the directory, or keeps it.
func (s *scratch) close(keep bool) error {
	var told error
	if keep {
		_, told = s.pipe.WriteString("keep\n")
	}
	return errors.Join(told, s.pipe.Close(), s.cmd.Wait())
}
