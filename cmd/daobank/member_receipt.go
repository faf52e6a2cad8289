package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
)

// receiptContent is a receipt file: all that anyone needs to verify it offline.
type receiptContent struct {
	Charter ledger.Charter `json:"charter"`
	Order   string         `json:"order"` // canonical bytes in hex
	Receipt ledger.Receipt `json:"receipt"`
}

func (m *member) receiptDir() string { return filepath.Join(filepath.Dir(m.keyFile), "receipts") }

func (m *member) receiptFile(sequence uint64) string {
	return m.orderFile(m.receiptDir(), sequence)
}

// keepReceipt writes the proof of an acceptance. A file that has it already stays.
func (m *member) keepReceipt(a *memberAccount, order *ledger.Order, answer *api.Acceptance) (string, error) {
	if err := os.MkdirAll(m.receiptDir(), 0o700); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(receiptContent{Charter: a.Charter, Order: orderHex(order), Receipt: answer.Receipt}, "", "  ")
	if err != nil {
		return "", err
	}
	file := m.receiptFile(order.Sequence)
	err = keyfile.WriteNew(file, append(text, '\n'), 0o600)
	if errors.Is(err, fs.ErrExist) {
		kept, err := verifyReceipt(file)
		if err != nil || kept.Digest != order.Digest() {
			return "", fmt.Errorf("%s is not the receipt of this order: move it away", file)
		}
		return file, nil
	}
	return file, err
}

// proven is what a receipt proves, and no more.
type proven struct {
	File     string        `json:"file"`
	State    string        `json:"state"` // "accepted"
	Bank     ledger.BankID `json:"bank"`
	BankName string        `json:"bank_name"`
	Pinned   bool          `json:"pinned"` // the bank's id was compared with --bank-id
	Kind     string        `json:"kind"`
	Account  string        `json:"account"` // empty for an open order, which has no number yet
	Sequence uint64        `json:"sequence"`
	Digest   ledger.Hash   `json:"digest"`
	Batch    uint64        `json:"batch"`
	Index    uint32        `json:"index"`
	Time     time.Time     `json:"time"` // by the operator's clock
}

// receiptFileMax bounds what is read of a receipt file.
const receiptFileMax = 1 << 20

// verifyReceipt checks a receipt file with nothing but the file. Errors: an
// *ledger.Error from the check, and what makes the file unreadable.
func verifyReceipt(file string) (*proven, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, receiptFileMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > receiptFileMax {
		return nil, fmt.Errorf("%s is not a receipt file: it has more than %d bytes", file, receiptFileMax)
	}
	content, order, err := decodeReceipt(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not a receipt file: %w", file, err)
	}
	if err := content.Receipt.Verify(&content.Charter, order.Bytes()); err != nil {
		return nil, fmt.Errorf("%s proves nothing: %w", file, err)
	}
	bank := content.Charter.ID()
	if err := order.Check(bank); err != nil {
		return nil, fmt.Errorf("%s holds an order that no bank should have accepted: %w", file, err)
	}
	p := &proven{
		File: file, State: "accepted", Bank: bank, BankName: content.Charter.Name,
		Kind: order.Kind().String(), Sequence: order.Sequence, Digest: order.Digest(),
		Batch: content.Receipt.Header.Number, Index: content.Receipt.Index,
		Time: time.UnixMilli(int64(content.Receipt.Header.Time)).UTC(),
	}
	if order.Kind() != ledger.KindOpen {
		p.Account = ledger.FormatAccount(bank, order.Payer)
	}
	return p, nil
}

func decodeReceipt(text []byte) (*receiptContent, *ledger.Order, error) {
	content := &receiptContent{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(content); err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("something follows the JSON object")
	}
	if err := content.Charter.Validate(); err != nil {
		return nil, nil, err
	}
	canonical, err := hex.DecodeString(content.Order)
	if err != nil {
		return nil, nil, fmt.Errorf("its order is not hex: %w", err)
	}
	order, err := ledger.DecodeOrder(canonical)
	return content, order, err
}

func (m *member) receiptCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "receipt",
		Aliases: []string{"receipts"},
		Short:   "List and verify the bank's receipts",
		Long: `For every order that the bank accepts it signs a receipt: the header of the batch
and the path from your order to it. They are kept in the folder "receipts" beside
your key. A receipt proves the acceptance to anyone, without the bank's help.`,
	}
	cmd.AddCommand(m.receiptListCommand(), m.receiptVerifyCommand())
	return cmd
}

func (m *member) receiptListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the receipts that are kept here, each verified",
		Example: `  daobank member receipt list`,
		Args:    cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			files, err := m.orderFiles(m.receiptDir())
			if err != nil {
				return err
			}
			list := make([]*proven, 0, len(files))
			text := make([]string, 0, len(files))
			for _, file := range files {
				p, err := verifyReceipt(file)
				if err != nil {
					return err
				}
				list = append(list, p)
				text = append(text, fmt.Sprintf("%-8s  order %-4d  batch %-6d  %s", p.Kind, p.Sequence, p.Batch, file))
			}
			if len(text) == 0 {
				text = append(text, "No receipt is kept in "+m.receiptDir()+".")
			}
			return m.print(cmd, map[string]any{"receipts": list}, strings.Join(text, "\n"))
		}),
	}
}

func (m *member) receiptVerifyCommand() *cobra.Command {
	var bankID string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a receipt offline",
		Long: `verify checks a receipt with nothing but the file: that the bank of the charter in
it signed the header of a batch, and that the order stands in that batch.

It proves that the order is accepted. It does not prove that the order is attested
or anchored, and it cannot know which bank you mean: give its id with --bank-id,
or compare the id that is shown with the one you know.

The exit status is 0 only if the receipt is good.`,
		Example: `  daobank member receipt verify receipts/member-000000000003.json
  daobank member receipt verify --bank-id 5f0c… receipt.json`,
		Args: cobra.ExactArgs(1),
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			p, err := verifyReceipt(args[0])
			if err != nil {
				return err
			}
			if bankID != "" {
				var want ledger.BankID
				if err := want.UnmarshalText([]byte(bankID)); err != nil {
					return fmt.Errorf("--bank-id: %w", err)
				}
				if want != p.Bank {
					return fmt.Errorf("the receipt is of the bank %s, not of %s", p.Bank, want)
				}
				p.Pinned = true
			}
			return m.print(cmd, p, p.text())
		}),
	}
	cmd.Flags().StringVar(&bankID, "bank-id", "", "the bank's id, 64 hex digits, that the receipt must be of")
	return cmd
}

func (p *proven) text() string {
	who := "for a new account"
	if p.Account != "" {
		who = "of account " + p.Account
	}
	text := fmt.Sprintf("Accepted: %s order %d %s is entry %d of batch %d,\nsigned by the operator of %q at %s.\nOrder digest: %s\nBank id: %s",
		p.Kind, p.Sequence, who, p.Index, p.Batch, p.BankName, p.Time.Format(time.RFC3339), p.Digest, p.Bank)
	if !p.Pinned {
		text += "\nCompare the bank id with the one you know; --bank-id does it for you."
	}
	return text + "\nThis does not prove that the order is attested or anchored."
}
