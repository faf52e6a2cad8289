package bip340_test

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/bip340"
)

// oracle checks a signature with btcec, and that s is below the order itself:
// btcec reduces it. It knows only messages of 32 bytes.
func oracle(item bip340.Item) bool {
	var s btcec.ModNScalar
	if s.SetByteSlice(item.Signature[32:]) {
		return false
	}
	pub, err := schnorr.ParsePubKey(item.Key[:])
	if err != nil {
		return false
	}
	sig, err := schnorr.ParseSignature(item.Signature[:])
	if err != nil {
		return false
	}
	return sig.Verify(item.Message, pub)
}

// source is a random source whose seed a failing test prints.
func source(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func private(r *rand.Rand) *btcec.PrivateKey {
	var k [32]byte
	for i := range k {
		k[i] = byte(r.Uint32())
	}
	priv, _ := btcec.PrivKeyFromBytes(k[:])
	return priv
}

func signed(priv *btcec.PrivateKey, message []byte) bip340.Item {
	sig, err := schnorr.Sign(priv, message, schnorr.FastSign())
	if err != nil {
		panic(err)
	}
	return bip340.Item{
		Key:       [32]byte(schnorr.SerializePubKey(priv.PubKey())),
		Message:   message,
		Signature: [64]byte(sig.Serialize()),
	}
}

// genuine returns n good signatures by as many signers.
func genuine(r *rand.Rand, n, signers int) []bip340.Item {
	keys := make([]*btcec.PrivateKey, signers)
	for i := range keys {
		keys[i] = private(r)
	}
	items := make([]bip340.Item, n)
	for i := range items {
		message := make([]byte, 32)
		for j := range message {
			message[j] = byte(r.Uint32())
		}
		items[i] = signed(keys[i%signers], message)
	}
	return items
}

// check compares a verifier's answer, the single answers and the expected ones.
func check(t *testing.T, v *bip340.Verifier, items []bip340.Item, bad []int) {
	t.Helper()
	if got := v.Verify(items); !slices.Equal(got, bad) {
		t.Fatalf("of %d signatures %v are bad, want %v", len(items), got, bad)
	}
	if got := v.AllGood(items); got != (len(bad) == 0) {
		t.Fatalf("all of %d signatures are good: %v, but %v are bad", len(items), got, bad)
	}
	for i, item := range items {
		want := !slices.Contains(bad, i)
		if got := bip340.Verify(item.Key, item.Message, item.Signature); got != want {
			t.Fatalf("signature %d is good: %v, want %v", i, got, want)
		}
	}
}

type vector struct {
	item    bip340.Item
	good    bool
	comment string
}

func vectors(t testing.TB) (list []vector) {
	f, err := os.Open("testdata/bip340/test-vectors.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	field := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, row := range rows[1:] {
		list = append(list, vector{
			item:    bip340.Item{Key: [32]byte(field(row[2])), Message: field(row[4]), Signature: [64]byte(field(row[5]))},
			good:    row[6] == "TRUE",
			comment: row[7],
		})
	}
	return list
}

func TestVectors(t *testing.T) {
	for i, c := range vectors(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if got := bip340.Verify(c.item.Key, c.item.Message, c.item.Signature); got != c.good {
				t.Fatalf("good: %v, want %v (%s)", got, c.good, c.comment)
			}
		})
	}
}

// TestVectorsTogether puts all the vectors into batches with good signatures.
func TestVectorsTogether(t *testing.T) {
	r := source(t)
	for _, n := range []int{0, 1, 10, 200} {
		items := genuine(r, n, max(1, n/2))
		for _, c := range vectors(t) {
			items = append(items, c.item)
		}
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		var bad []int
		for i, item := range items {
			if slices.ContainsFunc(vectors(t), func(c vector) bool { return !c.good && reflect.DeepEqual(c.item, item) }) {
				bad = append(bad, i)
			}
		}
		check(t, bip340.NewVerifier(100), items, bad)
	}
}

func TestEverySize(t *testing.T) {
	r := source(t)
	v := bip340.NewVerifier(50)
	pool := genuine(r, 300, 100)
	for n := range len(pool) {
		items := slices.Clone(pool[:n])
		check := func(bad []int) {
			if got := v.Verify(items); !slices.Equal(got, bad) {
				t.Fatalf("of %d signatures %v are bad, want %v", n, got, bad)
			}
		}
		check(nil)
		if n == 0 {
			continue
		}
		var bad []int
		for range 1 + r.IntN(3) {
			i := r.IntN(n)
			items[i].Signature[32+r.IntN(32)] ^= 1 << r.IntN(8)
			if !oracle(items[i]) && !slices.Contains(bad, i) {
				bad = append(bad, i)
			}
		}
		slices.Sort(bad)
		check(bad)
	}
}

// TestMoreThanOneEquation has bad ones at the ends of what is put together.
func TestMoreThanOneEquation(t *testing.T) {
	pool := genuine(source(t), 64, 16)
	var items []bip340.Item
	for len(items) < 2*4096+70 {
		items = append(items, pool...)
	}
	bad := []int{0, 4095, 4096, 8191, 8192, len(items) - 1}
	for _, i := range bad {
		items[i].Signature[33] ^= 4
	}
	var v bip340.Verifier
	if got := v.Verify(items); !slices.Equal(got, bad) {
		t.Fatalf("%v are bad, want %v", got, bad)
	}
}

func TestManyGoroutines(t *testing.T) {
	r := source(t)
	v := bip340.NewVerifier(20)
	items := genuine(r, 120, 40)
	items[17].Signature[40] ^= 1
	items[99].Message = []byte("another")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if got := v.Verify(items); !slices.Equal(got, []int{17, 99}) {
					t.Errorf("bad: %v", got)
				}
			}
		})
	}
	wg.Wait()
}
