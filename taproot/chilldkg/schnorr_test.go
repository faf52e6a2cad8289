package chilldkg

import (
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

func TestSignaturesAreBIP340(t *testing.T) {
	random := seeded(61)
	for size := range 40 {
		host, err := GenerateHostKey(random)
		if err != nil {
			t.Fatal(err)
		}
		var aux [32]byte
		if err := draw(random, &aux); err != nil {
			t.Fatal(err)
		}
		message := make([]byte, size)
		secret, err := host.read()
		if err != nil {
			t.Fatal(err)
		}
		sig, err := bip340.sign(&secret, aux, message[:size/2], message[size/2:])
		if err != nil {
			t.Fatal(err)
		}
		public := host.Public()
		if err := frost.VerifySignature([32]byte(public[1:]), message, sig); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		key, _ := curve.ParsePoint(public[:])
		if possession.verify(&key, sig, message) {
			t.Errorf("%d bytes: a host key's signature is a proof of possession", size)
		}
	}
}

func TestWrongSignaturesAreRefused(t *testing.T) {
	var secret curve.Scalar
	secret.SetInt(3)
	key := curve.MulBase(&secret)
	message := []byte("message")
	sig, err := bip340.sign(&secret, [32]byte{}, message)
	if err != nil {
		t.Fatal(err)
	}
	if !bip340.verify(&key, sig, message) {
		t.Fatal("refused what is right")
	}

	// With −R in place of R the x coordinate is the same: s' = 2ed − s.
	d := secret
	if key.Y.IsOdd() {
		d.Negate()
	}
	response, _ := curve.ParseScalar(sig[32:])
	odd := curve.HashScalar(bip340.challenge, sig[:32], key.X.Bytes()[:], message)
	odd.Mul(&d).Add(&odd).Add(response.Negate())
	negated := sig
	odd.PutBytesUnchecked(negated[32:])

	// With no key R = s·G verifies for any s.
	forged := signature{}
	one := curve.MulBase(new(curve.Scalar).SetInt(1))
	one.X.PutBytesUnchecked(forged[:32])
	forged[63] = 1

	overflow := sig
	copy(overflow[32:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	for name, c := range map[string]struct {
		key     curve.Point
		sig     signature
		message string
	}{
		"another message": {key, sig, "massage"},
		"another key":     {one, sig, "message"},
		"odd nonce":       {key, negated, "message"},
		"no key":          {curve.Point{}, forged, "message"},
		"s out of range":  {key, overflow, "message"},
		"R of infinity":   {key, signature{}, "message"},
	} {
		if bip340.verify(&c.key, c.sig, []byte(c.message)) {
			t.Errorf("%s: accepted", name)
		}
	}
}
