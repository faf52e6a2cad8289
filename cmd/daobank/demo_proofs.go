package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

// demoProofs are the files of the last act.
type demoProofs struct {
	dir   string
	files []string
}

func (p *demoProofs) path(name string) string { return filepath.Join(p.dir, name) }

// proofKinds counts the kinds of proofs that the story shows, for the verdict.
const proofKinds = 6

// writeProofs writes proofs of one member's payment and balance, of the coins, and of
// the journal, as anybody does with the bank's API and a node; and a proof of reserves,
// as the operator does when an auditor asks and the guardians' owners consent.
func (d *demo) writeProofs(ctx context.Context) error {
	d.proofs.dir = filepath.Join(d.dir, "proofs")
	if err := os.MkdirAll(d.proofs.dir, 0o700); err != nil {
		return err
	}
	m := d.members[0]
	if err := d.writeReceipt(ctx, m); err != nil {
		return err
	}
	list, err := d.client.Settlements(ctx, 1, 1000)
	if err != nil {
		return err
	}
	cuts, err := d.client.Cuts(ctx)
	if err != nil {
		return err
	}
	first := uint32(0) // the earliest settlement whose cut the restarted bank can prove
	for _, s := range list {
		for i := range cuts {
			if first == 0 && cuts[i].Batch == s.Batch {
				first = s.Number
			}
		}
	}
	for _, args := range [][]string{
		{"balance", fmt.Sprint(uint64(m.id))},
		{"payment", d.proofs.path("receipt.json")},
		{"coins"},
		{"consistency", "--from", fmt.Sprint(first)},
	} {
		name := args[0] + ".json"
		if err := d.prove(ctx, append(args, "--out", d.proofs.path(name))...); err != nil {
			return err
		}
		d.proofs.files = append(d.proofs.files, name)
	}
	if err := d.proveReserves(ctx); err != nil {
		return err
	}
	if err := d.prove(ctx, "headers", "--out", d.proofs.path("headers.txt")); err != nil {
		return err
	}
	for _, name := range d.proofs.files {
		info, err := os.Stat(d.proofs.path(name))
		if err != nil {
			return err
		}
		d.say("Written: %-16s %6d bytes", name, info.Size())
	}
	return nil
}

// writeReceipt keeps the receipt of a member's first payment.
func (d *demo) writeReceipt(ctx context.Context, m *demoMember) error {
	order, answer, err := d.client.Order(ctx, ledger.OrderRef{Payer: m.id, Sequence: 1})
	if err != nil {
		return err
	}
	text, err := (&proof.Proof{Charter: d.info.Charter, Body: &proof.Receipt{Order: order.Bytes(), Receipt: answer.Receipt}}).Encode()
	if err != nil {
		return err
	}
	d.proofs.files = append(d.proofs.files, "receipt.json")
	return os.WriteFile(d.proofs.path("receipt.json"), text, 0o600)
}

// auditorsMessage is what the demo's auditor asks to be signed.
const auditorsMessage = "the demo's auditor, who drew the number 5f0c2a"

// proveReserves lets the owners of all guardians consent, and the operator ask.
func (d *demo) proveReserves(ctx context.Context) error {
	for i := range d.council.guardians {
		if _, err := runQuietly(ctx, newGuardianCommand(), "consent", "--dir", d.council.folder(i), "--message", auditorsMessage, "--yes"); err != nil {
			return fmt.Errorf("guardian %d's owner consents: %w", i, err)
		}
	}
	const name = "reserves.json"
	said, err := runQuietly(ctx, newReservesCommand(), "--data", d.dir, "--message", auditorsMessage, "--out", d.proofs.path(name))
	if err != nil {
		return fmt.Errorf("prove reserves: %w: %s", err, said)
	}
	d.proofs.files = append(d.proofs.files, name)
	return nil
}

// prove runs "daobank prove".
func (d *demo) prove(ctx context.Context, args ...string) error {
	node := d.node.Config()
	_, err := runQuietly(ctx, newProveCommand(), append(args, "--bank", filepath.Join(d.dir, bankFileName), "--api", d.url,
		"--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password)...)
	if err != nil {
		return fmt.Errorf("prove %s: %w", args[0], err)
	}
	return nil
}

// runQuietly runs a command of this program and returns what it printed.
func runQuietly(ctx context.Context, cmd *cobra.Command, args ...string) (string, error) {
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

// verifyProofs checks the files with the bank stopped, and one of them again after it
// was tampered with.
func (d *demo) verifyProofs(ctx context.Context) error {
	d.say("A stranger verifies them offline: block headers, the bank's public file, nothing else")
	for _, name := range d.proofs.files {
		text, err := d.verifyFile(ctx, name)
		if err != nil {
			return fmt.Errorf("verify %s: %w: %s", name, err, text)
		}
		d.result.Proofs.Verified++
		fmt.Fprint(d.out, text)
	}
	made, err := readProof(d.proofs.path("balance.json"))
	if err != nil {
		return err
	}
	made.Body.(*proof.Balance).Owed += ledger.SatPerBTC
	text, err := made.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.proofs.path("tampered.json"), text, 0o600); err != nil {
		return err
	}
	d.say("And one of them with a bitcoin more in it:")
	said, err := d.verifyFile(ctx, "tampered.json")
	fmt.Fprint(d.out, said)
	var status *exitError
	d.result.Proofs.TamperedRefused = errors.As(err, &status) && status.status == statusInvalid
	return nil
}

func (d *demo) verifyFile(ctx context.Context, name string) (string, error) {
	return runQuietly(ctx, newVerifyCommand(), "--bank", filepath.Join(d.dir, bankFileName),
		"--headers", d.proofs.path("headers.txt"), d.proofs.path(name))
}
