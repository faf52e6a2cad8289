package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A narrator tells a story line by line, each with the seconds since it began.
type narrator struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

func newNarrator(out io.Writer) *narrator { return &narrator{out: out, began: time.Now()} }

// chapter begins a part of the story.
func (n *narrator) chapter(title string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "\n%s\n", title)
}

func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "  %5.1fs  %s\n", n.elapsed().Seconds(), fmt.Sprintf(format, args...))
}

func (n *narrator) elapsed() time.Duration { return time.Since(n.began) }
