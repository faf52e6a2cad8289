package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/taproot"
)

func (m *member) receiptDir() string { return filepath.Join(filepath.Dir(m.keyFile), "receipts") }

func (m *member) receiptFile(sequence uint64) string {
	return m.orderFile(m.receiptDir(), sequence)
}

// keepReceipt writes the proof of an acceptance. A file that has it already stays.
func (m *member) keepReceipt(a *memberAccount, order *ledger.Order, answer *api.Acceptance) (string, error) {
	if err := os.MkdirAll(m.receiptDir(), 0o700); err != nil {
		return "", err
	}
	made := &proof.Proof{Charter: a.Charter, Body: &proof.Receipt{Order: order.Bytes(), Receipt: answer.Receipt}}
	text, err := made.Encode()
	if err != nil {
		return "", err
	}
	file := m.receiptFile(order.Sequence)
	err = keyfile.WriteNew(file, text, 0o600)
	if errors.Is(err, fs.ErrExist) {
		kept, err := a.verifyReceipt(file)
		if err != nil || kept.Digest != order.Digest() {
			return "", fmt.Errorf("%s is not the receipt of this order: move it away", file)
		}
		return file, nil
	}
	return file, err
}

// A keptReceipt is a receipt that is kept here, and what it proves.
type keptReceipt struct {
	File     string      `json:"file"`
	State    string      `json:"state"` // "accepted"
	Kind     string      `json:"kind"`
	Sequence uint64      `json:"sequence"`
	Digest   ledger.Hash `json:"digest"`
	Batch    uint64      `json:"batch"`
	Index    uint32      `json:"index"`
}

// verifyReceipt checks a receipt of the account's bank, offline.
func (a *memberAccount) verifyReceipt(file string) (*keptReceipt, error) {
	made, err := readProof(file)
	if err != nil {
		return nil, err
	}
	receipt, ok := made.Body.(*proof.Receipt)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, not a receipt", file, made.Body.Kind())
	}
	if _, err := made.Verify(proof.Trust{Bank: a.bank}); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	order, err := ledger.DecodeOrder(receipt.Order)
	if err != nil {
		return nil, err
	}
	return &keptReceipt{File: file, State: "accepted", Kind: order.Kind().String(), Sequence: order.Sequence,
		Digest: order.Digest(), Batch: receipt.Receipt.Header.Number, Index: receipt.Receipt.Index}, nil
}

// saveBankFile writes the bank's public file, as it is known here, beside the key:
// what "daobank verify" and "daobank prove" read.
func (a *memberAccount) saveBankFile() error {
	f := bankFile{Charter: a.Charter, Policy: a.Policy}
	for _, e := range a.Rekeys {
		policy, err := taproot.ParsePolicy(e.Policy)
		if err != nil {
			return err
		}
		f.Rekeyed = append(f.Rekeyed, policy)
	}
	return writeBankFile(strings.TrimSuffix(a.file, ".account.json")+".bank.json", f)
}

func (m *member) receiptCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "receipt",
		Aliases: []string{"receipts"},
		Short:   "List the bank's receipts",
		Long: `For every order that the bank accepts it signs a receipt: the header of the batch
and the path from your order to it. They are kept in the folder "receipts" beside
your key. A receipt proves the acceptance to anyone, without the bank's help:

  daobank verify --bank member.bank.json receipts/member-000000000003.json

The bank's public file, member.bank.json, stands beside your key, too. "daobank prove"
makes more of a receipt: that the payment is anchored, or that it was left out.`,
	}
	cmd.AddCommand(m.receiptListCommand())
	return cmd
}

func (m *member) receiptListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the receipts that are kept here, each verified",
		Example: `  daobank member receipt list`,
		Args:    cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			a, err := m.account()
			if err != nil {
				return err
			}
			files, err := m.orderFiles(m.receiptDir())
			if err != nil {
				return err
			}
			list := make([]*keptReceipt, 0, len(files))
			text := make([]string, 0, len(files))
			for _, file := range files {
				r, err := a.verifyReceipt(file)
				if err != nil {
					return err
				}
				list = append(list, r)
				text = append(text, fmt.Sprintf("%-8s  order %-4d  batch %-6d  %s", r.Kind, r.Sequence, r.Batch, file))
			}
			if len(text) == 0 {
				text = append(text, "No receipt is kept in "+m.receiptDir()+".")
			}
			return m.print(cmd, map[string]any{"receipts": list}, strings.Join(text, "\n"))
		}),
	}
}
