package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot"
)

// rotation is what the next guardians are named with.
type rotation struct {
	Data              string
	Threshold         int
	Guardians         []string // files of their public keys
	RecoveryThreshold int      // 0 means Threshold
	RecoveryDelay     uint16   // 0 means as before
	Replace           bool
}

func newRotateCommand() *cobra.Command {
	var r rotation
	var out string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Write the document by which the vault's guardians change",
		Long: `rotate names the next guardians of the vault: all of them, those who stay and those
who come, and how many must sign. Use it to add, remove or replace a guardian after a
loss or a betrayal, or to change how many sign.

The running "serve" takes it from there and goes on after every stop: it makes the new
key with the guardians that the document names, has the vault signed over by those who
guard it now, each of whom agrees with "guardian rotate", and settles until every coin
has moved. Nothing happens without t of the guardians of now, and without all of the new.`,
		Example: `  daobank rotate --data ~/bank --threshold 3 \
    --guardian ann.json --guardian bob.json --guardian eve.json --guardian joe.json --guardian sue.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, path, err := rotate(&r)
			if err != nil {
				return err
			}
			if out != "" {
				if err := copyDocument(f, out); err != nil {
					return err
				}
			}
			// The last: from now on serve acts on it.
			if err := copyDocument(f, path); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s", path, describe(f))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Data, "data", envOr("DAOBANK_DATA", ""), "directory of the bank's keys and settings (env DAOBANK_DATA)")
	flags.IntVar(&r.Threshold, "threshold", 3, "guardians that must sign")
	flags.StringArrayVar(&r.Guardians, "guardian", nil, "public.json of a guardian; once for each, in order, those who stay too")
	flags.IntVar(&r.RecoveryThreshold, "recovery-threshold", 0, "recovery keys that spend the vault when its coins have not moved for the delay; 0 means as many as guardians sign")
	flags.Uint16Var(&r.RecoveryDelay, "recovery-delay", 0, "blocks until the recovery keys can spend a coin; 0 means as before")
	flags.BoolVar(&r.Replace, "replace", false, "take back another document for the same change that is not carried out yet")
	flags.StringVar(&out, "out", "", "write a copy of the document, for the guardians, to this file")
	return cmd
}

// rotate makes the document of the next guardians, and says where the data directory
// keeps it. It writes nothing.
func rotate(r *rotation) (*guardian.Founding, string, error) {
	if r.Data == "" {
		return nil, "", errors.New("say where the bank's keys and settings live: --data DIR")
	}
	founding, err := parseFounding(filepath.Join(r.Data, foundingFileName))
	if err != nil {
		return nil, "", err
	}
	bank, err := readBankFile(filepath.Join(r.Data, bankFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", errors.New("the bank's first guardians have not made their key yet: start serve first")
	}
	if err != nil {
		return nil, "", err
	}
	policies := bank.policies()
	f := *founding
	f.Generation, f.Founded = uint32(len(policies)), &bank.Policy
	f.Threshold, f.Guardians = r.Threshold, nil
	f.Recovery = taproot.Recovery{Threshold: r.RecoveryThreshold, Delay: r.RecoveryDelay}
	if f.Recovery.Threshold == 0 {
		f.Recovery.Threshold = r.Threshold
	}
	if f.Recovery.Delay == 0 {
		f.Recovery.Delay = policies[len(policies)-1].Recovery.Delay
	}
	if err := addGuardians(&f, r.Guardians); err != nil {
		return nil, "", err
	}
	if err := f.Validate(); err != nil {
		return nil, "", err
	}
	d := &bankDir{path: filepath.Dir(filepath.Join(r.Data, bankFileName))}
	path := d.successionPath(f.Generation)
	old, err := parseFounding(path)
	switch {
	case err == nil && old.Hash() != f.Hash() && !r.Replace:
		return nil, "", fmt.Errorf("%s names other guardians (hash %s): use --replace if this change shall take its place", path, old.Hash())
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	}
	return &f, path, nil
}

// addGuardians names guardians and their recovery keys in a document.
func addGuardians(f *guardian.Founding, files []string) error {
	for _, path := range files {
		p, err := readPublic(path)
		if err != nil {
			return err
		}
		f.Guardians = append(f.Guardians, p.Host)
		f.Recovery.Keys = append(f.Recovery.Keys, p.Recovery)
	}
	return nil
}
