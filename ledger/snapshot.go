package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
)

// Snapshot is a copy of the books at the end of a batch. From its encoding a
// State is made again without the journal before that batch.
//
// It is a cache of the bank that made it and proves nothing to anybody else: it
// is signed, so that nobody who can write the operator's database can forge one,
// but the operator could sign any. Guardians and auditors replay the journal.
//
// Nothing that is done to the State changes its Snapshot, which may be encoded
// by another goroutine.
type Snapshot struct{ books State }

// ErrMidBatch is what Snapshot returns when the books are not at the end of a
// batch. A copy taken there would hold entries that its header does not cover.
var ErrMidBatch = errors.New("the books are not at the end of a batch: seal it, then take the snapshot")

var tagSnapshot = newTag("daobank/snapshot")

const (
	snapshotVersion = 3
	coinSize        = outPointSize + 8 + 4 + 1 + 4 + 4
	heldSizeMin     = 6*8 + 4 + 1
	standingSizeMin = 8 + 8 + 8 + 4 + 8 + 4 + 1
	rekeySizeMin    = 4 + 2 + 64
	accountSize     = 32 + 32 + 8 + 8 + 8 + 4 + 1

	// accountsTogether is how many accounts are handed to a writer at once.
	accountsTogether = 4096
)

// Snapshot copies the books. It costs time linear in accounts, coins and held
// withdrawals: about what it takes to copy 100 bytes for each account. Error:
// ErrMidBatch, also before the first batch.
func (s *State) Snapshot() (*Snapshot, error) {
	if s.midBatch || s.last.Number == 0 {
		return nil, ErrMidBatch
	}
	books := *s
	books.accounts = s.accounts.clone()
	books.held, books.coins = maps.Clone(s.held), maps.Clone(s.coins)
	books.standing, books.lost = maps.Clone(s.standing), maps.Clone(s.lost)
	books.rekeys, books.versions = slices.Clip(s.rekeys), slices.Clip(s.versions) // those to come are appended elsewhere
	books.postings, books.verifier, books.sums = nil, nil, nil
	return &Snapshot{books: books}, nil
}

// Header is the header of the batch at whose end the snapshot was taken.
func (p *Snapshot) Header() Header { return p.books.last }

// Digest is what the operator signs: the tagged hash "daobank/snapshot" of the
// canonical bytes without the signature. Two snapshots of one digest are of
// books that are equal in every field.
func (p *Snapshot) Digest() Hash {
	digest := sha256.New()
	tagSnapshot.begin(digest)
	_ = p.write(digest) // a hash takes everything
	return Hash(digest.Sum(nil))
}

// Encode writes the canonical bytes (docs/formats.md), signed with the
// operator's key, in pieces: 4,096 accounts at a time, and all else before them.
// Error: the writer's.
func (p *Snapshot) Encode(w io.Writer, operator *btcec.PrivateKey) error {
	digest := sha256.New()
	tagSnapshot.begin(digest)
	if err := p.write(io.MultiWriter(w, digest)); err != nil {
		return err
	}
	sig, err := sign(operator, Hash(digest.Sum(nil)))
	if err != nil {
		return fmt.Errorf("sign the snapshot at batch %d: %w", p.books.last.Number, err)
	}
	_, err = w.Write(sig[:])
	return err
}

// write writes all but the signature.
func (p *Snapshot) write(w io.Writer) error {
	s := &p.books
	b := s.last.append([]byte{snapshotVersion})
	for _, peak := range s.journal.peaks {
		b = append(b, peak[:]...)
	}
	b = append(be.AppendUint32(b, s.height), s.block[:]...)
	for _, n := range []uint32{s.credited.books, s.credited.height, s.credited.tx, s.credited.vout} {
		b = be.AppendUint32(b, n)
	}
	b = be.AppendUint64(b, s.ordinal)
	b = be.AppendUint32(be.AppendUint32(b, s.settlements), s.anchored)
	b = be.AppendUint64(be.AppendUint64(b, s.cleared), s.paidOut)
	b = be.AppendUint32(b, uint32(len(s.rekeys)))
	for i := range s.rekeys {
		b = s.rekeys[i].append(b)
	}
	b = be.AppendUint32(b, uint32(len(s.coins)))
	for _, c := range sortedCoins(s.coins) {
		b = c.append(b)
	}
	b = be.AppendUint32(b, uint32(len(s.lost)))
	for _, at := range slices.SortedFunc(maps.Keys(s.lost), OutPoint.compare) {
		b = at.append(b)
	}
	held := s.Held()
	b = be.AppendUint32(b, uint32(len(held)))
	for i := range held {
		b = held[i].append(b)
	}
	b = be.AppendUint32(b, uint32(len(s.standing)))
	for _, id := range slices.Sorted(maps.Keys(s.standing)) {
		i := s.standing[id]
		b = i.append(b)
	}
	b = be.AppendUint16(b, uint16(len(s.versions)))
	for _, v := range s.versions {
		b = v.append(b)
	}
	b = be.AppendUint32(b, s.Accounts())
	if _, err := w.Write(b); err != nil {
		return err
	}
	for first := uint32(0); first < s.Accounts(); first += accountsTogether {
		b = b[:0]
		for i := first; i < min(first+accountsTogether, s.Accounts()); i++ {
			b = s.accounts.at(i).append(b)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func sortedCoins(coins map[OutPoint]Coin) []Coin {
	return slices.SortedFunc(maps.Values(coins), func(a, b Coin) int { return a.OutPoint.compare(b.OutPoint) })
}

func (o OutPoint) compare(p OutPoint) int {
	return cmp.Or(bytes.Compare(o.TxID[:], p.TxID[:]), cmp.Compare(o.Vout, p.Vout))
}

func (c *Coin) append(b []byte) []byte {
	b = c.OutPoint.append(b)
	b = be.AppendUint64(b, uint64(c.Amount))
	b = be.AppendUint32(b, c.Generation)
	b = append(b, byte(c.Branch))
	b = be.AppendUint32(b, c.Index)
	return be.AppendUint32(b, c.Height)
}

func (p *Payout) append(b []byte) []byte {
	for _, n := range []uint64{uint64(p.Payer), p.Sequence, uint64(p.Amount), uint64(p.FeeMax), uint64(p.FeeShare), p.Ordinal} {
		b = be.AppendUint64(b, n)
	}
	b = be.AppendUint32(b, p.Height)
	return append(append(b, byte(len(p.Script))), p.Script...)
}

func (i *Instruction) append(b []byte) []byte {
	b = be.AppendUint64(be.AppendUint64(b, uint64(i.Payer)), i.Sequence)
	b = be.AppendUint32(be.AppendUint64(b, uint64(i.Keep)), i.Every)
	b = be.AppendUint32(be.AppendUint64(b, uint64(i.FeeMax)), i.Next)
	return append(append(b, byte(len(i.Script))), i.Script...)
}

// append writes all but the settlement's number and the version's, which are known.
func (o *OpenCut) append(b []byte) []byte {
	b = be.AppendUint32(b, o.Generation)
	for _, n := range []uint64{o.Batch, o.FeeRate, uint64(o.Fee), uint64(o.Change), o.Cleared} {
		b = be.AppendUint64(b, n)
	}
	b = be.AppendUint16(b, uint16(len(o.Inputs)))
	for i := range o.Inputs {
		b = o.Inputs[i].append(b)
	}
	b = be.AppendUint16(b, uint16(len(o.Payouts)))
	for i := range o.Payouts {
		b = o.Payouts[i].append(b)
	}
	return o.Books.append(b)
}

func (a *account) append(b []byte) []byte {
	b = append(append(b, a.key[:]...), a.last[:]...)
	b = be.AppendUint64(b, a.sequence)
	b = be.AppendUint64(b, uint64(a.balance))
	b = be.AppendUint64(b, uint64(a.held))
	b = be.AppendUint32(b, a.withdrawals)
	if a.closed {
		return append(b, 1)
	}
	return append(b, 0)
}
