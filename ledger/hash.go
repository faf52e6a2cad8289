package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
// It holds SHA256(name) twice, the prefix of a BIP-340 tagged hash.
type tag [64]byte

func newTag(name string) *tag {
	var t tag
	sum := sha256.Sum256([]byte(name))
	copy(t[:32], sum[:])
	copy(t[32:], sum[:])
	return &t
}

// hash returns SHA256(SHA256(name) || SHA256(name) || parts…), as BIP-340
// defines a tagged hash.
func (t *tag) hash(parts ...[]byte) Hash {
	d := sha256.New()
	d.Write(t[:])
	for _, part := range parts {
		d.Write(part)
	}
	var h Hash
	d.Sum(h[:0])
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
)
