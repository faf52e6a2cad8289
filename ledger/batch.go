package ledger

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
)

// Header commits to one batch of entries and to all batches before it.
type Header struct {
	Bank     BankID
	Number   uint64 // from 1, without gaps
	Epoch    uint64 // the writer's lease; never falls
	Time     uint64 // operator's clock, Unix milliseconds; never falls, decides nothing
	Previous Hash   // hash of the header before; the bank's id in the first
	Root     Hash   // Merkle root of the entries
	Count    uint32 // number of entries, at least 1
}

// SignedHeader is a header with the operator's signature. Two of one number
// with different hashes are a proof that the operator showed two histories.
type SignedHeader struct {
	Header
	Signature Signature
}

const (
	headerVersion = 1
	headerSize    = 1 + 32 + 8 + 8 + 8 + 32 + 32 + 4
	// SignedHeaderSize is the size of a signed header's canonical bytes.
	SignedHeaderSize = headerSize + 64
	// MaxBatch is the largest number of entries in a batch.
	MaxBatch = 1 << 16
)

func (h *Header) append(b []byte) []byte {
	b = append(b, headerVersion)
	b = append(b, h.Bank[:]...)
	b = be.AppendUint64(b, h.Number)
	b = be.AppendUint64(b, h.Epoch)
	b = be.AppendUint64(b, h.Time)
	b = append(b, h.Previous[:]...)
	b = append(b, h.Root[:]...)
	return be.AppendUint32(b, h.Count)
}

// Hash is the tagged hash "daobank/header" of the header's canonical bytes. The
// operator signs it, and the next header names it as Previous.
func (h *Header) Hash() Hash {
	var buf [headerSize]byte
	return tagHeader.hash(h.append(buf[:0]))
}

// Sign signs the header with the operator's key.
func (h Header) Sign(operator *btcec.PrivateKey) (SignedHeader, error) {
	sig, err := sign(operator, h.Hash())
	if err != nil {
		return SignedHeader{}, fmt.Errorf("sign batch header %d: %w", h.Number, err)
	}
	return SignedHeader{Header: h, Signature: sig}, nil
}

// Verify reports whether the operator signed the header.
func (h *SignedHeader) Verify(operator Key) bool {
	return operator.Verify(h.Hash(), h.Signature)
}

// Bytes returns the canonical bytes of header and signature, SignedHeaderSize long.
func (h *SignedHeader) Bytes() []byte {
	return append(h.append(make([]byte, 0, SignedHeaderSize)), h.Signature[:]...)
}

// DecodeSignedHeader reads a signed header that fills data exactly.
func DecodeSignedHeader(data []byte) (SignedHeader, error) {
	if len(data) != SignedHeaderSize {
		return SignedHeader{}, fail(CodeMalformed, "a signed batch header has %d bytes, not %d", SignedHeaderSize, len(data))
	}
	return decodeHeader(&reader{rest: data})
}

func decodeHeader(r *reader) (SignedHeader, error) {
	if v := r.u8(); v != headerVersion && !r.bad {
		return SignedHeader{}, fail(CodeMalformed, "batch header version %d is not known here", v)
	}
	h := SignedHeader{Header: Header{Bank: r.hash(), Number: r.u64(), Epoch: r.u64(), Time: r.u64(),
		Previous: r.hash(), Root: r.hash(), Count: r.u32()}, Signature: r.signature()}
	if r.bad {
		return SignedHeader{}, fail(CodeMalformed, "the batch header is cut short")
	}
	return h, nil
}

// Batch is a signed header with the canonical bytes of its entries.
type Batch struct {
	Header  SignedHeader
	Entries [][]byte
}
