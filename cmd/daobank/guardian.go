package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/keyfile"
)

// guardianOptions are what every guardian command needs to know.
type guardianOptions struct {
	Dir            string
	PassphraseFile string
	IdentityFile   string
}

func newGuardianCommand() *cobra.Command {
	o := &guardianOptions{}
	cmd := &cobra.Command{
		Use:   "guardian",
		Short: "Hold a share of the vault's key, and look before signing",
		Long: `guardian is one of the people who keep the vault. The vault's key is made by all
guardians together and never exists in one place; any t of them sign, fewer cannot.

A guardian trusts neither the operator nor the other guardians. It replays every
batch of the bank, checks every signature and, against its own Bitcoin node, every
deposit; it rebuilds each settlement from its own books and signs only what it has
built itself.

It connects out to the coordinator; nothing on its machine listens for the network.`,
		Example: `  daobank guardian init --dir ~/guardian          # once: make your keys, and send public.json to the founders
  daobank guardian keygen --dir ~/guardian --founding founding.json --coordinator bank.example:7071
  daobank guardian run --dir ~/guardian --coordinator bank.example:7071 --bank https://bank.example \
    --bitcoind http://127.0.0.1:8332
  daobank guardian backup --dir ~/guardian --out guardian.backup`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.Dir, "dir", envOr("DAOBANK_GUARDIAN_DIR", ""), "the guardian's folder (env DAOBANK_GUARDIAN_DIR)")
	f.StringVar(&o.PassphraseFile, "passphrase-file", "", "file whose first line is the passphrase of the folder's keys; without it you are asked")
	f.StringVar(&o.IdentityFile, "identity-file", envOr("DAOBANK_GUARDIAN_IDENTITY", ""), "age identity that opens the folder's keys, instead of a passphrase: for machines that start alone (env DAOBANK_GUARDIAN_IDENTITY)")
	cmd.AddCommand(o.initCommand(), o.keygenCommand(), o.runCommand(), o.statusCommand(), o.showCommand(), o.rotateCommand(), o.consentCommand(), o.backupCommand(), o.restoreCommand())
	return cmd
}

func (o *guardianOptions) validate() error {
	if o.Dir == "" {
		return errors.New("say where the guardian's keys are: --dir DIR")
	}
	if o.PassphraseFile != "" && o.IdentityFile != "" {
		return errors.New("give --passphrase-file or --identity-file, not both")
	}
	return nil
}

// open is the lock of the folder's keys.
func (o *guardianOptions) open(cmd *cobra.Command) (keyfile.Lock, error) {
	if o.IdentityFile != "" {
		return keyfile.IdentityFile(o.IdentityFile), nil
	}
	text, err := askPassphrase(cmd, o.PassphraseFile, "Passphrase of the guardian's folder: ")
	return lock(text), err
}

// close is the lock for new keys: the same, asked twice.
func (o *guardianOptions) close(cmd *cobra.Command) (keyfile.Lock, error) {
	if o.IdentityFile != "" {
		return keyfile.IdentityFile(o.IdentityFile), nil
	}
	text, err := askNewPassphrase(cmd, o.PassphraseFile)
	return lock(text), err
}

func (o *guardianOptions) initCommand() *cobra.Command {
	var ifMissing bool
	var out string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a guardian's keys",
		Long: `init makes two keys in a new folder and encrypts them.

The host key is the guardian: it says who you are, and with the recovery data of
the key generation it gives your share. Never erase it while the vault holds coins.
The recovery key is your part of the vault's last resort, which opens only when its
coins have not moved for a long time. Move recovery.age to another place, and do not
keep it beside the host key.

The printed line is public: give it to whoever writes the founding document. It is
in the folder as public.json, too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			public, err := o.init(cmd, ifMissing)
			if err != nil {
				return err
			}
			if out != "" {
				if err := copyPublic(filepath.Join(o.Dir, "public.json"), out); err != nil {
					return err
				}
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(public)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&ifMissing, "if-missing", false, "make only what is not there, the identity file too: for machines that set themselves up")
	f.StringVar(&out, "out", "", "write a copy of public.json to this file")
	return cmd
}

// init makes the guardian's keys. Keys that are there stay as they are, even
// when recovery.age has been moved to another place.
func (o *guardianOptions) init(cmd *cobra.Command, ifMissing bool) (keep.Public, error) {
	var none keep.Public
	switch _, err := os.Stat(filepath.Join(o.Dir, "host.age")); {
	case err == nil && ifMissing:
		return readPublic(filepath.Join(o.Dir, "public.json"))
	case err == nil:
		return none, fmt.Errorf("%s holds a guardian's keys already: they are left as they are", o.Dir)
	case !errors.Is(err, fs.ErrNotExist):
		return none, err
	}
	if ifMissing && o.IdentityFile != "" {
		if _, err := keyfile.CreateIdentity(o.IdentityFile); err != nil && !errors.Is(err, fs.ErrExist) {
			return none, err
		}
	}
	l, err := o.close(cmd)
	if err != nil {
		return none, err
	}
	return keep.Init(o.Dir, l)
}

// readPublic reads what "guardian init" wrote.
func readPublic(path string) (keep.Public, error) {
	var p keep.Public
	raw, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("%s is not a guardian's public.json: %w", path, err)
	}
	return p, nil
}

// copyPublic copies a file that everyone may read, over an earlier copy.
func copyPublic(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return keyfile.Replace(to, raw, 0o644)
}

func (o *guardianOptions) backupCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write all that a blank machine needs to one encrypted file",
		Long: `backup writes the host key, the founding document and the recovery data of the key
generation to a new file, encrypted like the folder. With it and its passphrase,
"guardian restore" makes the same guardian on a blank machine.

The recovery key is not in it: keep recovery.age by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			if out == "" {
				return errors.New("say where to write the backup: --out FILE")
			}
			k, err := keep.Open(o.Dir)
			if err != nil {
				return err
			}
			defer k.Close()
			l, err := o.open(cmd)
			if err != nil {
				return err
			}
			if err := k.Backup(out, l, l); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s holds this guardian. Keep it where this machine is not.\n", out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the backup's file; it must not exist")
	return cmd
}

func (o *guardianOptions) restoreCommand() *cobra.Command {
	var in string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a guardian again from its backup",
		Long: `restore makes the guardian's folder on a blank machine. Before it writes anything it
computes the share from the backup, so a damaged backup is found at once.

Never run the old machine again: two machines with one share can be led to give it
away. What the lost machine had signed is not in a backup; the restored guardian
signs again only what its own books give.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			if in == "" {
				return errors.New("say where the backup is: --in FILE")
			}
			l, err := o.open(cmd)
			if err != nil {
				return err
			}
			k, err := keep.Restore(o.Dir, in, l, l)
			if err != nil {
				return err
			}
			defer k.Close()
			fmt.Fprintf(cmd.OutOrStdout(), "The guardian is in %s again. Start it with: daobank guardian run\n", o.Dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "the backup's file")
	return cmd
}

func readFounding(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("say which founding document you agree to: --founding FILE")
	}
	return os.ReadFile(path)
}
