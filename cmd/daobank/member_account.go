package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// A memberAccount is what is known here of the account: the bank as it was when
// the account was opened, for good, and the last order that it accepted. It
// stands beside the key, holds no secret and can be made again with "open".
type memberAccount struct {
	Charter  ledger.Charter   `json:"charter"`
	Policy   taproot.Policy   `json:"policy"`           // of the vault's first key
	Rekeys   []api.Rekey      `json:"rekeys,omitempty"` // the keys after it, each signed by the one before
	Number   ledger.AccountID `json:"number"`
	Key      ledger.Key       `json:"key"`
	Sequence uint64           `json:"sequence"`
	Last     ledger.Hash      `json:"last"`

	bank ledger.BankID // Charter's id
	file string
}

// stateFile names a file that belongs to the key: member.key has
// member.account.json beside it.
func (m *member) stateFile(suffix string) string {
	return strings.TrimSuffix(m.keyFile, ".key") + suffix
}

// stateName is the key file's name without its directory and ending.
func (m *member) stateName() string { return strings.TrimSuffix(filepath.Base(m.keyFile), ".key") }

// account reads the account file. The error wraps fs.ErrNotExist when there is
// none yet.
func (m *member) account() (*memberAccount, error) {
	file := m.stateFile(".account.json")
	text, err := keyfile.ReadPrivate(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no account was opened with the key %s: open one with \"daobank member open\" (%w)", m.keyFile, err)
	}
	if err != nil {
		return nil, err
	}
	a := &memberAccount{file: file}
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("%s is damaged: move it away and run \"daobank member open\" again: %w", file, err)
	}
	if err := a.Charter.Validate(); err != nil {
		return nil, fmt.Errorf("%s is damaged: move it away and run \"daobank member open\" again: %w", file, err)
	}
	a.bank = a.Charter.ID()
	return a, nil
}

func (a *memberAccount) save() error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the account: %w", err)
	}
	return keyfile.Replace(a.file, append(text, '\n'), 0o600)
}

// address is the account as others write it.
func (a *memberAccount) address() string { return ledger.FormatAccount(a.bank, a.Number) }

// vault derives the bank's addresses here, so that no answer of a server is
// believed about where coins are sent to.
func (a *memberAccount) vault() (*taproot.Vault, error) {
	known := api.Bank{Charter: a.Charter, Founded: a.Policy, Rekeys: a.Rekeys}
	vaults, err := known.Vaults()
	if err != nil {
		return nil, err
	}
	newest, _ := vaults.Newest()
	return newest, nil
}

// errOtherKeys: the bank shows keys of the vault that the keys before did not sign.
var errOtherKeys = errors.New("the bank shows another key of its vault: deposit nothing, and tell the guardians")

// learn takes over the keys that the vault was given since, if each is signed by
// the one before, beginning with the key that is known here.
func (a *memberAccount) learn(bank *api.Bank) error {
	known := len(a.Rekeys)
	shown := *bank
	shown.Founded = a.Policy
	if len(shown.Rekeys) < known {
		return fmt.Errorf("%w (it shows %d changes of the key, here are %d)", errOtherKeys, len(shown.Rekeys), known)
	}
	for i, old := range a.Rekeys {
		if old.Signature != shown.Rekeys[i].Signature {
			return fmt.Errorf("%w (generation %d)", errOtherKeys, old.Generation)
		}
	}
	if len(shown.Rekeys) == known {
		return nil
	}
	if _, err := shown.Vaults(); err != nil {
		return fmt.Errorf("%w: %w", errOtherKeys, err)
	}
	a.Rekeys = shown.Rekeys
	if err := a.save(); err != nil {
		return err
	}
	return a.saveBankFile()
}

// dial returns a client that refuses every other bank than the account's.
func (m *member) dial(ctx context.Context, a *memberAccount) (*api.Client, error) {
	client := api.Dial(m.bankURL).Pin(a.bank)
	bank, err := client.Bank(ctx)
	if err != nil {
		return nil, err
	}
	return client, a.learn(&bank)
}

// errDenied: the bank shows an account that lacks an order it gave a receipt for.
var errDenied = errors.New("the bank denies an order that it accepted")

// position asks the bank where the account's chain of orders stands, and
// compares that with what it acknowledged here before.
func (m *member) position(ctx context.Context, client *api.Client, a *memberAccount) (api.Account, error) {
	shown, err := client.Account(ctx, a.Number)
	switch {
	case err != nil:
		return shown, err
	case shown.Key != a.Key:
		return shown, fmt.Errorf("%w: it shows account %s with the key %s, yours is %s", errDenied, a.address(), shown.Key, a.Key)
	case shown.Sequence < a.Sequence, shown.Sequence == a.Sequence && shown.Last != a.Last:
		return shown, fmt.Errorf("%w: it shows order %d (%s) as your last, and accepted order %d (%s): order nothing and keep %s, it proves it",
			errDenied, shown.Sequence, shown.Last, a.Sequence, a.Last, m.receiptFile(a.Sequence))
	case shown.Sequence == a.Sequence:
		return shown, nil
	}
	// Somebody else ordered with this key: on another machine of yours, or this
	// folder is an old copy. The bank has to prove it.
	order, _, err := client.Order(ctx, ledger.OrderRef{Payer: a.Number, Sequence: shown.Sequence})
	if err != nil {
		return shown, fmt.Errorf("the bank shows order %d, which was not made here: %w", shown.Sequence, err)
	}
	if err := order.Verify(a.Key); err != nil || order.Digest() != shown.Last {
		return shown, fmt.Errorf("%w: it shows an order %d that your key did not sign", errDenied, shown.Sequence)
	}
	a.Sequence, a.Last = shown.Sequence, shown.Last
	return shown, a.save()
}
