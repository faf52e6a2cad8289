package curve

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

const (
	fieldSize  = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"
	groupOrder = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	generator  = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
)

func TestParsePoint(t *testing.T) {
	zeros := strings.Repeat("00", 32)
	tests := []struct {
		name, hex         string
		point, orInfinity bool
	}{
		{"even", "02" + generator, true, true},
		{"odd", "03" + generator, true, true},
		{"infinity", "00" + zeros, false, true},
		{"empty", "", false, false},
		{"short", "02" + generator[2:], false, false},
		{"long", "02" + generator + "00", false, false},
		{"infinity and a byte", "0000" + zeros, false, false},
		{"hybrid", "06" + generator, false, false},
		{"uncompressed tag", "04" + generator, false, false},
		{"zero tag", "00" + generator, false, false},
		{"x of the field size", "02" + fieldSize, false, false},
		{"x of no point", "02" + zeros[:62] + "05", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := unhex(t, test.hex)
			p, ok := ParsePoint(b)
			if ok != test.point || ok && !bytes.Equal(encode(&p), b) || !ok && !IsInfinity(&p) {
				t.Errorf("ParsePoint: %v, %x", ok, encode(&p))
			}
			p, ok = ParsePointOrInfinity(b)
			if ok != test.orInfinity || ok && !bytes.Equal(encode(&p), b) {
				t.Errorf("ParsePointOrInfinity: %v, %x", ok, encode(&p))
			}
		})
	}
}

func TestParseScalarAndSecret(t *testing.T) {
	tests := []struct {
		name, hex      string
		scalar, secret bool
	}{
		{"zero", strings.Repeat("00", 32), true, false},
		{"one", strings.Repeat("00", 31) + "01", true, true},
		{"order-1", groupOrder[:62] + "40", true, true},
		{"order", groupOrder, false, false},
		{"ones", strings.Repeat("ff", 32), false, false},
		{"short", strings.Repeat("01", 31), false, false},
		{"long", strings.Repeat("01", 33), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := unhex(t, test.hex)
			v, ok := ParseScalar(b)
			if encoded := v.Bytes(); ok != test.scalar || ok && !bytes.Equal(encoded[:], b) {
				t.Errorf("ParseScalar: %v, %x", ok, encoded)
			}
			secret, public, ok := NewSecret(b)
			if ok != test.secret || (secret != nil) != ok {
				t.Fatalf("NewSecret: %v, %v", secret != nil, ok)
			}
			if want := MulBase(&v); ok && !Equal(&public, &want) {
				t.Errorf("public half %x", encode(&public))
			}
		})
	}
}

func TestWipedSecretIsGone(t *testing.T) {
	secret, _, _ := NewSecret(unhex(t, generator))
	before, ok := secret.Read()
	if encoded := before.Bytes(); !ok || hex.EncodeToString(encoded[:]) != generator {
		t.Fatalf("read %x, %v", encoded, ok)
	}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if v, ok := secret.Read(); ok && !v.Equals(&before) {
				t.Error("a read during Wipe gave part of the secret")
			}
		})
	}
	secret.Wipe()
	readers.Wait()
	if v, ok := secret.Read(); ok || !v.IsZero() || !secret.value.IsZero() {
		t.Errorf("after Wipe: %v, %v", v, ok)
	}
	var none *Secret
	none.Wipe()
	if _, ok := none.Read(); ok {
		t.Error("a nil secret was read")
	}
	shared := MulBase(&before)
	if Wipe(&shared); shared != (Point{}) {
		t.Error("a point outlives Wipe")
	}
}

// Every way to compute one sum gives the same affine point, infinity and points
// that cancel included.
func TestArithmeticAgrees(t *testing.T) {
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	t.Logf("seed %v", seed)
	random := rand.New(rand.NewPCG(seed[0], seed[1]))
	for range 50 {
		k := random.Uint32N(300)
		points := make([]Point, random.IntN(6))
		var total Point
		for i := range points {
			if s := new(Scalar).SetInt(random.Uint32N(4)); random.IntN(2) == 0 {
				points[i] = MulBase(s)
			} else {
				points[i] = Negate(MulBase(s))
			}
			points[i] = MulSmall(k, &points[i])
			Accumulate(&total, &points[i])
		}
		lone := make([]Point, len(points))
		for i := range points {
			lone[i] = Affine(points[i])
		}
		NormalizeAll(points)
		for i := range points {
			if points[i] != lone[i] {
				t.Fatalf("point %d of %d is %v among others, %v alone", i, len(points), points[i], lone[i])
			}
		}
		got, want := Sum(points...), Affine(total)
		if !Equal(&got, &want) || got != want {
			t.Fatalf("sum of %d is %x and %x", len(points), encode(&got), encode(&want))
		}
		small, large := Affine(MulSmall(k, &want)), Affine(Mul(new(Scalar).SetInt(k), &want))
		if !Equal(&small, &large) {
			t.Fatalf("%d times %x is %x and %x", k, encode(&want), encode(&small), encode(&large))
		}
	}
}

func TestEqualTellsInfinityApart(t *testing.T) {
	var infinity Point
	one := MulBase(new(Scalar).SetInt(1))
	minus := Negate(one)
	if Equal(&one, &infinity) || Equal(&infinity, &one) || Equal(&one, &minus) || !Equal(&infinity, &Point{}) || !Equal(&one, &one) {
		t.Error("points are confused")
	}
	if x := XBytes(&one); hex.EncodeToString(x[:]) != generator || IsOdd(&one) || !IsOdd(&minus) {
		t.Errorf("the generator is %x, odd %v", x, IsOdd(&one))
	}
}

func TestTaggedHashIsThatOfBTCD(t *testing.T) {
	want := chainhash.TaggedHash(chainhash.TagTapTweak, []byte("a"), nil, []byte("bc"))
	if got := TaggedHash("TapTweak", []byte("ab"), []byte("c")); got != *want {
		t.Errorf("hash %x, want %x", got, *want)
	}
	var reduced Scalar
	reduced.SetByteSlice(want[:])
	if got, ok := HashScalarChecked("TapTweak", []byte("abc")); !ok || !got.Equals(&reduced) {
		t.Errorf("scalar %v, %v", got, ok)
	}
	if !bytes.Equal(Uint32Bytes(0x01020304), []byte{1, 2, 3, 4}) {
		t.Error("four bytes are not big endian")
	}
}

// What a decoder takes it gives back, and what it takes is on the curve.
func FuzzParsePoint(f *testing.F) {
	for _, seed := range []string{"02" + generator, "03" + generator, "02" + fieldSize, strings.Repeat("00", 33)} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := ParsePointOrInfinity(b)
		if ok && !bytes.Equal(encode(&p), b) {
			t.Errorf("%x is read as %x", b, encode(&p))
		}
		_, err := btcec.ParsePubKey(b)
		if strict, ok := ParsePoint(b); ok != (err == nil && len(b) == PointSize) {
			t.Errorf("%x: %v, btcec says %v", encode(&strict), ok, err)
		}
	})
}

func encode(p *Point) []byte {
	b := EncodePoint(p)
	return b[:]
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
