package ledger

import "encoding/hex"

// Receipt proves that an entry stands in a batch that the operator signed: the
// header, and the entry's Merkle path to its root. With the order itself and
// the bank's charter it verifies offline.
type Receipt struct {
	Header SignedHeader
	Index  uint32 // the entry's place in the batch, from 0
	Path   []Hash // siblings from the leaf up
}

const maxPath = 32

// Verify checks that the entry with these canonical bytes was accepted by the
// bank of this charter. Errors: CodeWrongBank; CodeSignature when the header is
// not signed by the operator; CodeMalformed when the path does not lead to the root.
func (r *Receipt) Verify(charter *Charter, entry []byte) error {
	if r.Header.Bank != charter.ID() {
		return fail(CodeWrongBank, "the receipt is of another bank (id %s)", r.Header.Bank)
	}
	if !r.Header.Verify(charter.Operator) {
		return fail(CodeSignature, "the header of batch %d is not signed by this bank's operator: do not accept the receipt", r.Header.Number)
	}
	if !VerifyPath(r.Header.Root, EntryLeaf(entry), r.Index, r.Header.Count, r.Path) {
		return fail(CodeMalformed, "the order is not entry %d of batch %d: do not accept the receipt", r.Index, r.Header.Number)
	}
	return nil
}

// Bytes returns the receipt's canonical bytes.
func (r *Receipt) Bytes() []byte {
	b := make([]byte, 0, SignedHeaderSize+5+32*len(r.Path))
	b = append(r.Header.append(b), r.Header.Signature[:]...)
	b = be.AppendUint32(b, r.Index)
	b = append(b, byte(len(r.Path)))
	for _, h := range r.Path {
		b = append(b, h[:]...)
	}
	return b
}

// MarshalText encodes the canonical bytes in hex.
func (r Receipt) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r.Bytes()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Receipt) UnmarshalText(text []byte) error {
	if len(text) > 2*(SignedHeaderSize+5+32*maxPath) {
		return fail(CodeOversized, "a receipt has at most %d bytes", SignedHeaderSize+5+32*maxPath)
	}
	data := make([]byte, len(text)/2)
	if err := unhex(data, text); err != nil {
		return fail(CodeMalformed, "the receipt is not hex: %v", err)
	}
	got, err := DecodeReceipt(data)
	if err == nil {
		*r = got
	}
	return err
}

// DecodeReceipt reads a receipt that fills data exactly.
func DecodeReceipt(data []byte) (Receipt, error) {
	in := &reader{rest: data}
	header, err := decodeHeader(in)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Header: header, Index: in.u32()}
	n := int(in.u8())
	if n > maxPath {
		return Receipt{}, fail(CodeMalformed, "the receipt's path has %d steps: at most %d are possible", n, maxPath)
	}
	if n > 0 && 32*n <= len(in.rest) {
		r.Path = make([]Hash, 0, n)
	}
	for range n {
		r.Path = append(r.Path, in.hash())
	}
	if in.bad || len(in.rest) != 0 {
		return Receipt{}, fail(CodeMalformed, "the receipt is cut short or too long (%d bytes)", len(data))
	}
	return r, nil
}
