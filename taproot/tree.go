package taproot

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"golang.org/x/sync/errgroup"
)

// leaf is one script of the vault's outputs.
type leaf struct {
	script     []byte
	descriptor string     // the script as BIP-380 descriptors write it
	signers    []int      // guardians of a MuSig2 leaf, ascending
	keys       []XOnlyKey // of a multi_a leaf: the witness has an element for each
	path       [][32]byte // sibling hashes from the leaf up (BIP-341)
}

// scriptTree is the tree that all outputs of the vault commit to. The recovery
// leaf is its last; with FROST and MuSig2 it is the only one.
type scriptTree struct {
	leaves     []leaf
	root       [32]byte
	descriptor string
	bySigners  map[string]int // position of a MuSig2 leaf
}

func newScriptTree(p *Policy) (*scriptTree, error) {
	leaves, err := guardianLeaves(p)
	if err != nil {
		return nil, err
	}
	recovery, err := newRecoveryLeaf(p.Recovery)
	if err != nil {
		return nil, err
	}
	t := &scriptTree{leaves: append(leaves, recovery), bySigners: make(map[string]int)}
	for i := range leaves {
		if leaves[i].signers != nil {
			t.bySigners[signersKey(leaves[i].signers)] = i
		}
	}
	t.root, t.descriptor = joinLeaves(t.leaves)
	return t, nil
}

func (t *scriptTree) recovery() *leaf { return &t.leaves[len(t.leaves)-1] }

// guardianLeaves are the leaves by which guardians spend, besides the key path.
func guardianLeaves(p *Policy) ([]leaf, error) {
	switch p.Scheme {
	case CheckSigAdd:
		keys := p.xOnlyKeys()
		script, err := multiScript(p.Threshold, keys).AddOp(txscript.OP_NUMEQUAL).Script()
		if err != nil {
			return nil, fmt.Errorf("%w: script of the guardians: %w", ErrPolicy, err)
		}
		return []leaf{{script: script, keys: keys, descriptor: multiDescriptor(p.Threshold, keys)}}, nil
	case MuSig2Leaves:
		return subsetLeaves(p)
	}
	return nil, nil
}

// subsetLeaves aggregates the keys of every set of guardians, on all cores.
func subsetLeaves(p *Policy) ([]leaf, error) {
	points, err := guardianPoints(p.GuardianKeys)
	if err != nil {
		return nil, err
	}
	leaves := make([]leaf, 0, Subsets(p.Guardians, p.Threshold))
	eachSubset(p.Guardians, p.Threshold, func(set []int) {
		leaves = append(leaves, leaf{signers: append([]int(nil), set...)})
	})
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range leaves {
		group.Go(func() error {
			l := &leaves[i]
			keys := make([]*btcec.PublicKey, len(l.signers))
			for j, signer := range l.signers {
				keys[j] = points[signer]
			}
			key, err := aggregate(keys)
			if err != nil {
				return err
			}
			x := key.XOnly()
			l.descriptor = fmt.Sprintf("pk(%x)", x)
			l.script, err = txscript.NewScriptBuilder().AddData(x[:]).AddOp(txscript.OP_CHECKSIG).Script()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("leaves of the guardians: %w", err)
	}
	return leaves, nil
}

// multiScript is what multi_a(m,K…) compiles to, but for the last opcode:
//
//	<K1> OP_CHECKSIG <K2> OP_CHECKSIGADD … <m>
func multiScript(m int, keys []XOnlyKey) *txscript.ScriptBuilder {
	builder := txscript.NewScriptBuilder(txscript.WithScriptAllocSize(64 + 34*len(keys)))
	for i, key := range keys {
		builder.AddData(key[:])
		if i == 0 {
			builder.AddOp(txscript.OP_CHECKSIG)
		} else {
			builder.AddOp(txscript.OP_CHECKSIGADD)
		}
	}
	return builder.AddInt64(int64(m))
}

func multiDescriptor(m int, keys []XOnlyKey) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	return fmt.Sprintf("multi_a(%d,%s)", m, strings.Join(texts, ","))
}

// joinLeaves halves the leaves until each stands alone, which keeps all Merkle
// paths within one step of each other. It fills in the paths.
func joinLeaves(leaves []leaf) (hash [32]byte, descriptor string) {
	if len(leaves) == 1 {
		return txscript.NewBaseTapLeaf(leaves[0].script).TapHash(), leaves[0].descriptor
	}
	left, right := leaves[:len(leaves)/2], leaves[len(leaves)/2:]
	leftHash, leftText := joinLeaves(left)
	rightHash, rightText := joinLeaves(right)
	for i := range left {
		left[i].path = append(left[i].path, rightHash)
	}
	for i := range right {
		right[i].path = append(right[i].path, leftHash)
	}
	return branchHash(leftHash, rightHash), "{" + leftText + "," + rightText + "}"
}

// branchHash is the tagged hash TapBranch of BIP-341, the smaller hash first.
func branchHash(a, b [32]byte) [32]byte {
	if string(b[:]) < string(a[:]) {
		a, b = b, a
	}
	return *chainhash.TaggedHash(chainhash.TagTapBranch, a[:], b[:])
}

// controlBlock is the last element of the witness that spends out by the leaf
// (BIP-341).
func (l *leaf) controlBlock(root [32]byte, out Output) ([]byte, error) {
	internal, err := parseXOnly(out.InternalKey)
	if err != nil {
		return nil, fmt.Errorf("taproot: internal key of %d/%d: %w", out.Branch, out.Index, err)
	}
	outputKey := txscript.ComputeTaprootOutputKey(internal, root[:])
	proof := make([]byte, 0, 32*len(l.path))
	for _, sibling := range l.path {
		proof = append(proof, sibling[:]...)
	}
	control := txscript.ControlBlock{
		InternalKey: internal, OutputKeyYIsOdd: outputKey.SerializeCompressed()[0] == 0x03,
		LeafVersion: txscript.BaseLeafVersion, InclusionProof: proof,
	}
	b, err := control.ToBytes()
	if err != nil {
		return nil, fmt.Errorf("taproot: control block of %d/%d: %w", out.Branch, out.Index, err)
	}
	return b, nil
}

func signersKey(signers []int) string { return fmt.Sprint(signers) }
