package ledger

// A sum tree commits to what the bank owes each account. It has the shape of
// the other trees; every node carries a sum, and a parent commits to both
// children's hashes and both sums, so no total can hide a child's (the flaw of
// trees that hash only the total).

// SumNode is a node of a Merkle-sum tree.
type SumNode struct {
	Hash Hash
	Sum  Amount
}

// SumLeaf is the leaf of an account: the tagged hash "daobank/sum/leaf" of the
// account and what it is owed.
func SumLeaf(account AccountID, owed Amount) SumNode {
	var b [16]byte
	be.PutUint64(b[:8], uint64(account))
	be.PutUint64(b[8:], uint64(owed))
	return SumNode{Hash: tagSumLeaf.hash(b[:]), Sum: owed}
}

func sumParent(left, right SumNode) SumNode {
	var sums [16]byte
	be.PutUint64(sums[:8], uint64(left.Sum))
	be.PutUint64(sums[8:], uint64(right.Sum))
	return SumNode{
		Hash: tagSumNode.hash(left.Hash[:], sums[:8], right.Hash[:], sums[8:]),
		Sum:  left.Sum + right.Sum,
	}
}

// sumRoot folds the leaves in place to the root; the zero node for none.
func sumRoot(level []SumNode) SumNode {
	if len(level) == 0 {
		return SumNode{}
	}
	for len(level) > 1 {
		n := 0
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				level[n] = level[i]
			} else {
				level[n] = sumParent(level[i], level[i+1])
			}
			n++
		}
		level = level[:n]
	}
	return level[0]
}

// Books is the state of the bank at a cut, in one hash: what a settlement's
// OP_RETURN carries.
type Books struct {
	Header   Hash    // hash of the header of the cut's batch: the whole journal
	Accounts uint32  // number of leaves of the sum tree
	Root     SumNode // root of the sum tree: every balance, and their total
}

// Hash is the tagged hash "daobank/books" of the books.
func (b *Books) Hash() Hash {
	var n [4]byte
	be.PutUint32(n[:], b.Accounts)
	var sum [8]byte
	be.PutUint64(sum[:], uint64(b.Root.Sum))
	return tagBooks.hash(b.Header[:], n[:], b.Root.Hash[:], sum[:])
}
