package taproot

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript"
)

// recoveryLeaf is the only script of the vault's outputs, the same for all.
type recoveryLeaf struct {
	script []byte
	root   []byte // Merkle root, which with one leaf is the leaf's hash
}

// newRecoveryLeaf writes what and_v(v:multi_a(m,K…),older(N)) compiles to:
//
//	<K1> OP_CHECKSIG <K2> OP_CHECKSIGADD … <m> OP_NUMEQUALVERIFY <N> OP_CHECKSEQUENCEVERIFY
func newRecoveryLeaf(r Recovery) (recoveryLeaf, error) {
	builder := txscript.NewScriptBuilder(txscript.WithScriptAllocSize(64 + 34*len(r.Keys)))
	for i, key := range r.Keys {
		builder.AddData(key[:])
		if i == 0 {
			builder.AddOp(txscript.OP_CHECKSIG)
		} else {
			builder.AddOp(txscript.OP_CHECKSIGADD)
		}
	}
	script, err := builder.
		AddInt64(int64(r.Threshold)).AddOp(txscript.OP_NUMEQUALVERIFY).
		AddInt64(int64(r.Delay)).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).
		Script()
	if err != nil {
		return recoveryLeaf{}, fmt.Errorf("%w: recovery script: %w", ErrPolicy, err)
	}
	root := txscript.NewBaseTapLeaf(script).TapHash()
	return recoveryLeaf{script: script, root: root[:]}, nil
}

// RecoveryScript is the leaf of the recovery quorum, the last but one element of
// a recovery spend's witness. A spend must be of transaction version 2 and its
// input's sequence must be at least the policy's delay.
func (v *Vault) RecoveryScript() []byte { return slices.Clone(v.leaf.script) }

// MerkleRoot is what every output of the vault commits to besides its key.
func (v *Vault) MerkleRoot() [32]byte { return [32]byte(v.leaf.root) }

// RecoveryControlBlock is the last element of the witness that spends out by
// the recovery leaf (BIP-341).
func (v *Vault) RecoveryControlBlock(out Output) ([]byte, error) {
	internal, err := schnorr.ParsePubKey(out.InternalKey[:])
	if err != nil {
		return nil, fmt.Errorf("taproot: internal key of %d/%d: %w", out.Branch, out.Index, err)
	}
	tree := txscript.AssembleTaprootScriptTree(txscript.NewBaseTapLeaf(v.leaf.script))
	control := tree.LeafMerkleProofs[0].ToControlBlock(internal)
	b, err := control.ToBytes()
	if err != nil {
		return nil, fmt.Errorf("taproot: control block of %d/%d: %w", out.Branch, out.Index, err)
	}
	return b, nil
}
