package integration

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// The words of an auditor, and of somebody else.
const (
	auditorsWords = "Example & Co., 28 November 2026, 5f0c2a"
	othersWords   = "the coins are mine"
)

// TestReserves: the guardians of a bank that runs sign an auditor's message with all of
// its coins, once their owners consent; no node takes the transaction, with its first
// input or without; the sum is the audit's; and the proof still holds when a settlement
// has spent the coins.
func TestReserves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	h.open(ctx)
	c := newCustomer(ctx, h)
	proof, txs := filepath.Join(h.dir, "reserves.json"), filepath.Join(h.dir, "reserves.hex")

	refused := func(want string) {
		t.Helper()
		out, err := tryRun(ctx, "reserves", "--data", h.dir, "--message", auditorsWords, "--out", proof, "--wait", "0s")
		if err == nil || !strings.Contains(out, want) {
			t.Fatalf("got %v, want it refused with %q:\n%s", err, want, out)
		}
		if _, err := os.Stat(proof); err == nil {
			t.Fatal("a proof was written")
		}
	}
	refused("has consented to no proof of reserves")
	h.consent(0, othersWords)
	h.consent(1, auditorsWords)
	refused("consented to a proof of reserves with another message")
	h.consent(0, auditorsWords)
	h.guardians[2].kill() // two are enough
	before := c.signedLog(0)
	run(t, nil, "reserves", "--data", h.dir, "--message", auditorsWords, "--out", proof, "--tx", txs)
	if now := c.signedLog(0); now != before {
		t.Errorf("the guardian remembers a proof of reserves as a settlement:\n%s", now)
	}

	report := c.audit()
	sum := fmt.Sprintf("together %d sat", report.ChainSat)
	node := h.node.Config()
	verify := func(args ...string) string {
		t.Helper()
		return run(t, nil, append([]string{"verify", "--bank", filepath.Join(h.dir, "bank", "bank.json"), proof}, args...)...)
	}
	asked := []string{"--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password}
	if said := verify(); !strings.Contains(said, sum) || !strings.Contains(said, "headers cannot show it") {
		t.Errorf("offline verify says, of %d sat:\n%s", report.ChainSat, said)
	}
	if said := verify(asked...); !strings.Contains(said, sum) || !strings.Contains(said, "All of them were unspent in block") {
		t.Errorf("with a node verify says, of %d sat:\n%s", report.ChainSat, said)
	}
	c.refusedByNode(txs)

	// Settlements go on, and the proof stands.
	c.withdraw(10_000)
	c.settleAll()
	if said := verify(asked...); !strings.Contains(said, "All of them were unspent in block") {
		t.Errorf("after a settlement verify says:\n%s", said)
	}
	c.audit()
	c.lies(proof, asked)
	c.page(asked)

	// The consent survives the guardian's process, and can be taken back.
	h.guardians[0].kill()
	h.guardians[0].start()
	run(t, nil, "reserves", "--data", h.dir, "--message", auditorsWords, "--out", filepath.Join(h.dir, "again.json"))
	run(t, nil, "guardian", "consent", "--dir", h.folder(1), "--withdraw")
	c.must(os.Remove(proof))
	refused("has consented to no proof of reserves")
}

// consent is what the owner of a guardian says.
func (h *house) consent(i int, message string) {
	h.t.Helper()
	run(h.t, nil, "guardian", "consent", "--dir", h.folder(i), "--message", message, "--yes")
}

func (c *customer) signedLog(i int) string {
	c.h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(c.h.folder(i), "signed.log"))
	c.must(err)
	return string(raw)
}

// refusedByNode asserts that the node takes no transaction of the file: as it is,
// because its first input is not there, and without that input, because no signature
// holds.
func (c *customer) refusedByNode(path string) {
	t := c.h.t
	t.Helper()
	raw, err := os.ReadFile(path)
	c.must(err)
	lines := strings.Fields(string(raw))
	if len(lines) != 1 {
		t.Fatalf("%d transactions", len(lines))
	}
	text, err := hex.DecodeString(lines[0])
	c.must(err)
	tx := &wire.MsgTx{}
	c.must(tx.Deserialize(bytes.NewReader(text)))
	var owed int64
	for _, in := range tx.TxIn[1:] {
		out, _, err := c.h.node.UTXO(c.ctx, in.PreviousOutPoint)
		c.must(err)
		if out == nil {
			t.Fatalf("it spends %s, which is not there", in.PreviousOutPoint)
		}
		owed += out.Value
	}
	if len(tx.TxOut) != 1 || tx.TxOut[0].Value != owed || ledger.Amount(owed) == 0 {
		t.Errorf("it pays %d outputs, its inputs are %d sat", len(tx.TxOut), owed)
	}
	accepted, err := c.h.node.TestAccept(c.ctx, tx)
	c.must(err)
	if accepted[0].Allowed || accepted[0].Reason != bitcoind.ReasonMissingInputs {
		t.Errorf("the node says of it: %+v", accepted[0])
	}
	tx.TxIn = tx.TxIn[1:]
	tx.TxOut[0].Value -= 10_000
	accepted, err = c.h.node.TestAccept(c.ctx, tx)
	c.must(err)
	if accepted[0].Allowed || !strings.Contains(string(accepted[0].Reason), "script-verify") {
		t.Errorf("without its first input the node says of it: %+v", accepted[0])
	}
}

// page asserts that the page of an audit over the API shows what guardians have attested
// at the blocks, and what the chain anchors.
func (c *customer) page(asked []string) {
	c.h.t.Helper()
	dir := filepath.Join(c.h.dir, "page")
	run(c.h.t, nil, append([]string{"audit", "--bank", filepath.Join(c.h.dir, "bank", "bank.json"), "--api", c.h.url, "--report", dir}, asked...)...)
	text, err := os.ReadFile(filepath.Join(dir, "index.html"))
	c.must(err)
	for _, want := range []string{`class="line lag"`, `class="line attested"`, "Not attested yet, as the bank says"} {
		if !strings.Contains(string(text), want) {
			c.h.t.Errorf("the page lacks %q", want)
		}
	}
}

// lies asserts that a file that says a satoshi more is refused.
func (c *customer) lies(path string, asked []string) {
	c.h.t.Helper()
	raw, err := os.ReadFile(path)
	c.must(err)
	lie := filepath.Join(c.h.dir, "lie.json")
	c.must(os.WriteFile(lie, bytes.Replace(raw, []byte(`"amount_sat":`), []byte(`"amount_sat":1`), 1), 0o600))
	out, err := tryRun(c.ctx, append([]string{"verify", "--bank", filepath.Join(c.h.dir, "bank", "bank.json"), lie}, asked...)...)
	if err == nil || !strings.Contains(out, "the vault's key did not sign") {
		c.h.t.Errorf("of a coin that holds more verify says: %s", out)
	}
}
