package frost

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Each decoder takes any bytes without a panic, and what it accepts has exactly
// one encoding.

func FuzzParsePublicNonce(f *testing.F) {
	group, shares := deal(f, 2, 3, 3)
	r := signAll(f, group, shares, []ID{0, 1}, nil)
	good := r.nonces[0]
	f.Add(good[:])
	f.Add(make([]byte, PublicNonceSize))
	f.Add(append(good[:33:33], bytes.Repeat([]byte{0xff}, 33)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		nonce, err := ParsePublicNonce(b)
		if err != nil {
			if len(b) == PublicNonceSize {
				if _, err := NonceAgg(map[ID]PublicNonce{0: PublicNonce(b)}); err == nil {
					t.Fatal("summed what does not parse")
				}
			}
			return
		}
		if r1, r2, _ := nonce.points(); !bytes.Equal(b, encodeNonce(&r1, &r2)) {
			t.Fatalf("%x has two encodings", b)
		}
		if _, err := ParseAggregateNonce(b); err != nil {
			t.Fatal("a public nonce is not an aggregate nonce")
		}
		requireText(t, nonce, new(PublicNonce))
	})
}

func encodeNonce(r1, r2 *curve.Point) []byte {
	b := joinPoints(r1, r2)
	return b[:]
}

func FuzzParseAggregateNonce(f *testing.F) {
	f.Add(make([]byte, PublicNonceSize))
	f.Add([]byte{2})
	group, shares := deal(f, 2, 3, 3)
	session := signAll(f, group, shares, []ID{0, 1}, nil).session
	f.Add(session.nonce[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		nonce, err := ParseAggregateNonce(b)
		if err != nil {
			return
		}
		session, err := NewSession(group, SessionParams{Signers: []ID{0, 1}, AggregateNonce: nonce})
		if err != nil {
			t.Fatal(err)
		}
		if curve.IsInfinity(&session.r) {
			t.Fatal("the final nonce is infinity")
		}
		requireText(t, nonce, new(AggregateNonce))
	})
}

func FuzzParsePartialSignature(f *testing.F) {
	group, shares := deal(f, 2, 3, 3)
	r := signAll(f, group, shares, []ID{0, 1}, nil)
	good := r.parts[0]
	f.Add(good[:])
	f.Add(make([]byte, PartialSignatureSize))
	f.Add(fill(0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		part, err := ParsePartialSignature(b)
		if err != nil {
			return
		}
		if err := r.session.PartialSigVerify(0, r.nonces[0], part); (err == nil) != (part == good) {
			t.Fatalf("%v: %v", part, err)
		}
		requireText(t, part, new(PartialSignature))
	})
}

func FuzzParsePublicShare(f *testing.F) {
	_, shares := deal(f, 2, 3, 3)
	good := shares[0].Public()
	f.Add(good[:])
	f.Add(make([]byte, PublicKeySize))
	f.Add(append([]byte{4}, bytes.Repeat([]byte{1}, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		share, err := ParsePublicShare(b)
		if _, keyErr := ParsePublicKey(b); (keyErr == nil) != (err == nil) {
			t.Fatalf("share: %v, key: %v", err, keyErr)
		}
		if err != nil {
			return
		}
		p, ok := curve.ParsePoint(share[:])
		if !ok || curve.EncodePoint(&p) != share {
			t.Fatalf("%x has two encodings", b)
		}
		requireText(t, share, new(PublicShare))
	})
}

func FuzzVerifySignature(f *testing.F) {
	f.Add(make([]byte, 32), []byte("message"), make([]byte, 64))
	f.Fuzz(func(t *testing.T, key, message, signature []byte) {
		if len(key) != 32 || len(signature) != SignatureSize {
			return
		}
		if VerifySignature([32]byte(key), message, Signature(signature)) == nil {
			t.Fatalf("forged %x of %x under %x", signature, message, key)
		}
	})
}

// requireText checks that the text form leads back to the same value.
func requireText[T interface {
	comparable
	MarshalText() ([]byte, error)
}, P interface {
	*T
	UnmarshalText([]byte) error
}](t *testing.T, v T, into P) {
	t.Helper()
	text, err := v.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := into.UnmarshalText(text); err != nil || *into != v {
		t.Fatalf("%s reads back as %v: %v", text, *into, err)
	}
	if _, err := hex.DecodeString(string(text)); err != nil {
		t.Fatal(err)
	}
}
