package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/daobank/daobank/audit"
)

// How long an audit may be silent, and how often it then speaks: on a terminal
// one line that moves, elsewhere now and then a new line.
const (
	auditSilence       = time.Second
	auditEveryTerminal = 200 * time.Millisecond
	auditEveryLog      = 30 * time.Second
)

// auditProgress tells people that a long audit is alive.
type auditProgress struct {
	w        io.Writer
	terminal bool
	next     time.Time
	shown    bool
}

func newAuditProgress(w io.Writer) *auditProgress {
	file, ok := w.(*os.File)
	return &auditProgress{w: w, terminal: ok && term.IsTerminal(int(file.Fd())), next: time.Now().Add(auditSilence)}
}

func (p *auditProgress) show(at audit.Progress) {
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	line := fmt.Sprintf("%s: batch %d", at.Doing, at.Batch)
	if at.Until > 0 {
		line += fmt.Sprintf(" of %d", at.Until)
	}
	line += fmt.Sprintf(", %d orders, block %d", at.Orders, at.Height)
	if !p.terminal {
		p.next = now.Add(auditEveryLog)
		fmt.Fprintln(p.w, line)
		return
	}
	p.next, p.shown = now.Add(auditEveryTerminal), true
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

// clear removes the line that moves.
func (p *auditProgress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
