package ledger

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// Hash is a 32-byte SHA-256 value. Its text form is plain hex in byte order,
// except for Bitcoin's own hashes, which the edges print reversed as Bitcoin does.
type Hash [32]byte

// String returns 64 hex digits in byte order.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text) }

// IsZero reports whether every byte is zero.
func (h Hash) IsZero() bool { return h == Hash{} }

// unhex fills dst, or returns an error and leaves it as it was.
func unhex(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("want %d hex digits, got %d", hex.EncodedLen(len(dst)), len(text))
	}
	data, err := hex.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	copy(dst, data)
	return nil
}

// A tag separates one kind of signed or hashed bytes from every other kind.
// It holds the state of SHA-256 after SHA256(name) twice, the prefix of a BIP-340
// tagged hash: that fills one block, which need not be hashed again each time.
type tag struct{ state []byte }

func newTag(name string) *tag {
	sum := sha256.Sum256([]byte(name))
	d := sha256.New()
	d.Write(sum[:])
	d.Write(sum[:])
	state, err := d.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 promises that there is none
	}
	return &tag{state}
}

// hash returns SHA256(SHA256(name) || SHA256(name) || parts…), as BIP-340
// defines a tagged hash.
func (t *tag) hash(parts ...[]byte) Hash {
	d := hashers.Get().(*hasher)
	t.begin(d.Hash)
	for _, part := range parts {
		d.Write(part)
	}
	d.Sum(d.sum[:0])
	h := d.sum
	hashers.Put(d)
	return h
}

// begin sets a SHA-256 to where the tag was hashed.
func (t *tag) begin(d hash.Hash) {
	if err := d.(encoding.BinaryUnmarshaler).UnmarshalBinary(t.state); err != nil {
		panic(err) // it is a state of the same hash
	}
}

// hashers are used again, so that hashing allocates nothing.
var hashers = sync.Pool{New: func() any { return &hasher{Hash: sha256.New()} }}

type hasher struct {
	hash.Hash
	sum Hash
	buf [96]byte // for nodes of a sum tree, of which a cut hashes very many
}

// end hashes what was gathered in the hasher's buffer, and gives the hasher back.
func (t *tag) end(d *hasher, gathered []byte) Hash {
	t.begin(d.Hash)
	d.Write(gathered)
	d.Sum(d.sum[:0])
	h := d.sum
	hashers.Put(d)
	return h
}

var (
	tagCharter   = newTag("daobank/charter")
	tagOrder     = newTag("daobank/order")
	tagHeader    = newTag("daobank/header")
	tagEntryLeaf = newTag("daobank/entry/leaf")
	tagEntryNode = newTag("daobank/entry/node")
	tagSumLeaf   = newTag("daobank/sum/leaf")
	tagSumNode   = newTag("daobank/sum/node")
	tagBooks     = newTag("daobank/books")
	tagRekey     = newTag("daobank/rekey")

	tagJournalLeaf = newTag("daobank/journal/leaf")
	tagJournalNode = newTag("daobank/journal/node")
)
