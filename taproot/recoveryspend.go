package taproot

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot/frost"
)

// RecoverySpend is the transaction of a RecoveryPlan, on its way to be signed.
// Each holder of a recovery key makes it from the plan and signs apart, so that
// no two keys ever meet; whoever has enough signatures finishes it. It is
// immutable.
type RecoverySpend struct {
	plan     *RecoveryPlan
	vault    *Vault
	tx       *wire.MsgTx
	outputs  []Output
	prevouts []*wire.TxOut
	messages [][32]byte
}

// RecoverySignatures are one key's signatures of a RecoverySpend. They are of use
// for this transaction alone.
type RecoverySignatures struct {
	TxID       chainhash.Hash    `json:"txid"`
	Key        XOnlyKey          `json:"key"`
	Signatures []frost.Signature `json:"signatures"` // by input
}

// NewRecoverySpend builds the transaction: version 2, every input's sequence the
// policy's delay (BIP-68), one output. It derives the scripts of the coins
// itself, so a plan cannot make a key sign for anything but the vault. The
// error wraps ErrRecoveryPlan.
func NewRecoverySpend(plan *RecoveryPlan) (*RecoverySpend, error) {
	if err := plan.validate(); err != nil {
		return nil, err
	}
	v, err := NewVault(plan.Policy)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecoveryPlan, err)
	}
	script, err := ParseAddress(plan.Destination, v.params)
	if err != nil {
		return nil, fmt.Errorf("%w: destination: %w", ErrRecoveryPlan, err)
	}
	s := &RecoverySpend{plan: plan, vault: v, tx: wire.NewMsgTx(2)}
	for _, coin := range plan.Coins {
		out, err := v.Output(coin.Branch, coin.Index)
		if err != nil {
			return nil, fmt.Errorf("%w: coin %v: %w", ErrRecoveryPlan, coin.OutPoint(), err)
		}
		outPoint := coin.OutPoint()
		in := wire.NewTxIn(&outPoint, nil, nil)
		in.Sequence = uint32(plan.Policy.Recovery.Delay)
		s.tx.AddTxIn(in)
		s.outputs = append(s.outputs, out)
		s.prevouts = append(s.prevouts, wire.NewTxOut(coin.Amount, out.Script))
	}
	rest := plan.Total() - plan.FeeSat
	if rest < DustLimit(script) {
		return nil, fmt.Errorf("%w: %d sat would be left after a fee of %d sat", ErrRecoveryPlan, rest, plan.FeeSat)
	}
	s.tx.AddTxOut(wire.NewTxOut(rest, script))
	if s.messages, err = v.tree.recovery().sighashes(s.tx, s.prevouts); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecoveryPlan, err)
	}
	return s, nil
}

// TxID is known before anybody signs.
func (s *RecoverySpend) TxID() chainhash.Hash { return s.tx.TxHash() }

// Amount is what reaches the destination, in satoshis.
func (s *RecoverySpend) Amount() int64 { return s.tx.TxOut[0].Value }

// Weight is the exact weight of the signed transaction, in weight units.
func (s *RecoverySpend) Weight() int64 {
	return leafSpendWeight(s.vault.tree.recovery(), s.plan.Policy.Recovery.Threshold, len(s.tx.TxIn),
		[][]byte{s.tx.TxOut[0].PkScript})
}

// Sign makes one key's signatures and verifies them. The error wraps
// ErrRecoverySignature when the key is not of the recovery quorum.
func (s *RecoverySpend) Sign(key *btcec.PrivateKey) (RecoverySignatures, error) {
	signatures := RecoverySignatures{TxID: s.TxID(), Key: XOnlyKey(schnorr.SerializePubKey(key.PubKey()))}
	for i, message := range s.messages {
		signature, err := schnorr.Sign(key, message[:])
		if err != nil {
			return RecoverySignatures{}, fmt.Errorf("taproot: recovery signature of input %d: %w", i, err)
		}
		signatures.Signatures = append(signatures.Signatures, frost.Signature(signature.Serialize()))
	}
	return signatures, s.Verify(signatures)
}

// Verify checks one key's signatures. The error wraps ErrRecoverySignature.
func (s *RecoverySpend) Verify(signatures RecoverySignatures) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: key %s: %s", ErrRecoverySignature, signatures.Key, fmt.Sprintf(format, args...))
	}
	known := false
	for _, key := range s.plan.Policy.Recovery.Keys {
		known = known || key == signatures.Key
	}
	switch {
	case !known:
		return fail("not one of the policy's recovery keys")
	case signatures.TxID != s.TxID():
		return fail("signed transaction %s, the plan is %s", signatures.TxID, s.TxID())
	case len(signatures.Signatures) != len(s.messages):
		return fail("%d signatures for %d inputs", len(signatures.Signatures), len(s.messages))
	}
	for i, signature := range signatures.Signatures {
		if err := frost.VerifySignature(signatures.Key, s.messages[i][:], signature); err != nil {
			return fail("signature of input %d does not verify", i)
		}
	}
	return nil
}

// Finish puts the signatures of enough keys into the transaction and runs it
// through the script engine. It takes the quorum's keys in the policy's order
// and leaves out whoever is more than needed. The error wraps
// ErrRecoverySignature, ErrRecoveryQuorum or ErrSpendInvalid.
func (s *RecoverySpend) Finish(parts []RecoverySignatures) (*wire.MsgTx, error) {
	byKey := make(map[XOnlyKey][]frost.Signature, len(parts))
	for _, part := range parts {
		if err := s.Verify(part); err != nil {
			return nil, err
		}
		byKey[part.Key] = part.Signatures
	}
	threshold := s.plan.Policy.Recovery.Threshold
	if len(byKey) < threshold {
		return nil, fmt.Errorf("%w: %d of %d keys", ErrRecoveryQuorum, len(byKey), threshold)
	}
	used := make([]XOnlyKey, 0, threshold) // the script wants exactly as many
	for _, key := range s.plan.Policy.Recovery.Keys {
		if _, signed := byKey[key]; signed && len(used) < threshold {
			used = append(used, key)
		}
	}
	tree, signed := s.vault.tree, s.tx.Copy()
	for i := range signed.TxIn {
		signatures := make(map[XOnlyKey][]byte, threshold)
		for _, key := range used {
			signatures[key] = byKey[key][i][:]
		}
		var err error
		if signed.TxIn[i].Witness, err = tree.recovery().multiWitness(tree.root, s.outputs[i], signatures); err != nil {
			return nil, err
		}
	}
	if err := VerifySpend(signed, s.prevouts); err != nil {
		return nil, err
	}
	return signed, nil
}
