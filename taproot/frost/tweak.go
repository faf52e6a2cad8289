package frost

import (
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Tweak is added to the group key before signing: plain as BIP-32 derivation
// does, or x-only as the Taproot output key does (the key is made even first).
type Tweak struct {
	Value [32]byte // below the group order, big endian; zero is allowed
	XOnly bool
}

// NewTweak reads a tweak from bytes. The error wraps ErrTweakRange.
func NewTweak(value []byte, xOnly bool) (Tweak, error) {
	if _, ok := curve.ParseScalar(value); !ok {
		return Tweak{}, ErrTweakRange
	}
	return Tweak{Value: [32]byte(value), XOnly: xOnly}, nil
}

// TweakedKey is the x-only key for which a session with these tweaks signs.
// The error wraps ErrGroupKey, ErrTweakRange or ErrTweakInfinity.
func TweakedKey(key PublicKey, tweaks []Tweak) ([32]byte, error) {
	p, ok := curve.ParsePoint(key[:])
	if !ok {
		return [32]byte{}, ErrGroupKey
	}
	ctx, err := newTweakContext(p, tweaks)
	if err != nil {
		return [32]byte{}, err
	}
	return curve.XBytes(&ctx.q), nil
}

// Tweaked is a group's key after tweaks. Whoever needs it more than once, for nonces
// and then in sessions, computes it once. It is immutable.
type Tweaked struct {
	group *Group
	ctx   *tweakContext
}

// Tweak applies tweaks to the group key, in order. The error wraps ErrTweakRange or
// ErrTweakInfinity.
func (g *Group) Tweak(tweaks []Tweak) (*Tweaked, error) {
	ctx, err := newTweakContext(g.key, tweaks)
	if err != nil {
		return nil, err
	}
	return &Tweaked{group: g, ctx: ctx}, nil
}

// Key is the x-only key for which a session with these tweaks signs.
func (t *Tweaked) Key() [32]byte { return curve.XBytes(&t.ctx.q) }

// tweakContext is the tweak context of BIP-445 and BIP-327: Q, gacc, tacc.
type tweakContext struct {
	q    curve.Point
	gacc curve.Scalar // 1 or −1
	tacc curve.Scalar
}

func newTweakContext(key curve.Point, tweaks []Tweak) (*tweakContext, error) {
	ctx := &tweakContext{q: key}
	ctx.gacc.SetInt(1)
	for i, tweak := range tweaks {
		if err := ctx.apply(tweak); err != nil {
			return nil, fmt.Errorf("tweak %d: %w", i, err)
		}
	}
	return ctx, nil
}

// apply is ApplyTweak: Q = gQ + tG, gacc = g·gacc, tacc = t + g·tacc.
func (c *tweakContext) apply(tweak Tweak) error {
	t, ok := curve.ParseScalar(tweak.Value[:])
	if !ok {
		return ErrTweakRange
	}
	if tweak.XOnly && curve.IsOdd(&c.q) {
		c.q = curve.Negate(c.q)
		c.gacc.Negate()
		c.tacc.Negate()
	}
	tG := curve.MulBase(&t)
	c.q = curve.Sum(c.q, tG)
	if curve.IsInfinity(&c.q) {
		return ErrTweakInfinity
	}
	c.tacc.Add(&t)
	return nil
}

// sign is g of BIP-445: −1 if the final Q is odd, 1 otherwise, as BIP-340 signs
// for the even key.
func (c *tweakContext) sign() (g curve.Scalar) {
	g.SetInt(1)
	if curve.IsOdd(&c.q) {
		g.Negate()
	}
	return g
}
