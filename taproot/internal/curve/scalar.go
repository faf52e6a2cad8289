package curve

import (
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
)

// ScalarSize is the length of a scalar in bytes.
const ScalarSize = 32

// Scalar is an integer modulo the group order.
type Scalar = btcec.ModNScalar

// ParseScalar reads 32 bytes big endian and refuses the group order and above.
func ParseScalar(b []byte) (s Scalar, ok bool) {
	if len(b) != ScalarSize {
		return s, false
	}
	overflow := s.SetByteSlice(b)
	return s, !overflow
}

// Secret is a scalar in 1 … order−1 that can be wiped at any time. It is safe for
// concurrent use; a nil Secret is a wiped one.
type Secret struct {
	_     NoCopy
	mu    sync.RWMutex
	value Scalar
	wiped bool
}

// NewSecret reads a secret from 32 bytes, which the caller then wipes, and
// computes its public half, affine. It refuses zero, and the group order and
// above.
func NewSecret(b []byte) (secret *Secret, public Point, ok bool) {
	s := new(Secret) // read in place: no other copy is made
	if len(b) != ScalarSize {
		return nil, Point{}, false
	}
	if overflow := s.value.SetByteSlice(b); overflow || s.value.IsZero() {
		s.Wipe()
		return nil, Point{}, false
	}
	return s, MulBase(&s.value), true
}

// Read copies the secret for a caller, who wipes the copy. It is false after Wipe.
func (s *Secret) Read() (value Scalar, ok bool) {
	if s == nil {
		return Scalar{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.value, !s.wiped
}

// Wipe overwrites the secret. Copies that the Go runtime or an earlier Read made
// are beyond its reach.
func (s *Secret) Wipe() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value.Zero()
	s.wiped = true
}

// NoCopy lets go vet report copies of the types that hold one.
type NoCopy struct{}

// Lock does nothing.
func (*NoCopy) Lock() {}

// Unlock does nothing.
func (*NoCopy) Unlock() {}

var _ sync.Locker = (*NoCopy)(nil)
