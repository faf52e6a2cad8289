package ledger

import "slices"

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

// A sumTree keeps the inner nodes of the sum tree over all accounts from one cut to
// the next, so that a cut costs what was touched since. Leaves are not kept: each is
// one hash of an account's balance. The memory is 40 bytes an account.
type sumTree struct {
	levels  [][]SumNode // levels[0] are the leaves' parents; the last level is the root
	leaves  int         // accounts at the last cut
	touched []uint32    // of these, those that changed since, each once
	marked  []uint64    // a bit for each of touched
}

// touch notes that an account's balance has changed.
func (t *sumTree) touch(index uint32) {
	if t == nil || int(index) >= t.leaves {
		return // the next root looks at it anyway
	}
	word, bit := index/64, uint64(1)<<(index%64)
	if t.marked[word]&bit == 0 {
		t.marked[word] |= bit
		t.touched = append(t.touched, index)
	}
}

// root brings the tree up to n leaves and returns its root.
func (t *sumTree) root(n int, leaf func(index int) SumNode) SumNode {
	if n < 2 {
		return leaf(0)
	}
	changed := t.changed(n)
	below, size := leaf, n
	for level := 0; size > 1; level++ {
		count := (size + 1) / 2
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		nodes := slices.Grow(t.levels[level], count-len(t.levels[level]))[:count]
		t.levels[level] = nodes
		parents := changed[:0]
		for _, child := range changed {
			at := child / 2
			if len(parents) > 0 && parents[len(parents)-1] == at {
				continue
			}
			parents = append(parents, at)
			nodes[at] = below(int(2 * at))
			if right := int(2*at + 1); right < size { // else it rises unchanged
				nodes[at] = sumParent(nodes[at], below(right))
			}
		}
		changed, size = parents, count
		below = func(index int) SumNode { return nodes[index] }
	}
	return below(0)
}

// changed lists the leaves to look at, in order: those touched and the new ones. It
// forgets them.
func (t *sumTree) changed(n int) []uint32 {
	list := t.touched
	slices.Sort(list)
	for index := t.leaves; index < n; index++ {
		list = append(list, uint32(index))
	}
	t.leaves, t.touched = n, nil
	clear(t.marked)
	t.marked = append(t.marked, make([]uint64, (n+63)/64-len(t.marked))...)
	return list
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
