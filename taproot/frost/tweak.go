package frost

import "fmt"

// Tweak is added to the group key before signing: plain as BIP-32 derivation
// does, or x-only as the Taproot output key does (the key is made even first).
type Tweak struct {
	Value [32]byte // below the group order, big endian; zero is allowed
	XOnly bool
}

// NewTweak reads a tweak from bytes. The error wraps ErrTweakRange.
func NewTweak(value []byte, xOnly bool) (Tweak, error) {
	if _, ok := parseScalar(value); !ok {
		return Tweak{}, ErrTweakRange
	}
	return Tweak{Value: [32]byte(value), XOnly: xOnly}, nil
}

// TweakedKey is the x-only key for which a session with these tweaks signs.
// The error wraps ErrGroupKey, ErrTweakRange or ErrTweakInfinity.
func TweakedKey(key PublicKey, tweaks []Tweak) ([32]byte, error) {
	p, ok := parsePoint(key[:])
	if !ok {
		return [32]byte{}, ErrGroupKey
	}
	ctx, err := newTweakContext(p, tweaks)
	if err != nil {
		return [32]byte{}, err
	}
	return xBytes(&ctx.q), nil
}

// tweakContext is the tweak context of BIP-445 and BIP-327: Q, gacc, tacc.
type tweakContext struct {
	q    point
	gacc scalar // 1 or −1
	tacc scalar
}

func newTweakContext(key point, tweaks []Tweak) (*tweakContext, error) {
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
	t, ok := parseScalar(tweak.Value[:])
	if !ok {
		return ErrTweakRange
	}
	if tweak.XOnly && isOdd(&c.q) {
		c.q = negate(&c.q)
		c.gacc.Negate()
		c.tacc.Negate()
	}
	tG := mulBase(&t)
	c.q = add(&c.q, &tG)
	if isInfinity(&c.q) {
		return ErrTweakInfinity
	}
	c.tacc.Add(&t)
	return nil
}

// sign is g of BIP-445: −1 if the final Q is odd, 1 otherwise, as BIP-340 signs
// for the even key.
func (c *tweakContext) sign() (g scalar) {
	g.SetInt(1)
	if isOdd(&c.q) {
		g.Negate()
	}
	return g
}
