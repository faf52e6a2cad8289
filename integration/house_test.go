package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/keyfile"
)

// house is a bank whose parts are processes of their own: the bank, and each of
// its guardians on a folder of its own.
type house struct {
	t         *testing.T
	dir       string
	node      *bitcoind.Node
	database  string
	bankEnv   []string // of the bank alone: what it sees otherwise than the guardians
	bank      *process
	guardians []*process
	url       string // of the bank's API
	address   string // at which the bank waits for guardians
}

// newHouse makes the guardians' keys and the founding document, with more arguments
// for it. open opens it.
func newHouse(t *testing.T, node *bitcoind.Node, database string, threshold, guardians int, more ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), node: node, database: database}
	args := []string{"found", "--data", h.dir, "--name", "house", "--depth", fmt.Sprint(depth), "--threshold", fmt.Sprint(threshold)}
	for i := range guardians {
		if _, err := keyfile.CreateIdentity(h.identity(i)); err != nil {
			t.Fatal(err)
		}
		run(t, nil, "guardian", "init", "--dir", h.folder(i), "--identity-file", h.identity(i))
		args = append(args, "--guardian", filepath.Join(h.folder(i), "public.json"))
	}
	run(t, nodeEnv(node), append(args, more...)...)
	return h
}

func (h *house) folder(i int) string   { return filepath.Join(h.dir, fmt.Sprint("guardian-", i)) }
func (h *house) identity(i int) string { return filepath.Join(h.dir, fmt.Sprint("identity-", i)) }
func (h *house) founding() string      { return filepath.Join(h.dir, "bank", "founding.json") }

// open starts the bank and all guardians, and waits until the bank's API
// answers. The first time they make the vault's key on the way.
func (h *house) open(ctx context.Context) {
	h.t.Helper()
	h.spawn()
	said := h.bank.await(ctx, "guardians")
	h.url, h.address = said["api"], said["guardians"]
	for i := range h.identities() {
		h.guardians = append(h.guardians, h.guardian(i, h.folder(i)))
		h.guardians[i].start()
	}
	h.bank.await(ctx, "listening")
}

// identities counts the guardians.
func (h *house) identities() int {
	found, err := filepath.Glob(filepath.Join(h.dir, "identity-*"))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(found)
}

// guardian prepares a guardian's process on a folder.
func (h *house) guardian(i int, folder string) *process {
	return newProcess(h.t, fmt.Sprint("guardian ", i), filepath.Join(h.dir, fmt.Sprintf("guardian-%d.log", i)), nodeEnv(h.node),
		"guardian", "run", "--dir", folder, "--identity-file", h.identity(i), "--founding", h.founding(),
		"--coordinator", h.address, "--bank", h.url)
}

// spawn starts the bank without waiting for it. The second time it listens where
// it did before.
func (h *house) spawn(more ...string) {
	h.t.Helper()
	listen, guardians := "127.0.0.1:0", "127.0.0.1:0"
	if h.url != "" {
		listen, guardians = h.url[len("http://"):], h.address
	}
	h.bank = newProcess(h.t, "the bank", filepath.Join(h.dir, "bank.log"),
		append(append(nodeEnv(h.node), "DAOBANK_POSTGRES="+h.database), h.bankEnv...),
		append([]string{"serve", "--data", h.dir, "--poll", "20ms", "--listen", listen, "--guardian-listen", guardians}, more...)...)
	h.bank.start()
}

// reopen starts the bank again and waits until its API answers.
func (h *house) reopen(ctx context.Context, more ...string) {
	h.t.Helper()
	h.spawn(more...)
	h.bank.await(ctx, "listening")
}
