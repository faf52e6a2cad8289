package frost

import (
	"fmt"
	"slices"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// ThresholdInfo is what every member of a group knows, and may be public. The
// number of participants n is len(PublicShares); the index is the ID, and nil
// stands for a share that is not known.
type ThresholdInfo struct {
	Threshold    int            `json:"threshold"`
	GroupKey     PublicKey      `json:"group_key"`
	PublicShares []*PublicShare `json:"public_shares"`
}

// Validate is ValidateThresholdInfo of BIP-445: 1 <= t <= n <= 128, all keys
// are points, at least t shares are known, all of them lie on one polynomial of
// degree t−1, and that polynomial leads to the group key, parity included.
//
// The error wraps ErrThreshold, ErrParticipants, ErrGroupKey, ErrPublicShare,
// ErrTooFewShares, ErrPolynomial, ErrInfinity or ErrKeyMismatch, checked in
// that order.
func (ti ThresholdInfo) Validate() error {
	_, err := NewGroup(ti)
	return err
}

// Group is a validated ThresholdInfo with its points decoded. It is immutable
// and safe for concurrent use.
type Group struct {
	threshold    int
	participants int
	key          curve.Point
	keyBytes     PublicKey
	shares       []*curve.Point // by ID, nil when unknown; empty when none is known
}

// NewGroup validates ti as ThresholdInfo.Validate does and keeps its own copy.
// The cost is about n scalar multiplications, once.
func NewGroup(ti ThresholdInfo) (*Group, error) {
	g, err := newGroup(ti.Threshold, len(ti.PublicShares), ti.GroupKey)
	if err != nil {
		return nil, err
	}
	g.shares = make([]*curve.Point, g.participants)
	for i, share := range ti.PublicShares {
		if share == nil {
			continue
		}
		p, ok := curve.ParsePoint(share[:])
		if !ok {
			return nil, fmt.Errorf("%w: participant %d", ErrPublicShare, i)
		}
		g.shares[i] = &p
	}
	if err := g.checkShares(); err != nil {
		return nil, err
	}
	return g, nil
}

// NewKeyOnlyGroup makes a group of which only the key is known. Its sessions
// can sign and aggregate; they cannot name a culprit.
func NewKeyOnlyGroup(threshold, participants int, key PublicKey) (*Group, error) {
	return newGroup(threshold, participants, key)
}

// Threshold is t, how many signers a signature needs.
func (g *Group) Threshold() int { return g.threshold }

// Participants is n, how many shares exist.
func (g *Group) Participants() int { return g.participants }

// Key is the group key before any tweak.
func (g *Group) Key() PublicKey { return g.keyBytes }

// PublicShare is the public share of a participant, false when it is not known.
func (g *Group) PublicShare(id ID) (PublicShare, bool) {
	p := g.share(id)
	if p == nil {
		return PublicShare{}, false
	}
	return curve.EncodePoint(p), true
}

// Info is the group as ThresholdInfo, for storing.
func (g *Group) Info() ThresholdInfo {
	ti := ThresholdInfo{
		Threshold:    g.threshold,
		GroupKey:     g.keyBytes,
		PublicShares: make([]*PublicShare, g.participants),
	}
	for i := range ti.PublicShares {
		if share, ok := g.PublicShare(ID(i)); ok {
			ti.PublicShares[i] = &share
		}
	}
	return ti
}

func newGroup(threshold, participants int, key PublicKey) (*Group, error) {
	if threshold < 1 || threshold > participants {
		return nil, fmt.Errorf("%w: t = %d, n = %d", ErrThreshold, threshold, participants)
	}
	if participants > MaxParticipants {
		return nil, fmt.Errorf("%w: n = %d", ErrParticipants, participants)
	}
	p, ok := curve.ParsePoint(key[:])
	if !ok {
		return nil, ErrGroupKey
	}
	return &Group{threshold: threshold, participants: participants, key: p, keyBytes: key}, nil
}

func (g *Group) share(id ID) *curve.Point {
	if uint64(id) >= uint64(len(g.shares)) {
		return nil
	}
	return g.shares[id]
}

// checkShares compares every share past the first t with the polynomial through
// the first t: comparing only the key would let two wrong shares cancel.
func (g *Group) checkShares() error {
	var known []ID
	for id, share := range g.shares {
		if share != nil {
			known = append(known, ID(id))
		}
	}
	if len(known) < g.threshold {
		return fmt.Errorf("%w: %d of %d", ErrTooFewShares, len(known), g.threshold)
	}
	basis, rest := newBasis(known[:g.threshold]), known[g.threshold:]
	if g.sharesCombine(basis, rest) {
		return nil
	}
	for _, id := range rest {
		expected := g.interpolate(basis, int(id))
		if !curve.Equal(&expected, g.shares[id]) {
			return fmt.Errorf("%w: participant %d or one of %v", ErrPolynomial, id, basis.ids)
		}
	}
	key := g.interpolate(basis, secretAt)
	if curve.IsInfinity(&key) {
		return ErrInfinity
	}
	if !curve.Equal(&key, &g.key) {
		return ErrKeyMismatch
	}
	return nil
}

// sharesCombine checks all shares and the key at once: the sum of their
// differences from the polynomial, each times a coefficient of its own, is zero.
// The coefficients are hashes over all that is checked, so whoever chose the
// shares could not choose them too: wrong shares pass with probability 2^-256,
// cancelling ones included. It costs one multiplication per share instead of t;
// only if it fails is each share looked at.
func (g *Group) sharesCombine(basis *basis, rest []ID) bool {
	seed := g.hashShares()
	points := make([]curve.Point, 0, len(basis.ids)+len(rest)+1)
	scalars := basis.at(secretAt)
	for i := range scalars {
		scalars[i].Negate()
		points = append(points, *g.shares[basis.ids[i]])
	}
	for _, id := range rest {
		factor := curve.HashScalar(tagShareCheck, seed[:], curve.Uint32Bytes(uint32(id)))
		for i, coefficient := range basis.at(int(id)) {
			coefficient.Mul(&factor).Negate()
			scalars[i].Add(&coefficient)
		}
		scalars, points = append(scalars, factor), append(points, *g.shares[id])
	}
	var one curve.Scalar
	one.SetInt(1)
	sum := multiExp(append(scalars, one), append(points, g.key))
	return curve.IsInfinity(&sum)
}

// hashShares commits to the group: key, threshold and every known share.
func (g *Group) hashShares() [32]byte {
	parts := [][]byte{curve.Uint32Bytes(uint32(g.threshold)), g.keyBytes[:]}
	for id, share := range g.shares {
		if share != nil {
			encoded := curve.EncodePoint(share)
			parts = append(parts, curve.Uint32Bytes(uint32(id)), encoded[:])
		}
	}
	return curve.TaggedHash(tagShareCheck, parts...)
}

// interpolate is DerivePubshareAt of BIP-445.
func (g *Group) interpolate(basis *basis, x int) curve.Point {
	points := make([]curve.Point, len(basis.ids))
	for i, id := range basis.ids {
		points[i] = *g.shares[id]
	}
	return multiExp(basis.at(x), points)
}

// sortedSigners checks a signer set against the group and returns it ascending.
func (g *Group) sortedSigners(signers []ID) ([]ID, error) {
	if len(signers) < g.threshold || len(signers) > g.participants {
		return nil, fmt.Errorf("%w: %d signers, must be between %d and %d",
			ErrSignerSet, len(signers), g.threshold, g.participants)
	}
	sorted := slices.Sorted(slices.Values(signers))
	for i, id := range sorted {
		if uint64(id) >= uint64(g.participants) {
			return nil, fmt.Errorf("%w: participant %d is outside 0 … %d", ErrSignerSet, id, g.participants-1)
		}
		if i > 0 && sorted[i-1] == id {
			return nil, fmt.Errorf("%w: participant %d stands twice", ErrSignerSet, id)
		}
	}
	return sorted, nil
}
