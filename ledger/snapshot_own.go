package ledger

import "io"

// EncodeOwn writes the canonical bytes without the operator's signature, for whoever
// replayed the journal and keeps the books for themselves. Who can change such a file
// can change the books: it is worth as much as the place where it is kept. Error: the
// writer's.
func (p *Snapshot) EncodeOwn(w io.Writer) error { return p.write(w) }

// DecodeOwnSnapshot makes the books again from what EncodeOwn wrote. Errors:
// CodeMalformed, CodeWrongBank.
func DecodeOwnSnapshot(charter Charter, data []byte) (*State, error) {
	return decodeSnapshot(charter, data)
}
