package ledger

// The trees of this package have the shape of RFC 6962: leaves are paired from
// the left, a last leaf without a partner rises unchanged. Together with the
// number of leaves, which every root is published with, an index has exactly
// one path; no leaf is ever paired with itself, so no two lists of leaves share
// a root the way they can in Bitcoin's own tree.

// MerkleRoot returns the root over the leaves; zero for none. It overwrites
// leaves with the tree's inner nodes.
func MerkleRoot(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return Hash{}
	}
	level := leaves
	for len(level) > 1 {
		level = foldLevel(level, level)
	}
	return level[0]
}

// foldLevel writes the parents of level to dst and returns them.
func foldLevel(dst, level []Hash) []Hash {
	n := 0
	for i := 0; i < len(level); i += 2 {
		if i+1 == len(level) {
			dst[n] = level[i]
		} else {
			dst[n] = tagEntryNode.hash(level[i][:], level[i+1][:])
		}
		n++
	}
	return dst[:n]
}

// A MerkleTree keeps every level of a tree, so that paths cost no hashing.
type MerkleTree struct{ levels [][]Hash }

// NewMerkleTree builds the tree over the leaves, which it keeps.
func NewMerkleTree(leaves []Hash) *MerkleTree {
	t := &MerkleTree{levels: [][]Hash{leaves}}
	for level := leaves; len(level) > 1; {
		level = foldLevel(make([]Hash, (len(level)+1)/2), level)
		t.levels = append(t.levels, level)
	}
	return t
}

// Root is the tree's root; zero for a tree without leaves.
func (t *MerkleTree) Root() Hash {
	if top := t.levels[len(t.levels)-1]; len(top) == 1 {
		return top[0]
	}
	return Hash{}
}

// Path returns the siblings of a leaf from the bottom up, at most 32.
func (t *MerkleTree) Path(index int) []Hash {
	return t.AppendPath(make([]Hash, 0, t.Depth()), index)
}

// Depth is the length of the longest path.
func (t *MerkleTree) Depth() int { return len(t.levels) - 1 }

// AppendPath appends what Path returns, for whoever needs many paths.
func (t *MerkleTree) AppendPath(path []Hash, index int) []Hash {
	for _, level := range t.levels {
		if sibling := index ^ 1; sibling < len(level) {
			path = append(path, level[sibling])
		}
		index /= 2
	}
	return path
}

// VerifyPath reports whether leaf is number index of count leaves under root.
func VerifyPath(root, leaf Hash, index, count uint32, path []Hash) bool {
	return verifyPath(tagEntryNode, root, leaf, uint64(index), uint64(count), path)
}

// verifyPath follows a path through a tree whose inner nodes have this tag.
func verifyPath(node *tag, root, leaf Hash, index, count uint64, path []Hash) bool {
	if index >= count {
		return false
	}
	h, i, n := leaf, index, count
	for n > 1 {
		switch {
		case i%2 == 1:
			if len(path) == 0 {
				return false
			}
			h, path = node.hash(path[0][:], h[:]), path[1:]
		case i+1 < n:
			if len(path) == 0 {
				return false
			}
			h, path = node.hash(h[:], path[0][:]), path[1:]
		}
		i, n = i/2, n/2+n%2
	}
	return len(path) == 0 && h == root
}
