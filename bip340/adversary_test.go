package bip340_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/bip340"
)

func unhex(s string) (b [32]byte) {
	if n, err := hex.Decode(b[:], []byte(s)); err != nil || n != len(b) {
		panic("32 bytes in hex are needed")
	}
	return b
}

func setR(item *bip340.Item, r [32]byte) { copy(item.Signature[:32], r[:]) }
func setS(item *bip340.Item, s [32]byte) { copy(item.Signature[32:], s[:]) }

func scalarS(item *bip340.Item) (s btcec.ModNScalar) {
	s.SetByteSlice(item.Signature[32:])
	return s
}

// shift adds d to the s of a signature.
func shift(item *bip340.Item, d *btcec.ModNScalar) {
	s := scalarS(item)
	setS(item, s.Add(d).Bytes())
}

// made is a signature by a nonce k that is not what BIP-340 makes of it: R is
// what is put there, and s = k + e·d.
func made(priv *btcec.PrivateKey, k btcec.ModNScalar, r [32]byte, message []byte) (item bip340.Item) {
	item.Key = [32]byte(schnorr.SerializePubKey(priv.PubKey()))
	item.Message = message
	d := priv.Key
	if priv.PubKey().SerializeCompressed()[0] == 3 {
		d.Negate()
	}
	var e btcec.ModNScalar
	e.SetByteSlice(chainhash.TaggedHash(chainhash.TagBIP0340Challenge, r[:], item.Key[:], message)[:])
	setR(&item, r)
	setS(&item, e.Mul(&d).Add(&k).Bytes())
	return item
}

// noncePoint returns a nonce whose point has an even y, if it shall, and the
// point's x.
func noncePoint(r *rand.Rand, even bool) (k btcec.ModNScalar, x [32]byte) {
	priv := private(r)
	k = priv.Key
	if (priv.PubKey().SerializeCompressed()[0] == 2) != even {
		k.Negate()
	}
	return k, [32]byte(schnorr.SerializePubKey(priv.PubKey()))
}

// adversaries change some of the good signatures they get, all by other signers,
// but 2 and 3, which are by one. They return which are bad then.
var adversaries = []struct {
	name string
	do   func(r *rand.Rand, items []bip340.Item) []int
}{
	{"nothing", func(*rand.Rand, []bip340.Item) []int { return nil }},
	{"a pair whose errors cancel", func(r *rand.Rand, items []bip340.Item) []int {
		d := private(r).Key
		shift(&items[0], &d)
		shift(&items[1], d.Negate())
		return []int{0, 1}
	}},
	{"a pair of one signer whose errors cancel", func(r *rand.Rand, items []bip340.Item) []int {
		d := private(r).Key
		shift(&items[2], &d)
		shift(&items[3], d.Negate())
		return []int{2, 3}
	}},
	{"three whose errors cancel", func(r *rand.Rand, items []bip340.Item) []int {
		d := private(r).Key
		shift(&items[0], &d)
		shift(&items[1], &d)
		shift(&items[4], d.Add(&d).Negate())
		return []int{0, 1, 4}
	}},
	{"s of a pair swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		a, b := scalarS(&items[0]), scalarS(&items[1])
		setS(&items[0], b.Bytes())
		setS(&items[1], a.Bytes())
		return []int{0, 1}
	}},
	{"R of a pair swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		a, b := [32]byte(items[2].Signature[:32]), [32]byte(items[3].Signature[:32])
		setR(&items[2], b)
		setR(&items[3], a)
		return []int{2, 3}
	}},
	{"halves of a signature swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		r, s := [32]byte(items[0].Signature[:32]), scalarS(&items[0])
		setR(&items[0], s.Bytes())
		setS(&items[0], r)
		return []int{0}
	}},
	{"signatures of a pair swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		items[2].Signature, items[3].Signature = items[3].Signature, items[2].Signature
		return []int{2, 3}
	}},
	{"keys of a pair swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		items[0].Key, items[1].Key = items[1].Key, items[0].Key
		return []int{0, 1}
	}},
	{"messages of a pair swapped", func(_ *rand.Rand, items []bip340.Item) []int {
		items[2].Message, items[3].Message = items[3].Message, items[2].Message
		return []int{2, 3}
	}},
	{"s negated", func(_ *rand.Rand, items []bip340.Item) []int {
		s := scalarS(&items[5])
		setS(&items[5], s.Negate().Bytes())
		return []int{5}
	}},
	{"R off the curve", func(_ *rand.Rand, items []bip340.Item) []int {
		setR(&items[3], [32]byte{31: 5}) // 5³ + 7 is not a square
		return []int{3}
	}},
	{"R zero, s·G = e·P", func(r *rand.Rand, items []bip340.Item) []int {
		items[4] = made(private(r), btcec.ModNScalar{}, [32]byte{}, items[4].Message)
		return []int{4}
	}},
	{"R at the field's prime", func(_ *rand.Rand, items []bip340.Item) []int {
		setR(&items[1], unhex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"))
		return []int{1}
	}},
	{"R by a nonce with an even y", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, true)
		items[1] = made(private(r), k, x, items[1].Message)
		return nil
	}},
	{"R by a nonce with an odd y", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, false)
		items[1] = made(private(r), k, x, items[1].Message)
		return []int{1}
	}},
	{"two nonces with odd y, opposite", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, false)
		items[0] = made(private(r), k, x, items[0].Message)
		items[1] = made(private(r), *k.Negate(), x, items[1].Message)
		return []int{0}
	}},
	{"s at the order", func(_ *rand.Rand, items []bip340.Item) []int {
		setS(&items[2], unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"))
		return []int{2}
	}},
	{"s above the order", func(_ *rand.Rand, items []bip340.Item) []int {
		setS(&items[2], unhex("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"))
		return []int{2}
	}},
	{"a key off the curve", func(_ *rand.Rand, items []bip340.Item) []int {
		items[2].Key = [32]byte{31: 5}
		return []int{2}
	}},
	{"a key off the curve, s·G = R", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, true)
		items[2].Key = [32]byte{31: 5}
		setR(&items[2], x)
		setS(&items[2], k.Bytes())
		return []int{2}
	}},
	{"a key above the field's prime", func(_ *rand.Rand, items []bip340.Item) []int {
		items[2].Key = unhex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30")
		return []int{2}
	}},
	{"zeros", func(_ *rand.Rand, items []bip340.Item) []int {
		items[0] = bip340.Item{}
		return []int{0}
	}},
	{"a good one repeated", func(_ *rand.Rand, items []bip340.Item) []int {
		items[1], items[2], items[4] = items[0], items[0], items[0]
		return nil
	}},
	{"a bad one repeated", func(r *rand.Rand, items []bip340.Item) []int {
		shift(&items[0], &private(r).Key)
		items[1], items[3] = items[0], items[0]
		return []int{0, 1, 3}
	}},
	{"a nonce used twice", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, true)
		priv := private(r)
		items[0] = made(priv, k, x, items[0].Message)
		items[1] = made(priv, k, x, items[1].Message)
		return nil
	}},
	{"a nonce that is the key", func(r *rand.Rand, items []bip340.Item) []int {
		k, x := noncePoint(r, true)
		priv := btcec.PrivKeyFromScalar(&k)
		items[0] = made(priv, k, x, items[0].Message)
		return nil
	}},
	{"a key and a nonce that are the base point", func(_ *rand.Rand, items []bip340.Item) []int {
		priv := btcec.PrivKeyFromScalar(new(btcec.ModNScalar).SetInt(1))
		items[0] = made(priv, priv.Key, [32]byte(schnorr.SerializePubKey(priv.PubKey())), items[0].Message)
		return nil
	}},
	{"all of one signer's", func(r *rand.Rand, items []bip340.Item) []int {
		priv := private(r)
		for i := range items {
			items[i] = signed(priv, items[i].Message)
		}
		return nil
	}},
	{"every one", func(r *rand.Rand, items []bip340.Item) (bad []int) {
		for i := range items {
			shift(&items[i], &private(r).Key)
			bad = append(bad, i)
		}
		return bad
	}},
	{"all but one", func(r *rand.Rand, items []bip340.Item) (bad []int) {
		for i := range items {
			if i != 3 {
				shift(&items[i], &private(r).Key)
				bad = append(bad, i)
			}
		}
		return bad
	}},
}

// TestAdversaries has each of them in few and in many signatures, with keys
// known and not, and expects what btcec says.
func TestAdversaries(t *testing.T) {
	r := source(t)
	for _, n := range []int{6, 40, 150} {
		pool := genuine(r, n, n)
		for i := range pool[2:4] {
			pool[2+i] = signed(private(rand.New(rand.NewPCG(uint64(n), 0))), pool[2+i].Message)
		}
		v := bip340.NewVerifier(n)
		for _, c := range adversaries {
			t.Run(c.name, func(t *testing.T) {
				items := slices.Clone(pool)
				bad := c.do(r, items)
				for i, item := range items {
					if good := oracle(item); good == slices.Contains(bad, i) {
						t.Fatalf("btcec says that %d is good: %v", i, good)
					}
				}
				check(t, v, items, bad)
			})
		}
	}
}

// TestPartsInRange says what is refused before any equation: no signature can be
// made for which the equation would not refuse it too.
func TestPartsInRange(t *testing.T) {
	good := signed(private(source(t)), make([]byte, 32))
	const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	for _, c := range []struct {
		name   string
		change func(*bip340.Item)
		parses bool
	}{
		{"as made", func(*bip340.Item) {}, true},
		{"s zero", func(i *bip340.Item) { setS(i, [32]byte{}) }, true},
		{"s below the order", func(i *bip340.Item) { setS(i, unhex(order[:63]+"0")) }, true},
		{"s at the order", func(i *bip340.Item) { setS(i, unhex(order)) }, false},
		{"s above the order", func(i *bip340.Item) { setS(i, unhex(order[:63]+"2")) }, false},
		{"R one", func(i *bip340.Item) { setR(i, [32]byte{31: 1}) }, true},
		{"R at the prime plus one", func(i *bip340.Item) {
			setR(i, unhex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30"))
		}, false},
		{"R off the curve", func(i *bip340.Item) { setR(i, [32]byte{31: 5}) }, false},
	} {
		item := good
		if c.change(&item); bip340.Parses(item) != c.parses {
			t.Errorf("%s: parses: %v, want %v", c.name, !c.parses, c.parses)
		}
	}
}

// FuzzVerify compares a batch with btcec. The script changes good signatures:
// five bytes for each step say what to do to which, where and how.
func FuzzVerify(f *testing.F) {
	var pool []bip340.Item
	for i := range 24 {
		message := sha256.Sum256([]byte{byte(i)})
		key := sha256.Sum256([]byte{byte(i / 2)})
		priv, _ := btcec.PrivKeyFromBytes(key[:])
		pool = append(pool, signed(priv, message[:]))
	}
	v := bip340.NewVerifier(8)
	f.Add(uint8(24), []byte{})
	f.Add(uint8(3), []byte{0, 1, 2, 40, 1})
	f.Add(uint8(24), []byte{1, 0, 1, 0, 0, 2, 3, 4, 0, 0, 3, 5, 6, 0, 0, 4, 7, 8, 1, 0, 5, 9, 10, 0, 0})
	f.Fuzz(func(t *testing.T, n uint8, script []byte) {
		items := slices.Clone(pool[:int(n)%(len(pool)+1)])
		for ; len(script) >= 5 && len(items) > 0; script = script[5:] {
			x, y := &items[int(script[1])%len(items)], &items[int(script[2])%len(items)]
			at, by := int(script[3])%64, script[4]
			switch script[0] % 6 {
			case 0:
				x.Signature[at] ^= by
			case 1:
				rx, ry := [32]byte(x.Signature[:32]), [32]byte(y.Signature[:32])
				setR(x, ry)
				setR(y, rx)
			case 2:
				x.Key, y.Key = y.Key, x.Key
			case 3:
				*x = *y
			case 4:
				d := new(btcec.ModNScalar).SetInt(uint32(by))
				shift(x, d)
				shift(y, d.Negate())
			case 5:
				x.Key[at%32] ^= by
			}
		}
		var bad []int
		for i, item := range items {
			if !oracle(item) {
				bad = append(bad, i)
			}
		}
		check(t, v, items, bad)
	})
}

// FuzzSingle compares one signature of any bytes with btcec.
func FuzzSingle(f *testing.F) {
	for _, c := range vectors(f) {
		f.Add(c.item.Key[:], c.item.Message, c.item.Signature[:])
	}
	f.Fuzz(func(t *testing.T, key, message, signature []byte) {
		item := bip340.Item{Message: message}
		copy(item.Key[:], key)
		copy(item.Signature[:], signature)
		got := bip340.Verify(item.Key, item.Message, item.Signature)
		if len(message) == 32 && got != oracle(item) {
			t.Fatalf("%+v is good: %v", item, got)
		}
	})
}
