package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ahead"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
)

func newExportCommand() *cobra.Command {
	o := &sourceOptions{}
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the bank's journal into files that anyone can check",
		Long: `export writes the journal into a directory: a description, an index, and segments of
batches. It takes little more than the signatures in it, describes itself, and holds
every batch so that it can be checked alone (docs/formats.md, "Export").

Run it again to add what came since: files only grow, and new ones come. Whatever
breaks an export off, the directory can be read and continued. Only batches that the
operator signed, in one chain, are written; "daobank audit --export DIR" checks the
rest.`,
		Example: `  # A copy that an auditor can take away
  daobank export --data ~/bank --postgres postgres://bank@127.0.0.1/bank journal/

  # Your own copy of somebody else's bank, once a day
  daobank export --bank bank.json --api https://bank.example journal/

  # Check all of it, or one batch, without a node
  daobank export check journal/
  daobank export check --batch 17 journal/`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(""); err != nil {
				return err
			}
			return runExport(cmd.Context(), o, args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.bankFlags(cmd.Flags())
	o.liveFlags(cmd.Flags())
	cmd.AddCommand(newExportCheckCommand())
	return cmd
}

// runExport adds to a directory what the journal has beyond it.
func runExport(ctx context.Context, o *sourceOptions, dir string, out, progress io.Writer) (err error) {
	charter, _, err := o.readBank()
	if err != nil {
		return err
	}
	from, err := o.open(ctx, &charter)
	if err != nil {
		return err
	}
	defer from.close()
	w, err := export.Continue(dir, charter)
	if err != nil {
		return err
	}
	first := w.Next()
	next := time.Now().Add(auditSilence)
	for batch, err := range from.Batches(ctx, first) {
		if err == nil {
			err = w.Append(batch)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("the export ends with batch %d: %w", w.Next()-1, err), w.Close())
		}
		if now := time.Now(); now.After(next) {
			next = now.Add(auditEveryLog)
			fmt.Fprintf(progress, "exported batch %d\n", batch.Header.Number)
		}
	}
	last := w.Next() - 1
	if err := w.Close(); err != nil {
		return err
	}
	if last < first {
		fmt.Fprintf(out, "%s has all %d batches already.\n", dir, last)
		return nil
	}
	fmt.Fprintf(out, "Exported batches %d to %d into %s.\n", first, last, dir)
	return nil
}

func newExportCheckCommand() *cobra.Command {
	var number uint64
	var bank string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Check an export: the files, the chain of batches, the operator's signatures",
		Long: `check reads an export and believes nothing of it: files and their checksums, the chain
of headers, each operator's signature, and that each batch's entries are those that
its header commits to. It needs no node and no bank. With --batch it checks that one
batch, from its own record alone, and prints its header.

What members signed, and whether any of it is true on chain, is for "daobank audit".

Exit status: 0 all holds; 1 the export is damaged, incomplete or not the bank's.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := export.Open(args[0])
			if err != nil {
				return err
			}
			charter := set.Charter()
			if bank != "" {
				file, err := readBankFile(bank)
				if err != nil {
					return err
				}
				if file.Charter.ID() != charter.ID() {
					return fmt.Errorf("%s is an export of bank %s, not of %s", args[0], charter.ID(), file.Charter.ID())
				}
			}
			if number > 0 {
				return checkOne(cmd.Context(), set, number, cmd.OutOrStdout())
			}
			return checkAll(cmd.Context(), set, cmd.OutOrStdout())
		},
	}
	cmd.Flags().Uint64Var(&number, "batch", 0, "check this batch alone")
	cmd.Flags().StringVar(&bank, "bank", envOr("DAOBANK_BANK_FILE", ""), "the bank's public file: the export must be of this bank (env DAOBANK_BANK_FILE)")
	return cmd
}

func checkOne(ctx context.Context, set *export.Set, number uint64, out io.Writer) error {
	b, err := set.Batch(ctx, number)
	if err != nil {
		return err
	}
	h := &b.Header
	fmt.Fprintf(out, "batch     %d, %d entries\nheader    %s\nprevious  %s\nroot      %s\nThe operator %s signed it, and these are its entries.\n",
		h.Number, h.Count, h.Header.Hash(), h.Previous, h.Root, set.Charter().Operator)
	return nil
}

func checkAll(ctx context.Context, set *export.Set, out io.Writer) error {
	charter := set.Charter()
	var batches, entries uint64
	head := charter.ID().String()
	verify := func(b *ledger.Batch) (*ledger.Batch, error) { return b, b.Verify(charter.Operator) }
	for b, err := range ahead.Map(ctx, runtime.GOMAXPROCS(0), 8, set.All, verify) {
		if err != nil {
			return err
		}
		batches, entries, head = b.Header.Number, entries+uint64(b.Header.Count), b.Header.Header.Hash().String()
	}
	fmt.Fprintf(out, "bank      %s\n          %s\nbatches   %d, %d entries\nhead      %s\n", charter.Name, charter.ID(), batches, entries, head)
	if left := set.Left(); left != "" {
		fmt.Fprintf(out, "note      %s\n", left)
	}
	fmt.Fprintln(out, "Every batch is one that the operator signed, in one chain.")
	return nil
}
