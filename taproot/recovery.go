package taproot

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/txscript"
)

// newRecoveryLeaf writes what and_v(v:multi_a(m,K…),older(N)) compiles to:
//
//	<K1> OP_CHECKSIG <K2> OP_CHECKSIGADD … <m> OP_NUMEQUALVERIFY <N> OP_CHECKSEQUENCEVERIFY
func newRecoveryLeaf(r Recovery) (leaf, error) {
	script, err := multiScript(r.Threshold, r.Keys).
		AddOp(txscript.OP_NUMEQUALVERIFY).
		AddInt64(int64(r.Delay)).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).
		Script()
	if err != nil {
		return leaf{}, fmt.Errorf("%w: recovery script: %w", ErrPolicy, err)
	}
	return leaf{
		script: script, keys: slices.Clone(r.Keys),
		descriptor: fmt.Sprintf("and_v(v:%s,older(%d))", multiDescriptor(r.Threshold, r.Keys), r.Delay),
	}, nil
}

// RecoveryScript is the leaf of the recovery quorum, the last but one element of
// a recovery spend's witness. A spend must be of transaction version 2 and its
// input's sequence must be at least the policy's delay; RecoverySpend does it.
func (v *Vault) RecoveryScript() []byte { return slices.Clone(v.tree.recovery().script) }

// MerkleRoot is what every output of the vault commits to besides its key.
func (v *Vault) MerkleRoot() [32]byte { return v.tree.root }

// RecoveryControlBlock is the last element of the witness that spends out by
// the recovery leaf (BIP-341).
func (v *Vault) RecoveryControlBlock(out Output) ([]byte, error) {
	return v.tree.recovery().controlBlock(v.tree.root, out)
}
