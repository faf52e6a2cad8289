package ledger

import "math/bits"

// The journal tree commits to the header of every batch, in the shape of the
// other trees (RFC 6962, section 2.1). A chain of hashes already does; the tree
// makes what has to be shown of it small. That a batch stands in the journal,
// and that one journal is the beginning of another, takes as many hashes as the
// number of batches has bits. Along the chain it would take every header
// between, and a busy bank makes a hundred thousand of them from one Bitcoin
// block to the next.

// JournalLeaf is the leaf of a batch: the tagged hash "daobank/journal/leaf" of
// the hash of its header.
func JournalLeaf(header Hash) Hash { return tagJournalLeaf.hash(header[:]) }

func journalNode(left, right Hash) Hash { return tagJournalNode.hash(left[:], right[:]) }

// journalPeaks are the roots of the perfect trees that a journal's tree consists
// of, the largest first: all that is needed to add a batch and to know the root.
type journalPeaks struct {
	size  uint64
	peaks []Hash
}

// add takes the next batch in. The slice is written anew, so that a copy of the
// books keeps its own.
func (p *journalPeaks) add(header Hash) {
	peaks := make([]Hash, len(p.peaks), len(p.peaks)+1)
	copy(peaks, p.peaks)
	node := JournalLeaf(header)
	for n := p.size; n&1 == 1; n >>= 1 {
		node = journalNode(peaks[len(peaks)-1], node)
		peaks = peaks[:len(peaks)-1]
	}
	p.size, p.peaks = p.size+1, append(peaks, node)
}

// root is the tree's root; zero before the first batch.
func (p *journalPeaks) root() (root Hash) {
	for i := len(p.peaks) - 1; i >= 0; i-- {
		if i == len(p.peaks)-1 {
			root = p.peaks[i]
		} else {
			root = journalNode(p.peaks[i], root)
		}
	}
	return root
}

// journalLow is the lowest level of the tree that JournalTree keeps: 256 batches
// in 64 bytes. What lies below is made of the headers again when it is asked for.
const journalLow = 8

// A JournalTree makes proofs about the headers of a journal. It is for whoever
// serves proofs or has replayed a journal; a State only keeps what its root needs.
// It is not safe for concurrent use.
type JournalTree struct {
	size   uint64
	tail   journalPeaks // over the batches after the last whole 256
	levels [][]Hash     // levels[i][k] is the root over the k-th 256·2^i batches
}

// JournalHeaders gives the hashes of the headers of the batches from first to
// last, both included; there are at most 256.
type JournalHeaders func(first, last uint64) ([]Hash, error)

// Size is the number of batches.
func (t *JournalTree) Size() uint64 { return t.size }

// Add takes the next batch in, by the hash of its header.
func (t *JournalTree) Add(header Hash) {
	t.size++
	t.tail.add(header)
	if t.tail.size < 1<<journalLow {
		return
	}
	node := t.tail.peaks[0]
	t.tail = journalPeaks{}
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		t.levels[level] = append(t.levels[level], node)
		n := len(t.levels[level])
		if n%2 == 1 {
			return
		}
		node = journalNode(t.levels[level][n-2], t.levels[level][n-1])
	}
}

// Path proves that a batch is the one of its number in the journal of size
// batches: the siblings of its leaf from the bottom up. Batch and size are from
// 1 to Size, batch at most size. Errors: those of headers.
func (t *JournalTree) Path(batch, size uint64, headers JournalHeaders) ([]Hash, error) {
	r := journalReader{tree: t, size: size, headers: headers}
	var path []Hash
	at, count := batch-1, size
	for level := 0; count > 1; level++ {
		if sibling := at ^ 1; sibling < count {
			path = append(path, r.node(level, sibling))
		}
		at, count = at/2, count/2+count%2
	}
	return path, r.err
}

// Consistency proves that the journal of old batches is the beginning of that of
// size batches (RFC 6962, section 2.1.2). Both are from 1 to Size, old at most
// size. Errors: those of headers.
func (t *JournalTree) Consistency(old, size uint64, headers JournalHeaders) ([]Hash, error) {
	if old == size {
		return nil, nil
	}
	r := journalReader{tree: t, size: size, headers: headers}
	// The path begins at the largest perfect tree that ends the old journal.
	level := bits.TrailingZeros64(old)
	at, count := old>>level-1, size>>level
	if size&(1<<level-1) != 0 {
		count++
	}
	var path []Hash
	if at != 0 { // else the old journal's root, which the verifier has
		path = append(path, r.node(level, at))
	}
	for ; count > 1; level++ {
		if sibling := at ^ 1; sibling < count {
			path = append(path, r.node(level, sibling))
		}
		at, count = at/2, count/2+count%2
	}
	return path, r.err
}

// A journalReader finds nodes of the tree of size batches. It keeps the headers
// that it read last, and the first error.
type journalReader struct {
	tree    *JournalTree
	size    uint64
	headers JournalHeaders

	chunk uint64
	read  []Hash
	err   error
}

// node is a node of the tree: perfect, or, at the right edge, over what is left.
func (r *journalReader) node(level int, at uint64) Hash {
	first := at << level
	if level > 0 && (at+1)<<level > r.size {
		right := 2*at + 1
		if right<<(level-1) >= r.size {
			return r.node(level-1, 2*at)
		}
		return journalNode(r.node(level-1, 2*at), r.node(level-1, right))
	}
	if level >= journalLow {
		return r.tree.levels[level-journalLow][at]
	}
	var perfect journalPeaks
	for _, header := range r.leaves(first, 1<<level) {
		perfect.add(header)
	}
	return perfect.root()
}

// leaves are the headers' hashes of count batches of one 256, from index first.
func (r *journalReader) leaves(first, count uint64) []Hash {
	chunk := first >> journalLow
	if r.err == nil && (r.read == nil || r.chunk != chunk) {
		r.chunk = chunk
		last := min((chunk+1)<<journalLow, r.tree.size)
		r.read, r.err = r.headers(chunk<<journalLow+1, last)
		if r.err == nil && uint64(len(r.read)) != last-chunk<<journalLow {
			r.err = fail(CodeMalformed, "the journal has %d headers from batch %d on, not %d", len(r.read), chunk<<journalLow+1, last-chunk<<journalLow)
		}
	}
	if r.err != nil {
		return nil
	}
	from := first - chunk<<journalLow
	return r.read[from : from+count]
}

// VerifyJournalPath reports whether the batch with this header hash is number
// batch of the journal of size batches under root.
func VerifyJournalPath(root, header Hash, batch, size uint64, path []Hash) bool {
	return batch > 0 && verifyPath(tagJournalNode, root, JournalLeaf(header), batch-1, size, path)
}

// VerifyConsistency reports whether the journal of old batches under oldRoot is
// the beginning of the journal of size batches under root (RFC 9162, section
// 2.1.4.2).
func VerifyConsistency(oldRoot, root Hash, old, size uint64, path []Hash) bool {
	switch {
	case old == 0 || old > size:
		return false
	case old == size:
		return len(path) == 0 && oldRoot == root
	}
	if old&(old-1) == 0 {
		path = append([]Hash{oldRoot}, path...)
	}
	if len(path) == 0 {
		return false
	}
	at, last := old-1, size-1
	for at&1 == 1 {
		at, last = at>>1, last>>1
	}
	before, after := path[0], path[0]
	for _, sibling := range path[1:] {
		if last == 0 {
			return false
		}
		if at&1 == 1 || at == last {
			before, after = journalNode(sibling, before), journalNode(sibling, after)
			for at&1 == 0 && at != 0 {
				at, last = at>>1, last>>1
			}
		} else {
			after = journalNode(after, sibling)
		}
		at, last = at>>1, last>>1
	}
	return last == 0 && before == oldRoot && after == root
}
