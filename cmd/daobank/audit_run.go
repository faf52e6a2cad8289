package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/page"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

// runAudit opens what the options name, to read, and audits the bank once.
func runAudit(ctx context.Context, o *auditOptions) (*audit.Report, error) {
	r, err := openAudit(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.from.close()
	return r.round(ctx)
}

// An auditRun is an audit with what the options name.
type auditRun struct {
	*audit.Audit
	options *auditOptions
	from    *source
	network string
	saved   uint64            // last batch of the state on disk
	covered map[uint64]uint64 // what coveredBy said of a batch
}

// openAudit opens everything, and goes on from the state if there is one.
func openAudit(ctx context.Context, o *auditOptions) (*auditRun, error) {
	charter, vault, err := o.readBank()
	if err != nil {
		return nil, err
	}
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	from, err := o.open(ctx, &charter)
	if err != nil {
		return nil, err
	}
	config := audit.Config{Charter: charter, Vault: vault, Journal: from, Chain: node, Table: from.table, Scanner: node,
		Heads: o.Heads, WithoutSignatures: o.WithoutSignatures, Progress: o.Progress}
	r := &auditRun{options: o, from: from, network: vault.Policy().Network, covered: make(map[uint64]uint64)}
	var saved []byte
	if o.State != "" {
		if saved, err = os.ReadFile(o.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
			from.close()
			return nil, err
		}
	}
	if saved == nil {
		r.Audit, err = audit.New(ctx, config)
	} else {
		r.Audit, err = audit.Resume(ctx, config, saved)
	}
	if err != nil {
		from.close()
		return nil, err
	}
	return r, nil
}

// round audits what there is, and keeps what the options ask for.
func (r *auditRun) round(ctx context.Context) (*audit.Report, error) {
	report, err := r.Round(ctx)
	if err != nil {
		return nil, err
	}
	report.Notes = r.from.notes()
	if err := r.keepEvidence(report); err != nil {
		return nil, err
	}
	if r.options.Page != "" {
		if err := r.writePage(ctx, report); err != nil {
			return nil, err
		}
	}
	if r.options.State == "" || !report.OK || report.Batches == r.saved {
		return report, nil
	}
	var state bytes.Buffer
	if err := r.Save(&state); err != nil {
		return nil, err
	}
	if err := keyfile.Replace(r.options.State, state.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("keep the state: %w", err)
	}
	r.saved = report.Batches
	return report, nil
}

// keepEvidence writes down what proves a second history, in the folder "evidence"
// beside the state.
func (r *auditRun) keepEvidence(report *audit.Report) error {
	if report.First == nil || len(report.First.Headers) != 2 {
		return nil
	}
	var both [2]ledger.SignedHeader
	for i, text := range report.First.Headers {
		raw, err := hex.DecodeString(text)
		if err == nil {
			both[i], err = ledger.DecodeSignedHeader(raw)
		}
		if err != nil {
			return fmt.Errorf("the evidence: %w", err)
		}
	}
	made := &proof.Proof{Charter: r.Charter, Body: proof.NewEquivocation(&both[0], &both[1])}
	text, err := made.Encode()
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(r.options.State), "evidence", fmt.Sprintf("equivocation-%d.json", both[0].Number))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the evidence: %w", err)
	}
	if err := keyfile.WriteNew(path, text, 0o644); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep the evidence: %w", err)
	}
	report.Notes = append(report.Notes, "the proof for others is kept in "+path+": daobank verify")
	return nil
}

// largestAccounts is how many of them the page lists.
const largestAccounts = 10

// writePage writes the report as a page, in the place of the one before.
func (r *auditRun) writePage(ctx context.Context, report *audit.Report) error {
	d := page.Data{Report: report, History: r.History(), Holdings: r.Holdings(largestAccounts), Network: r.network,
		Explorer: r.options.Explorer, Named: r.options.Named, Made: time.Now()}
	if err := r.attested(ctx, &d); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := page.Write(&text, d); err != nil {
		return err
	}
	if err := os.MkdirAll(r.options.Page, 0o755); err != nil {
		return err
	}
	return keyfile.Replace(filepath.Join(r.options.Page, "index.html"), text.Bytes(), 0o644)
}

// followAudit audits again and again. What cannot be checked now is tried again; a
// difference ends it.
func followAudit(cmd *cobra.Command, o *auditOptions, progress *auditProgress, asJSON bool) error {
	ctx := cmd.Context()
	r, err := openAudit(ctx, o)
	if err != nil {
		return uncheckedAudit(err)
	}
	defer r.from.close()
	var told uint64
	ticks := time.NewTicker(o.Interval)
	defer ticks.Stop()
	for first := true; ; first = false {
		report, err := r.round(ctx)
		progress.clear()
		switch {
		case ctx.Err() != nil:
			return nil // stopped by who started it
		case err != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "not checked: %v; trying again\n", err)
		case first || !report.OK || asJSON && report.Batches != told:
			if err := printAudit(cmd, report, asJSON); err != nil {
				return err
			}
			told = report.Batches
		case report.Batches != told:
			told = report.Batches
			holds := "the books hold"
			if !report.Whole() {
				holds = "no difference, members' signatures not verified"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "batch %d, block %d: %s; %d sat in all wallets and on chain\n", report.Batches, report.Height, holds, int64(report.LedgerSat))
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}
