package frost

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// SecretNonce is the secret of one signature. Sign consumes it: the first call
// takes it, whatever the call returns, and every later call gets ErrNonceUsed,
// also through a copy of the struct and from another goroutine. It has no
// encoding, because a stored nonce is a nonce that can be used twice, and two
// signatures with one nonce give the share away. A process that restarts
// between the rounds begins again at round one.
type SecretNonce struct {
	_      curve.NoCopy
	secret *nonceSecret
}

type nonceSecret struct {
	used   atomic.Bool
	k1, k2 curve.Scalar
	public PublicNonce
}

// NonceParams are the optional inputs of NonceGen. Each one that is known when
// the nonce is made protects against a bad random source.
type NonceParams struct {
	Share   *Share    // the share that will sign
	Key     *[32]byte // x-only key the signature will be for, after tweaks
	Message []byte    // nil is "not known yet"; empty is the empty message
	Extra   []byte    // anything else, as a counter; less than 2^32 bytes
}

// NonceGen is round one: a secret nonce to keep and a public nonce to send.
// random nil means crypto/rand.
//
// It fails when random fails or the share was wiped.
func NonceGen(random io.Reader, p NonceParams) (*SecretNonce, PublicNonce, error) {
	if random == nil {
		random = rand.Reader
	}
	in := nonceInputs{message: p.Message, extra: p.Extra}
	if p.Key != nil {
		in.key = p.Key[:]
	}
	if p.Share != nil {
		secret, err := p.Share.Reveal()
		if err != nil {
			return nil, PublicNonce{}, err
		}
		defer clear(secret)
		public := p.Share.Public()
		in.secret, in.id, in.public = secret, curve.Uint32Bytes(uint32(p.Share.id)), public[:]
	}
	defer clear(in.random[:])
	if _, err := io.ReadFull(random, in.random[:]); err != nil {
		return nil, PublicNonce{}, fmt.Errorf("frost: reading randomness: %w", err)
	}
	return in.generate()
}

// nonceInputs are the arguments of NonceGen as BIP-445 has them; nil is absent.
type nonceInputs struct {
	random  [32]byte
	secret  []byte
	id      []byte // four bytes
	public  []byte
	key     []byte
	message []byte
	extra   []byte
}

func (in *nonceInputs) generate() (*SecretNonce, PublicNonce, error) {
	seed := in.random
	defer clear(seed[:])
	if in.secret != nil {
		seed = curve.TaggedHash(tagAux, in.random[:])
		for i := range seed {
			seed[i] ^= in.secret[i]
		}
	}
	message := []byte{0}
	if in.message != nil {
		message = slices.Concat([]byte{1}, uint64Bytes(uint64(len(in.message))), in.message)
	}
	var k [2]curve.Scalar // newSecretNonce wipes it
	for j := range k {
		k[j] = curve.HashScalar(tagNonce, seed[:], withLength1(in.id), withLength1(in.public),
			withLength1(in.key), message, curve.Uint32Bytes(uint32(len(in.extra))), in.extra, []byte{byte(j)})
	}
	return newSecretNonce(&k)
}

// newSecretNonce wipes k, whatever it returns. It refuses zero, which no hash will
// ever give.
func newSecretNonce(k *[2]curve.Scalar) (*SecretNonce, PublicNonce, error) {
	defer clear(k[:])
	if k[0].IsZero() || k[1].IsZero() {
		return nil, PublicNonce{}, errors.New("frost: secret nonce out of range")
	}
	r1, r2 := curve.MulBase(&k[0]), curve.MulBase(&k[1])
	public := PublicNonce(joinPoints(&r1, &r2))
	return &SecretNonce{secret: &nonceSecret{k1: k[0], k2: k[1], public: public}}, public, nil
}

// take hands the scalars out once and wipes the stored ones.
func (n *SecretNonce) take() (k1, k2 curve.Scalar, public PublicNonce, err error) {
	if n == nil || n.secret == nil || n.secret.used.Swap(true) {
		return k1, k2, public, ErrNonceUsed
	}
	k1, k2 = n.secret.k1, n.secret.k2
	n.secret.k1.Zero()
	n.secret.k2.Zero()
	return k1, k2, n.secret.public, nil
}

// Discard wipes a nonce that will not be used. It is safe to call at any time.
func (n *SecretNonce) Discard() { _, _, _, _ = n.take() }

// Format prints nothing of the nonce, whatever the verb.
func (n *SecretNonce) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, n.String()) }

// String is redacted.
func (n *SecretNonce) String() string { return "frost.SecretNonce{redacted}" }

// GoString is redacted.
func (n *SecretNonce) GoString() string { return n.String() }

// MarshalText fails with ErrSecret: a secret nonce must not outlive its process.
func (n *SecretNonce) MarshalText() ([]byte, error) { return nil, ErrSecret }

// NonceAgg sums the signers' public nonces. The sum needs no trust: a wrong one
// only makes the signature fail.
//
// The error is a *CulpritError that names every participant whose nonce is
// malformed, or wraps ErrSignerSet when there is no nonce.
func NonceAgg(nonces map[ID]PublicNonce) (AggregateNonce, error) {
	if len(nonces) == 0 {
		return AggregateNonce{}, fmt.Errorf("%w: no nonces", ErrSignerSet)
	}
	var sum1, sum2 curve.Point
	var culprits []ID
	for _, id := range slices.Sorted(maps.Keys(nonces)) {
		r1, r2, ok := nonces[id].points()
		if !ok {
			culprits = append(culprits, id)
			continue
		}
		curve.Accumulate(&sum1, &r1)
		curve.Accumulate(&sum2, &r2)
	}
	if culprits != nil {
		return AggregateNonce{}, &CulpritError{IDs: culprits, Contribution: ContributionPublicNonce, Err: ErrPublicNonce}
	}
	sum1, sum2 = curve.Affine(sum1), curve.Affine(sum2)
	return joinPoints(&sum1, &sum2), nil
}

var (
	_ fmt.Formatter  = (*SecretNonce)(nil)
	_ fmt.GoStringer = (*SecretNonce)(nil)
)
