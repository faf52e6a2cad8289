package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// sourceOptions say which bank it is and where its journal is read.
type sourceOptions struct {
	Bank     string // path of the public file
	Data     string // data directory that has it, when Bank is empty
	Policy   string // path of a policy that replaces its own; may be empty
	Postgres string
	API      string
	Export   string // directory
}

// bankFlags are the flags that say which bank it is.
func (o *sourceOptions) bankFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Bank, "bank", envOr("DAOBANK_BANK_FILE", ""), "the bank's public file, bank.json (env DAOBANK_BANK_FILE)")
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "data directory of the bank, when it is here: its public file is read, nothing else (env DAOBANK_DATA)")
}

// liveFlags are the flags of journals that a bank shows itself.
func (o *sourceOptions) liveFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Postgres, "postgres", "", "journal: URL of the bank's database, only read (env DAOBANK_POSTGRES)")
	f.StringVar(&o.API, "api", "", "journal: URL of the bank's API")
}

// complete reads the environment and says what is missing. others names the flags of
// other sources that there are.
func (o *sourceOptions) complete(others string) error {
	if o.Bank == "" && o.Data != "" {
		o.Bank = filepath.Join(o.Data, bankFileName)
	}
	given := 0
	for _, source := range []string{o.Postgres, o.API, o.Export} {
		if source != "" {
			given++
		}
	}
	if given == 0 {
		o.Postgres = os.Getenv("DAOBANK_POSTGRES")
	}
	switch {
	case o.Bank == "":
		return errors.New("say which bank: --bank bank.json, its public file, or --data DIR for a bank on this machine")
	case given > 1:
		return fmt.Errorf("give one journal: --postgres, --api%s", others)
	case given == 0 && o.Postgres == "":
		return fmt.Errorf("say where the journal is: --postgres postgres://…, --api http://…%s", others)
	}
	return nil
}

// source is an open journal.
type source struct {
	audit.Journal
	table func(context.Context) (*audit.Table, error) // nil for a journal without one
	// attesters are the guardians as the bank shows them; nil where it does not.
	attesters func(context.Context, *netting.Vaults) (*attesters, error)
	notes     func() []string // what a reader should know, at the end
	close     func()
}

// open opens the journal and makes sure that it is of the bank.
func (o *sourceOptions) open(ctx context.Context, charter *ledger.Charter) (*source, error) {
	none := func() []string { return nil }
	switch {
	case o.Export != "":
		set, err := export.Open(o.Export)
		if err != nil {
			return nil, err
		}
		if theirs := set.Charter(); theirs.ID() != charter.ID() {
			return nil, fmt.Errorf("%s is an export of bank %s, not of %s", o.Export, theirs.ID(), charter.ID())
		}
		files := &exported{dir: o.Export}
		return &source{Journal: files, notes: files.notes, close: func() {}}, nil
	case o.API != "":
		client := api.Dial(o.API).Pin(charter.ID())
		if _, err := client.Bank(ctx); err != nil {
			return nil, err
		}
		return &source{Journal: client, attesters: attestersOf(client), notes: none, close: func() {}}, nil
	}
	store, err := postgres.OpenReadOnly(ctx, o.Postgres)
	if err != nil {
		return nil, err
	}
	stored, err := store.Charter(ctx)
	if err == nil && stored.ID() != charter.ID() {
		err = &postgres.BankError{Want: charter.ID(), Stored: stored.ID()}
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return &source{Journal: store, table: storedTable(store), attesters: storedAttesters(store, charter.ID()), notes: none, close: store.Close}, nil
}

// exported is a directory that is looked at anew each time, for it may grow.
type exported struct {
	dir string
	set *export.Set // of the last time
}

func (e *exported) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	set, err := export.Open(e.dir)
	if err != nil {
		return func(yield func(*ledger.Batch, error) bool) { yield(nil, err) }
	}
	e.set = set
	return set.Batches(ctx, from)
}

func (e *exported) notes() []string {
	if e.set == nil || e.set.Left() == "" {
		return nil
	}
	return []string{e.set.Left()}
}

// readBank reads what the auditor knows of the bank beforehand.
func (o *sourceOptions) readBank() (ledger.Charter, *taproot.Vault, error) {
	file, err := readBankFile(o.Bank)
	if err != nil {
		return ledger.Charter{}, nil, err
	}
	if o.Policy != "" {
		raw, err := os.ReadFile(o.Policy)
		if err != nil {
			return ledger.Charter{}, nil, fmt.Errorf("the vault's policy: %w", err)
		}
		if file.Policy, err = taproot.ParsePolicy(raw); err != nil {
			return ledger.Charter{}, nil, fmt.Errorf("%s: %w", o.Policy, err)
		}
	}
	vault, err := taproot.NewVault(file.Policy)
	return file.Charter, vault, err
}

// storedTable reads the account table of a database for an audit.
func storedTable(store *postgres.Store) func(context.Context) (*audit.Table, error) {
	return func(ctx context.Context) (*audit.Table, error) {
		batch, balances, err := store.BalancesAt(ctx)
		if err != nil {
			return nil, err
		}
		table := &audit.Table{Batch: batch, Balances: make([]audit.Balance, len(balances))}
		for i, b := range balances {
			table.Balances[i] = audit.Balance{Account: b.Account, Key: b.Key, Amount: b.Amount}
		}
		return table, nil
	}
}
