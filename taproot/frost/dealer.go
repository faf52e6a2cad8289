package frost

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// TrustedDealer makes a fresh key and splits it: any t of the n shares sign,
// fewer learn nothing. The dealer sees the whole key while it runs, so whoever
// runs it must be trusted by everyone. It serves demonstrations and tests; a
// vault with real money makes its key by ChillDKG, where no one ever sees it.
//
// shares[i] belongs to participant i. random nil means crypto/rand. The error
// wraps ErrThreshold or ErrParticipants, or says that random failed; it wraps
// ErrSecretShare when random gave a value that random bytes never are.
func TrustedDealer(t, n int, random io.Reader) (*Group, []*Share, error) {
	if random == nil {
		random = rand.Reader
	}
	if t < 1 || t > n {
		return nil, nil, fmt.Errorf("%w: t = %d, n = %d", ErrThreshold, t, n)
	}
	if n > MaxParticipants {
		return nil, nil, fmt.Errorf("%w: n = %d", ErrParticipants, n)
	}
	polynomial := make([]curve.Scalar, t)
	defer clear(polynomial)
	for i := range polynomial {
		if err := randomScalar(random, &polynomial[i]); err != nil {
			return nil, nil, err
		}
	}
	shares := make([]*Share, n)
	info := ThresholdInfo{Threshold: t, PublicShares: make([]*PublicShare, n)}
	for i := range shares {
		share, err := dealShare(polynomial, ID(i))
		if err != nil {
			return nil, nil, err
		}
		public := share.Public()
		shares[i], info.PublicShares[i] = share, &public
	}
	key := curve.MulBase(&polynomial[0])
	info.GroupKey = curve.EncodePoint(&key)
	group, err := NewGroup(info)
	if err != nil {
		return nil, nil, err
	}
	return group, shares, nil
}

// dealShare evaluates the polynomial at id+1 (Horner's rule).
func dealShare(polynomial []curve.Scalar, id ID) (*Share, error) {
	var x, value curve.Scalar
	defer value.Zero()
	x.SetInt(uint32(id) + 1)
	for i := len(polynomial) - 1; i >= 0; i-- {
		value.Mul(&x).Add(&polynomial[i])
	}
	b := value.Bytes()
	defer clear(b[:])
	return NewShare(id, b[:])
}

// randomScalar draws a value in 1 … order−1. One that is not means that the source
// is broken, so there is no second draw: it might never end.
func randomScalar(random io.Reader, s *curve.Scalar) error {
	var b [32]byte
	defer clear(b[:])
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return fmt.Errorf("frost: reading randomness: %w", err)
	}
	if overflow := s.SetBytes(&b); overflow != 0 || s.IsZero() {
		return fmt.Errorf("%w: the random source is broken", ErrSecretShare)
	}
	return nil
}
