package proof

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// Lists of hashes stand in the files as one base64 string: in hex, or each for
// itself, a balance's proof would not be small.

// Hashes is a list of hashes, written one after another.
type Hashes []ledger.Hash

// MarshalText implements encoding.TextMarshaler.
func (h Hashes) MarshalText() ([]byte, error) {
	var raw []byte
	for i := range h {
		raw = append(raw, h[i][:]...)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *Hashes) UnmarshalText(text []byte) error {
	raw, err := unpack(text, len(ledger.Hash{}))
	if err != nil {
		return err
	}
	*h = nil
	for ; len(raw) > 0; raw = raw[32:] {
		*h = append(*h, ledger.Hash(raw[:32]))
	}
	return nil
}

// SumPath is the path of an account in the sum tree, written as hash and sum (8
// bytes, big-endian) one after another.
type SumPath []ledger.SumNode

// MarshalText implements encoding.TextMarshaler.
func (p SumPath) MarshalText() ([]byte, error) {
	var raw []byte
	for i := range p {
		raw = append(raw, p[i].Hash[:]...)
		raw = binary.BigEndian.AppendUint64(raw, uint64(p[i].Sum))
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *SumPath) UnmarshalText(text []byte) error {
	raw, err := unpack(text, 40)
	if err != nil {
		return err
	}
	*p = nil
	for ; len(raw) > 0; raw = raw[40:] {
		*p = append(*p, ledger.SumNode{Hash: ledger.Hash(raw[:32]), Sum: ledger.Amount(binary.BigEndian.Uint64(raw[32:40]))})
	}
	return nil
}

// Bytes are written in base64, of which only one form is read: encoding/json takes
// others for a []byte.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads what MarshalText wrote.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = unbase64(text)
	return err
}

// unbase64 takes the one form of bytes and no other: bits that stand for nothing are
// zero, and no line breaks stand between.
func unbase64(text []byte) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err == nil && base64.StdEncoding.EncodedLen(len(raw)) != len(text) {
		err = errors.New("line breaks in base64")
	}
	return raw, err
}

// maxSteps bounds a path: no tree of this program is deeper.
const maxSteps = 128

func unpack(text []byte, size int) ([]byte, error) {
	if len(text) > base64.StdEncoding.EncodedLen(maxSteps*size) {
		return nil, fmt.Errorf("a list has more than %d steps", maxSteps)
	}
	raw, err := unbase64(text)
	if err == nil && len(raw)%size != 0 {
		err = fmt.Errorf("a list of %d bytes is cut short: its steps have %d", len(raw), size)
	}
	return raw, err
}
