package ledger

import "encoding/binary"

// A reader takes big-endian fields off the front of canonical bytes. After the
// first field that is cut short every read returns zero and ok stays false, so
// a decoder checks once, at the end.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) amount() Amount { return Amount(r.u64()) }

func (r *reader) hash() (h Hash) {
	copy(h[:], r.take(len(h)))
	return h
}

func (r *reader) key() (k Key) {
	copy(k[:], r.take(len(k)))
	return k
}

func (r *reader) signature() (s Signature) {
	copy(s[:], r.take(len(s)))
	return s
}

// short reads bytes prefixed by a one-byte length of at most limit.
func (r *reader) short(limit int) []byte {
	n := int(r.u8())
	if n > limit {
		r.bad = true
	}
	if n == 0 {
		return nil
	}
	return append([]byte(nil), r.take(n)...)
}

// count16 reads a two-byte count of items of the given size and refuses one
// above limit or beyond the bytes that are left, before anything is allocated.
func (r *reader) count16(limit, size int) int {
	n := int(r.u16())
	if n > limit || n*size > len(r.rest) {
		r.bad = true
		return 0
	}
	return n
}

var be = binary.BigEndian
