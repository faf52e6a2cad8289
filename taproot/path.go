package taproot

import (
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// ErrSigners is wrapped when a set of guardians cannot spend: too few, unknown,
// or other than the scheme wants.
var ErrSigners = errors.New("taproot: this set of guardians cannot spend")

// Path is how one set of guardians spends the vault's coins: by key or by a
// leaf. It says what they sign, what the witness is and what that weighs.
type Path struct {
	vault   *Vault
	signers []int
	leaf    *leaf // nil on the key path
}

// Path finds the way of a set of guardians, numbered from zero. FROST takes t or
// more of them, MuSig2 all, the schemes of leaves exactly t, or all when the
// group key is theirs. The error wraps ErrSigners.
func (v *Vault) Path(signers []int) (Path, error) {
	p := &v.policy
	sorted := slices.Sorted(slices.Values(signers))
	for i, signer := range sorted {
		if signer < 0 || signer >= p.Guardians {
			return Path{}, fmt.Errorf("%w: guardian %d of %d", ErrSigners, signer, p.Guardians)
		}
		if i > 0 && sorted[i-1] == signer {
			return Path{}, fmt.Errorf("%w: guardian %d stands twice", ErrSigners, signer)
		}
	}
	if len(sorted) < p.Threshold {
		return Path{}, fmt.Errorf("%w: %d signers, must be %d", ErrSigners, len(sorted), p.Threshold)
	}
	path := Path{vault: v, signers: sorted}
	switch {
	case p.Scheme == FROST, len(sorted) == p.Guardians && p.GroupKey != Unspendable:
		return path, nil
	case len(sorted) != p.Threshold:
		return Path{}, fmt.Errorf("%w: %d signers, a leaf takes exactly %d", ErrSigners, len(sorted), p.Threshold)
	case p.Scheme == MuSig2Leaves:
		path.leaf = &v.tree.leaves[v.tree.bySigners[signersKey(sorted)]]
	default:
		path.leaf = &v.tree.leaves[0]
	}
	return path, nil
}

// Signers are the guardians of the path, ascending.
func (p Path) Signers() []int { return slices.Clone(p.signers) }

// ByKey reports whether the path is the key path, whose spends look like
// anyone's.
func (p Path) ByKey() bool { return p.leaf == nil }

// Separate reports whether every signer makes a signature of its own; otherwise
// all make one together.
func (p Path) Separate() bool { return p.leaf != nil && p.leaf.keys != nil }

// Sighashes are the messages that the path's signers sign, one for each input
// (BIP-341, BIP-342, SIGHASH_DEFAULT). The error wraps ErrSpendShape.
func (p Path) Sighashes(tx *wire.MsgTx, prevouts []*wire.TxOut) ([][32]byte, error) {
	if p.leaf == nil {
		return Sighashes(tx, prevouts)
	}
	return p.leaf.sighashes(tx, prevouts)
}

// Witness spends out by the path. A joint path takes the one signature under
// the key -1; a separate one takes each signer's under its number. The
// signatures are 64 bytes long and not verified here: VerifySpend does. The
// error wraps ErrSpendShape.
func (p Path) Witness(out Output, signatures map[int][]byte) (wire.TxWitness, error) {
	want := p.signers
	if !p.Separate() {
		want = []int{Joint}
	}
	if len(signatures) != len(want) {
		return nil, fmt.Errorf("%w: %d signatures, must be %d", ErrSpendShape, len(signatures), len(want))
	}
	for _, signer := range want {
		if len(signatures[signer]) != schnorr.SignatureSize {
			return nil, fmt.Errorf("%w: signature of %d has %d bytes", ErrSpendShape, signer, len(signatures[signer]))
		}
	}
	switch {
	case p.leaf == nil:
		return wire.TxWitness{slices.Clone(signatures[Joint])}, nil
	case p.Separate():
		byKey := make(map[XOnlyKey][]byte, len(signatures))
		for signer, signature := range signatures {
			byKey[p.leaf.keys[signer]] = signature
		}
		return p.leaf.multiWitness(p.vault.tree.root, out, byKey)
	}
	control, err := p.leaf.controlBlock(p.vault.tree.root, out)
	if err != nil {
		return nil, err
	}
	return wire.TxWitness{slices.Clone(signatures[Joint]), slices.Clone(p.leaf.script), control}, nil
}

// Joint is the key of a signature that all signers of a path made together.
const Joint = -1

// Weight is the exact weight, in weight units, of a transaction that spends so
// many vault outputs by the path and pays to outputScripts.
func (p Path) Weight(inputs int, outputScripts [][]byte) int64 {
	if p.leaf == nil {
		return KeySpendWeight(inputs, outputScripts)
	}
	return leafSpendWeight(p.leaf, len(p.signers), inputs, outputScripts)
}

// leafSpendWeight weighs a transaction with witnesses of the right sizes.
func leafSpendWeight(l *leaf, signers, inputs int, outputScripts [][]byte) int64 {
	signature := make([]byte, schnorr.SignatureSize)
	witness := wire.TxWitness{signature}
	if l.keys != nil {
		witness = make(wire.TxWitness, len(l.keys), len(l.keys)+2)
		for i := range signers {
			witness[i] = signature
		}
	}
	witness = append(witness, l.script, make([]byte, 33+32*len(l.path)))
	tx := wire.NewMsgTx(2)
	for range inputs {
		tx.AddTxIn(&wire.TxIn{Witness: witness})
	}
	for _, script := range outputScripts {
		tx.AddTxOut(wire.NewTxOut(0, script))
	}
	return int64(3*tx.SerializeSizeStripped() + tx.SerializeSize())
}

// sighashes are the messages of a spend of all inputs by the leaf (BIP-342).
func (l *leaf) sighashes(tx *wire.MsgTx, prevouts []*wire.TxOut) ([][32]byte, error) {
	fetcher, err := prevoutFetcher(tx, prevouts)
	if err != nil {
		return nil, err
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	messages := make([][32]byte, len(tx.TxIn))
	for i := range tx.TxIn {
		message, err := txscript.CalcTapscriptSignaturehash(hashes, txscript.SigHashDefault, tx, i, fetcher,
			txscript.NewBaseTapLeaf(l.script))
		if err != nil {
			return nil, fmt.Errorf("taproot: sighash of input %d: %w", i, err)
		}
		messages[i] = [32]byte(message)
	}
	return messages, nil
}

// multiWitness spends out by a multi_a leaf: signatures in reverse order of the
// keys, an empty element for a key that does not sign.
func (l *leaf) multiWitness(root [32]byte, out Output, signatures map[XOnlyKey][]byte) (wire.TxWitness, error) {
	witness := make(wire.TxWitness, 0, len(l.keys)+2)
	for _, key := range slices.Backward(l.keys) {
		witness = append(witness, slices.Clone(signatures[key]))
	}
	control, err := l.controlBlock(root, out)
	if err != nil {
		return nil, err
	}
	return append(witness, slices.Clone(l.script), control), nil
}

func parseXOnly(key [32]byte) (*btcec.PublicKey, error) { return schnorr.ParsePubKey(key[:]) }
