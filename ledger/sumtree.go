package ledger

import (
	"errors"
	"fmt"
	"slices"
)

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
	d := hashers.Get().(*hasher)
	b := be.AppendUint64(d.buf[:0], uint64(account))
	b = be.AppendUint64(b, uint64(owed))
	return SumNode{Hash: tagSumLeaf.end(d, b), Sum: owed}
}

func sumParent(left, right SumNode) SumNode {
	d := hashers.Get().(*hasher)
	b := append(d.buf[:0], left.Hash[:]...)
	b = be.AppendUint64(b, uint64(left.Sum))
	b = append(b, right.Hash[:]...)
	b = be.AppendUint64(b, uint64(right.Sum))
	return SumNode{Hash: tagSumNode.end(d, b), Sum: left.Sum + right.Sum}
}

// VerifySumPath reports whether an account is owed this much among accounts
// leaves under root, whose sum is the total. No node on the way may be below
// zero or lift a sum above 21 million BTC: so whatever else is in the tree, the
// total cannot be less than the balances that are shown in it.
func VerifySumPath(root SumNode, account AccountID, owed Amount, accounts uint32, path []SumNode) bool {
	if account.Shard() != 0 || account.Index() >= accounts || owed < 0 || owed > MaxAmount {
		return false
	}
	node, at, count := SumLeaf(account, owed), account.Index(), accounts
	for count > 1 {
		left := at%2 == 1 // the sibling's side
		if left || at+1 < count {
			if len(path) == 0 {
				return false
			}
			sibling := path[0]
			if _, ok := addAmounts(node.Sum, sibling.Sum); !ok {
				return false
			}
			if path = path[1:]; left {
				node = sumParent(sibling, node)
			} else {
				node = sumParent(node, sibling)
			}
		}
		at, count = at/2, count/2+count%2
	}
	return len(path) == 0 && node == root
}

// SumCuts is how many of the last cuts a State can prove balances of.
const SumCuts = 8

// ErrNoSumTree says that the books have no tree of that cut any more, or not yet.
var ErrNoSumTree = errors.New("the books keep no balances of this cut")

// SumProof is the place of an account in the sum tree of a cut.
type SumProof struct {
	Books   Books
	Account AccountID
	Owed    Amount
	Path    []SumNode // siblings from the leaf up
}

// Verify reports whether the account's balance is part of the books' total.
func (p *SumProof) Verify() bool {
	return VerifySumPath(p.Books.Root, p.Account, p.Owed, p.Books.Accounts, p.Path)
}

// SumProof proves what an account was owed at the cut that a batch ended; batch 0
// is the last one. It takes twenty hashes at a million accounts. Errors:
// ErrNoSumTree for a cut that is none of the last SumCuts, and for those from
// before this State was read from a snapshot; CodeAccount for an account that
// was not there.
func (s *State) SumProof(batch uint64, id AccountID) (*SumProof, error) {
	at := s.sums.find(batch)
	if at < 0 {
		return nil, fmt.Errorf("batch %d: %w; they have those of the last %d cuts since they were last read from a snapshot", batch, ErrNoSumTree, SumCuts)
	}
	p := &SumProof{Books: s.sums.cuts[at].books, Account: id}
	if id.Shard() != 0 || id.Index() >= p.Books.Accounts {
		return nil, fail(CodeAccount, "account %s does not exist at batch %d: check the account", id, p.Books.Batch)
	}
	p.Owed = s.sums.leaf(at, id.Index()).Sum
	index, count := id.Index(), p.Books.Accounts
	for level := 0; count > 1; level++ {
		if sibling := index ^ 1; sibling < count {
			p.Path = append(p.Path, s.sums.node(at, level, sibling))
		}
		index, count = index/2, count/2+count%2
	}
	return p, nil
}

// Cuts are the books of the cuts that SumProof knows, the oldest first.
func (s *State) Cuts() (list []Books) {
	if s.sums != nil {
		for i := range s.sums.cuts {
			list = append(list, s.sums.cuts[i].books)
		}
	}
	return list
}

// A sumTree keeps the sum tree over all accounts from one cut to the next, so
// that a cut costs what was touched since: what accounts were owed at the last
// cut, and the nodes above the leaves, 48 bytes an account. Of the cuts before it
// keeps what later ones have overwritten.
type sumTree struct {
	owed    []Amount    // at the last cut
	levels  [][]SumNode // levels[0] are the leaves' parents; the last level is the root
	touched []uint32    // accounts that changed since, each once
	marked  []uint64    // a bit for each of touched
	cuts    []sumCut    // the last SumCuts, the oldest first
}

// A sumCut is a cut, and what the cut after it has overwritten.
type sumCut struct {
	books  Books
	leaves overwritten[Amount]
	levels []overwritten[SumNode] // as in sumTree
}

// overwritten are old values in the order of their places.
type overwritten[V any] struct {
	places []uint32
	values []V
}

func (o *overwritten[V]) note(place uint32, value V) {
	o.places, o.values = append(o.places, place), append(o.values, value)
}

func (o *overwritten[V]) find(place uint32) (value V, ok bool) {
	i, ok := slices.BinarySearch(o.places, place)
	if ok {
		value = o.values[i]
	}
	return value, ok
}

// touch notes that an account's balance has changed.
func (t *sumTree) touch(index uint32) {
	if t == nil || int(index) >= len(t.owed) {
		return // the next update looks at it anyway
	}
	word, bit := index/64, uint64(1)<<(index%64)
	if t.marked[word]&bit == 0 {
		t.marked[word] |= bit
		t.touched = append(t.touched, index)
	}
}

// update brings the tree up to n leaves, at least one, and returns its root.
func (t *sumTree) update(n int, owed func(index int) Amount) SumNode {
	undo := t.undo()
	changed := t.changed(n)
	t.owed = slices.Grow(t.owed, n-len(t.owed))
	for _, index := range changed {
		now := owed(int(index))
		if int(index) < len(t.owed) {
			undo.leaves.note(index, t.owed[index])
			t.owed[index] = now
		} else {
			t.owed = append(t.owed, now)
		}
	}
	below := func(index uint32) SumNode { return SumLeaf(AccountID(index), t.owed[index]) }
	size := uint32(n)
	for level := 0; size > 1; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		for level >= len(undo.levels) {
			undo.levels = append(undo.levels, overwritten[SumNode]{})
		}
		changed = t.fold(level, size, changed, below, &undo.levels[level])
		nodes := t.levels[level]
		below = func(index uint32) SumNode { return nodes[index] }
		size = size/2 + size%2
	}
	return below(0)
}

// fold makes the parents of what has changed on the level below, which has size
// nodes, and returns which they are.
func (t *sumTree) fold(level int, size uint32, changed []uint32, below func(uint32) SumNode, undo *overwritten[SumNode]) []uint32 {
	count := int(size/2 + size%2)
	before := len(t.levels[level])
	nodes := slices.Grow(t.levels[level], count-before)[:count]
	t.levels[level] = nodes
	parents := changed[:0]
	for _, child := range changed {
		at := child / 2
		if len(parents) > 0 && parents[len(parents)-1] == at {
			continue
		}
		parents = append(parents, at)
		if int(at) < before {
			undo.note(at, nodes[at])
		}
		nodes[at] = below(2 * at)
		if right := 2*at + 1; right < size { // else it rises unchanged
			nodes[at] = sumParent(nodes[at], below(right))
		}
	}
	return parents
}

// undo is where an update notes what it overwrites: with the last cut, if it is kept.
func (t *sumTree) undo() *sumCut {
	if len(t.cuts) == 0 {
		return &sumCut{}
	}
	return &t.cuts[len(t.cuts)-1]
}

// changed lists the leaves to look at, in order: those touched and the new ones. It
// forgets them.
func (t *sumTree) changed(n int) []uint32 {
	list := t.touched
	slices.Sort(list)
	for index := len(t.owed); index < n; index++ {
		list = append(list, uint32(index))
	}
	t.touched = nil
	clear(t.marked)
	t.marked = append(t.marked, make([]uint64, (n+63)/64-len(t.marked))...)
	return list
}

// keep remembers the cut at which the tree stands now.
func (t *sumTree) keep(books Books) {
	if len(t.cuts) == SumCuts {
		t.cuts = slices.Delete(t.cuts, 0, 1)
	}
	t.cuts = append(t.cuts, sumCut{books: books})
}

// find is the place of the cut that a batch ended, 0 for the last one; -1 for none.
func (t *sumTree) find(batch uint64) int {
	if t == nil {
		return -1
	}
	if batch == 0 {
		return len(t.cuts) - 1
	}
	return slices.IndexFunc(t.cuts, func(c sumCut) bool { return c.books.Batch == batch })
}

// node is a node of the level below t.levels[level] as it was at a cut.
func (t *sumTree) node(cut, level int, index uint32) SumNode {
	if level == 0 {
		return t.leaf(cut, index)
	}
	for _, c := range t.cuts[cut:] {
		if level-1 < len(c.levels) {
			if was, ok := c.levels[level-1].find(index); ok {
				return was
			}
		}
	}
	return t.levels[level-1][index]
}

func (t *sumTree) leaf(cut int, index uint32) SumNode {
	for _, c := range t.cuts[cut:] {
		if was, ok := c.leaves.find(index); ok {
			return SumLeaf(AccountID(index), was)
		}
	}
	return SumLeaf(AccountID(index), t.owed[index])
}

// Books is the state of the bank at a cut, in one hash: what a settlement's
// OP_RETURN carries.
type Books struct {
	Header   Hash    // hash of the header of the cut's batch: the head of the journal
	Batch    uint64  // number of that batch: leaves of the journal tree
	Journal  Hash    // root of the journal tree: every header up to that batch
	Accounts uint32  // number of leaves of the sum tree
	Root     SumNode // root of the sum tree: every balance, and their total
}

// BooksSize is the size in bytes of the canonical form of Books.
const BooksSize = 32 + 8 + 32 + 4 + 32 + 8

// Bytes returns the books' canonical bytes.
func (b *Books) Bytes() []byte { return b.append(make([]byte, 0, BooksSize)) }

func (b *Books) append(to []byte) []byte {
	to = append(to, b.Header[:]...)
	to = be.AppendUint64(to, b.Batch)
	to = append(to, b.Journal[:]...)
	to = be.AppendUint32(to, b.Accounts)
	to = append(to, b.Root.Hash[:]...)
	return be.AppendUint64(to, uint64(b.Root.Sum))
}

func (r *reader) books() Books {
	return Books{Header: r.hash(), Batch: r.u64(), Journal: r.hash(), Accounts: r.u32(), Root: SumNode{Hash: r.hash(), Sum: r.amount()}}
}

// DecodeBooks reads books that fill data exactly. Error: CodeMalformed.
func DecodeBooks(data []byte) (Books, error) {
	if len(data) != BooksSize {
		return Books{}, fail(CodeMalformed, "the books of a cut have %d bytes, not %d", BooksSize, len(data))
	}
	r := &reader{rest: data}
	return r.books(), nil
}

// Hash is the tagged hash "daobank/books" of the books.
func (b *Books) Hash() Hash {
	var buf [BooksSize]byte
	return tagBooks.hash(b.append(buf[:0]))
}
