package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
)

// shared is what a command prints while a test looks on.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// wait returns when the command has printed something.
func (s *shared) wait(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		text := s.text.String()
		s.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("it never printed %q; so far:\n%s", want, text)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// An auditor who follows an export that grows: a page and a state are kept, a restart
// goes on from the state, and a second history ends it
// and is proved by a file that is kept.
func TestAuditFollows(t *testing.T) {
	a := newAudited(t)
	dir := t.TempDir()
	journal := filepath.Join(dir, "journal")
	if out, err := runCommand(t, newExportCommand(), "--bank", a.bank, "--postgres", a.url, journal); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	node := a.node.Config()
	args := []string{"--bank", a.bank, "--export", journal, "--state", filepath.Join(dir, "audit.state"), "--report", filepath.Join(dir, "page"),
		"--interval", "50ms", "--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password}

	out := &shared{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	cmd := newAuditCommand()
	cmd.SetOut(out)
	cmd.SetErr(out)
	cmd.SetArgs(append(args, "--follow"))
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	out.wait(t, "The books hold: the sum of all wallets equals the coins on chain.")

	batch := a.another(t, 1)
	w, err := export.Continue(journal, a.charter(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	out.wait(t, fmt.Sprintf("batch %d, block", batch.Header.Number))
	cancel()
	if err := <-ended; err != nil {
		t.Fatalf("stopped by its owner it ends with %v", err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "page", "index.html"))
	if err != nil || !strings.Contains(string(page), "The books hold") {
		t.Fatalf("%v\n%s", err, page)
	}

	// Alone, the state shows that what is there now is another history.
	other := a.another(t, 2)
	if err := os.RemoveAll(journal); err != nil {
		t.Fatal(err)
	}
	if out, err := runCommand(t, newExportCommand(), "--bank", a.bank, "--postgres", a.url, journal); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if w, err = export.Continue(journal, a.charter(t)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(other), w.Close()); err != nil {
		t.Fatal(err)
	}
	text, status, message := runAuditCommand(t, args...)
	if status != 1 || !strings.Contains(text, fmt.Sprintf("batch %d was shown with the header", batch.Header.Number)) {
		t.Fatalf("status %d %s\n%s", status, message, text)
	}
	evidence := filepath.Join(dir, "evidence", fmt.Sprintf("equivocation-%d.json", batch.Header.Number))
	if out, err := runCommand(t, newVerifyCommand(), "--bank", a.bank, evidence); err != nil || !strings.Contains(out, "against: the operator") {
		t.Fatalf("the proof that is kept: %v\n%s", err, out)
	}
	// Without the state it is as good as any; the head of the first audit tells.
	hash := batch.Header.Header.Hash()
	text, status, message = runAuditCommand(t, append(args[:4:4], append(args[8:], "--head", fmt.Sprintf("%d=%s", batch.Header.Number, hash))...)...)
	if status != 1 || !strings.Contains(text, "two histories") {
		t.Fatalf("status %d %s\n%s", status, message, text)
	}
}

func (a *audited) charter(t *testing.T) ledger.Charter {
	t.Helper()
	file, err := readBankFile(a.bank)
	if err != nil {
		t.Fatal(err)
	}
	return file.Charter
}

// another is a batch that continues the bank's journal by a payment of some satoshis.
func (a *audited) another(t *testing.T, amount ledger.Amount) *ledger.Batch {
	t.Helper()
	b := a.made
	books, err := ledger.NewState(b.Charter)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range *b.Journal {
		if err := books.Append(batch, ledger.CheckChain); err != nil {
			t.Fatal(err)
		}
	}
	ann := &audittest.Member{Key: audittest.Key("ann"), ID: ledger.FirstMember}
	o := b.Next(ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: ledger.FirstMember + 1, Amount: amount}}})
	if err := o.Sign(ann.Key); err != nil {
		t.Fatal(err)
	}
	entries := [][]byte{o.Bytes()}
	return audittest.Sign(t, audittest.Key("operator"), books.Next(audittest.RootOf(entries), 1, 1, books.Last().Time), entries)
}
