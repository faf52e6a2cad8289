package quorum

import (
	"fmt"
	"io"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// Quorum is a vault and the secrets of its guardians.
type Quorum struct {
	vault  *taproot.Vault
	group  *frost.Group        // FROST
	shares []*frost.Share      // FROST
	keys   []*btcec.PrivateKey // the other schemes, by guardian
}

// Deal makes fresh secrets for a policy of which Scheme, Threshold, Guardians,
// Recovery and Network are given, and fills in the keys. With noKeyPath the
// schemes of leaves get a group key that nobody can sign for. FROST's key is
// dealt by frost.TrustedDealer, so it must guard no real money. random nil means
// crypto/rand. The error wraps taproot.ErrPolicy or says that random failed.
func Deal(p taproot.Policy, noKeyPath bool, random io.Reader) (*Quorum, error) {
	q := &Quorum{}
	var err error
	if p.Scheme == taproot.FROST {
		if q.group, q.shares, err = frost.TrustedDealer(p.Threshold, p.Guardians, random); err != nil {
			return nil, err
		}
		p.GroupKey = q.group.Key()
	} else if err = q.dealKeys(&p, noKeyPath, random); err != nil {
		return nil, err
	}
	if q.vault, err = taproot.NewVault(p); err != nil {
		return nil, err
	}
	return q, nil
}

// FromShares joins a vault of scheme FROST with shares that a key generation has
// made; shares[i] is guardian i's, nil where it is not at hand. The error wraps
// taproot.ErrPolicy.
func FromShares(v *taproot.Vault, group *frost.Group, shares []*frost.Share) (*Quorum, error) {
	if p := v.Policy(); p.Scheme != taproot.FROST || p.GroupKey != group.Key() || len(shares) != p.Guardians {
		return nil, fmt.Errorf("%w: %s with key %s is not of this group and its %d shares", taproot.ErrPolicy, p.Scheme, p.GroupKey, len(shares))
	}
	return &Quorum{vault: v, group: group, shares: shares}, nil
}

func (q *Quorum) dealKeys(p *taproot.Policy, noKeyPath bool, random io.Reader) error {
	p.GuardianKeys = nil
	for range p.Guardians {
		key, err := newKey(random)
		if err != nil {
			return err
		}
		q.keys = append(q.keys, key)
		p.GuardianKeys = append(p.GuardianKeys, frost.PublicKey(key.PubKey().SerializeCompressed()))
	}
	if noKeyPath {
		p.GroupKey = taproot.Unspendable
		return nil
	}
	var err error
	p.GroupKey, err = taproot.AggregateKey(p.GuardianKeys)
	return err
}

func newKey(random io.Reader) (*btcec.PrivateKey, error) {
	if random == nil {
		return btcec.NewPrivateKey()
	}
	for {
		var secret [32]byte
		if _, err := io.ReadFull(random, secret[:]); err != nil {
			return nil, fmt.Errorf("quorum: reading randomness: %w", err)
		}
		var scalar btcec.ModNScalar
		if overflow := scalar.SetBytes(&secret); overflow == 0 && !scalar.IsZero() {
			return btcec.PrivKeyFromScalar(&scalar), nil
		}
	}
}

// Vault is the vault that the quorum spends from.
func (q *Quorum) Vault() *taproot.Vault { return q.vault }

// Sign returns a copy of tx whose inputs, all coins of the vault, are spent by
// the given guardians; outputs[i] is what input i spends. It is verified by the
// script engine. The error wraps taproot.ErrSigners, ErrSpendShape or
// ErrSpendInvalid.
func (q *Quorum) Sign(tx *wire.MsgTx, outputs []taproot.Output, values []int64, signers []int) (*wire.MsgTx, error) {
	if tx == nil || len(outputs) != len(tx.TxIn) || len(values) != len(outputs) {
		return nil, fmt.Errorf("%w: %d outputs, %d values", taproot.ErrSpendShape, len(outputs), len(values))
	}
	path, err := q.vault.Path(signers)
	if err != nil {
		return nil, err
	}
	prevouts := make([]*wire.TxOut, len(outputs))
	for i, out := range outputs {
		prevouts[i] = wire.NewTxOut(values[i], out.Script)
	}
	messages, err := path.Sighashes(tx, prevouts)
	if err != nil {
		return nil, err
	}
	signed := tx.Copy()
	for i, message := range messages {
		signatures, err := Run(q.NewSession(path, outputs[i], message), path.Signers())
		if err != nil {
			return nil, fmt.Errorf("quorum: input %d: %w", i, err)
		}
		if signed.TxIn[i].Witness, err = path.Witness(outputs[i], signatures); err != nil {
			return nil, err
		}
	}
	if err := taproot.VerifySpend(signed, prevouts); err != nil {
		return nil, err
	}
	return signed, nil
}
