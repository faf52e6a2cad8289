package integration

import (
	"encoding/binary"
	"math/big"
	"testing"
	"testing/synctest"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// TestRepeatedRandomness: guardians whose source of randomness repeats itself,
// as that of a machine may that was copied with its memory, are each asked to sign
// in another session. The share is solved for as whoever hears all answers can.
//
// The last row is what a scheme of two rounds cannot prevent: copies that agree in
// everything, the time to the nanosecond too, give the same nonces before they
// know what the other is asked. It also shows that the solver works.
func TestRepeatedRandomness(t *testing.T) {
	for _, tt := range []struct {
		name   string
		frozen bool // the clock stands still
		copies int  // how many processes there are; 1 is asked again and again
		other  bool // each is asked for another settlement
		repeat bool // the nonces, so that the share can be computed
	}{
		{"one process, other co-signers", true, 1, false, false},
		{"copies, other co-signers", false, 3, false, false},
		{"copies that agree in time, other settlements", true, 3, true, false},
		{"copies that agree in time, other co-signers", true, 3, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story := func(t *testing.T) {
				v := newVillage(t, tt.copies, tt.other)
				answers := []heard{v.ask(0, 1, 2), v.ask(1, 1, 3), v.ask(2, 2, 4)}
				repeat := answers[0].nonce == answers[1].nonce || answers[1].nonce == answers[2].nonce || answers[2].nonce == answers[0].nonce
				if repeat != tt.repeat {
					t.Errorf("a nonce was given out twice: %t, want %t", repeat, tt.repeat)
				}
				if found := v.isShare(solve(answers)); found != tt.repeat {
					t.Errorf("the share was computed: %t, want %t", found, tt.repeat)
				}
			}
			if tt.frozen {
				synctest.Test(t, story)
			} else {
				story(t)
			}
		})
	}
}

// A village is a bank with a settlement in flight, and guardian 0 in one or more
// processes, each in front of a history of its own.
type village struct {
	*audittest.Bank
	built     []*netting.Transaction
	guardians []*guardian.Guardian
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func newVillage(t *testing.T, copies int, other bool) *village {
	t.Helper()
	v := &village{Bank: audittest.New(t)}
	ann := v.Open("ann")
	v.Deposit(ledger.Treasury, 50_000)
	v.Deposit(ann.ID, 400_000)
	trunk := v.Journal.Clone()
	for i := range 3 {
		b := v.Bank
		if i > 0 {
			b = audittest.NewOnNode(t, v.Chain, audittest.BirthHeight)
			for _, batch := range *trunk {
				if err := b.Books.Append(batch, ledger.CheckAll); err != nil {
					t.Fatal(err)
				}
			}
			*b.Journal = *trunk.Clone()
		}
		rate := int64(2_000)
		if other {
			rate += int64(i) * 100
		}
		v.built = append(v.built, b.Cut(rate))
		if i >= copies {
			v.guardians = append(v.guardians, v.guardians[0])
			continue
		}
		g, err := guardian.New(guardian.Config{Keys: []guardian.Key{{Share: v.Shares[0], Group: v.Group}}, Vault: v.Vault, Charter: v.Charter,
			Journal: b.Journal, Chain: v.Chain, Limits: guardian.DefaultLimits(), Random: zeros{}})
		if err != nil {
			t.Fatal(err)
		}
		v.guardians = append(v.guardians, g)
	}
	return v
}

// heard is what a coordinator knows of one answer: s = ±(k1 + b·k2) + e·λ·d.
type heard struct {
	nonce frost.PublicNonce
	terms [3]*big.Int // the factors of k1, k2 and d
	s     *big.Int
}

// ask lets a guardian sign for the first input together with two others.
func (v *village) ask(i int, others ...frost.ID) heard {
	v.Helper()
	check := func(err error) {
		if err != nil {
			v.Helper()
			v.Fatal(err)
		}
	}
	built := v.built[i]
	messages, err := guardian.Messages(built, 0)
	check(err)
	id, err := roast.NewRequestID(v.Group, messages)
	check(err)
	own, err := v.guardians[i].Commit(v.Context(), guardian.Proposal{Settlement: 1, Batch: v.Books.Open().Batch, Tx: plainTx(v.TB, built)},
		roast.CommitRequest{Request: id, Messages: len(messages)})
	check(err)
	request := roast.SignRequest{Request: id, Session: 1, Commitment: roast.NewCommitmentID(own), Signers: append([]frost.ID{0}, others...)}
	for _, n := range own {
		nonces := map[frost.ID]frost.PublicNonce{0: n}
		for _, other := range others {
			_, nonces[other], err = frost.NonceGen(nil, frost.NonceParams{})
			check(err)
		}
		sum, err := frost.NonceAgg(nonces)
		check(err)
		request.Nonces = append(request.Nonces, sum)
	}
	a, err := v.guardians[i].Sign(v.Context(), request)
	check(err)
	key, err := frost.TweakedKey(v.Group.Key(), messages[0].Tweaks)
	check(err)
	return heard{nonce: own[0], s: new(big.Int).SetBytes(a.Signatures[0][:]),
		terms: termsOf(request.Signers, request.Nonces[0], key, messages[0].Digest)}
}

// order is that of the curve.
var order = btcec.S256().N

// termsOf are the factors of guardian 0's secrets in its partial signature
// (BIP-445, GetSessionValues and Sign). Its d has the sign of the tweaks in it.
func termsOf(signers []frost.ID, sum frost.AggregateNonce, key, message [32]byte) [3]*big.Int {
	ids := binary.BigEndian.AppendUint32(nil, uint32(len(signers)))
	for _, id := range signers {
		ids = binary.BigEndian.AppendUint32(ids, uint32(id))
	}
	b := number(chainhash.TaggedHash([]byte("BIP0445/noncecoef"), ids, sum[:], key[:], message[:])[:])
	r1, err1 := btcec.ParsePubKey(sum[:33])
	r2, err2 := btcec.ParsePubKey(sum[33:])
	if err1 != nil || err2 != nil {
		panic("a sum of nonces is no point")
	}
	curve := btcec.S256()
	x, y := curve.ScalarMult(r2.X(), r2.Y(), b.Bytes())
	x, y = curve.Add(r1.X(), r1.Y(), x, y)
	e := number(chainhash.TaggedHash([]byte("BIP0340/challenge"), x.FillBytes(make([]byte, 32)), key[:], message[:])[:])
	lambda := big.NewInt(1) // of participant 0, whose x-coordinate is 1
	for _, id := range signers[1:] {
		at := big.NewInt(int64(id) + 1)
		below := new(big.Int).ModInverse(new(big.Int).Sub(at, big.NewInt(1)), order)
		lambda.Mul(lambda, at).Mul(lambda, below).Mod(lambda, order)
	}
	one := big.NewInt(1)
	if y.Bit(0) == 1 {
		one.Sub(order, one)
		b.Sub(order, b)
	}
	return [3]*big.Int{one, b, e.Mul(e, lambda).Mod(e, order)}
}

func number(b []byte) *big.Int { n := new(big.Int).SetBytes(b); return n.Mod(n, order) }

// solve finds d from three answers, as if their nonces were the same ones: by
// Cramer's rule.
func solve(answers []heard) *big.Int {
	var m, with [3][3]*big.Int
	for i, a := range answers {
		m[i] = a.terms
		with[i] = [3]*big.Int{a.terms[0], a.terms[1], a.s}
	}
	below := new(big.Int).ModInverse(determinant(m), order)
	if below == nil {
		return new(big.Int)
	}
	d := determinant(with)
	return d.Mul(d, below).Mod(d, order)
}

func determinant(m [3][3]*big.Int) *big.Int {
	sum := new(big.Int)
	for i := range 3 {
		j, k := (i+1)%3, (i+2)%3
		minor := new(big.Int).Mul(m[1][j], m[2][k])
		minor.Sub(minor, new(big.Int).Mul(m[1][k], m[2][j]))
		sum.Add(sum, minor.Mul(minor, m[0][i]))
	}
	return sum.Mod(sum, order)
}

// isShare says whether a number is guardian 0's share, or its negative.
func (v *village) isShare(d *big.Int) bool {
	v.Helper()
	secret, err := v.Shares[0].Reveal()
	if err != nil {
		v.Fatal(err)
	}
	share := new(big.Int).SetBytes(secret)
	return d.Cmp(share) == 0 || new(big.Int).Sub(order, d).Cmp(share) == 0
}
