package quorum_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

func deal(t testing.TB, scheme taproot.Scheme, threshold, guardians int, noKeyPath bool) *quorum.Quorum {
	t.Helper()
	_, recovery := btcec.PrivKeyFromBytes([]byte{31: 9})
	q, err := quorum.Deal(taproot.Policy{
		Scheme: scheme, Threshold: threshold, Guardians: guardians, Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Delay: 144,
			Keys: []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(recovery))}},
	}, noKeyPath, rand.NewChaCha8([32]byte{byte(threshold), byte(guardians)}))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// Every scheme spends coins of both branches with the guardians it wants, with a
// weight known before, and with no others.
func TestSchemesSpend(t *testing.T) {
	const noKeyPath = true
	for _, c := range []struct {
		scheme    taproot.Scheme
		t, n      int
		noKeyPath bool
		signers   []int
		elements  int // of the witness
		spends    bool
	}{
		{taproot.FROST, 3, 5, false, []int{4, 0, 2}, 1, true},
		{taproot.FROST, 3, 5, false, []int{0, 1, 2, 3}, 1, true},
		{taproot.FROST, 3, 5, false, []int{0, 1}, 0, false},
		{taproot.MuSig2, 4, 4, false, []int{3, 1, 0, 2}, 1, true},
		{taproot.MuSig2, 4, 4, false, []int{0, 1, 2}, 0, false},
		{taproot.MuSig2Leaves, 3, 5, false, []int{4, 1, 2}, 3, true},
		{taproot.MuSig2Leaves, 3, 5, true, []int{0, 1, 2}, 3, true},
		{taproot.MuSig2Leaves, 2, 3, false, []int{0, 1, 2}, 1, true}, // all sign by key
		{taproot.MuSig2Leaves, 2, 3, noKeyPath, []int{0, 1, 2}, 0, false},
		{taproot.MuSig2Leaves, 3, 5, false, []int{0, 1, 2, 3}, 0, false},
		{taproot.MuSig2Leaves, 3, 5, false, []int{0, 1}, 0, false},
		{taproot.CheckSigAdd, 3, 5, false, []int{0, 4, 3}, 7, true},
		{taproot.CheckSigAdd, 3, 5, noKeyPath, []int{0, 1, 3}, 7, true},
		{taproot.CheckSigAdd, 3, 5, false, []int{0, 1, 2, 3, 4}, 1, true}, // all sign by key
		{taproot.CheckSigAdd, 3, 5, false, []int{0, 1, 2, 3}, 0, false},
		{taproot.CheckSigAdd, 3, 5, false, []int{1, 3}, 0, false},
		{taproot.CheckSigAdd, 3, 5, false, []int{1, 3, 3}, 0, false},
		{taproot.CheckSigAdd, 3, 5, false, []int{1, 3, 5}, 0, false},
	} {
		t.Run(fmt.Sprintf("%s %d of %d by %v unspendable %t", c.scheme, c.t, c.n, c.signers, c.noKeyPath), func(t *testing.T) {
			q := deal(t, c.scheme, c.t, c.n, c.noKeyPath)
			tx, outputs, values := spend(t, q.Vault())
			signed, err := q.Sign(tx, outputs, values, c.signers)
			if !c.spends {
				if !errors.Is(err, taproot.ErrSigners) {
					t.Errorf("error %v, want %v", err, taproot.ErrSigners)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := len(signed.TxIn[1].Witness); got != c.elements {
				t.Errorf("%d witness elements, want %d", got, c.elements)
			}
			path, err := q.Vault().Path(c.signers)
			if err != nil {
				t.Fatal(err)
			}
			want := blockchain.GetTransactionWeight(btcutil.NewTx(signed))
			if got := path.Weight(2, [][]byte{tx.TxOut[0].PkScript}); got != want {
				t.Errorf("weight %d before, %d signed", got, want)
			}
		})
	}
}

// spend pays two coins of the vault to a script.
func spend(t testing.TB, v *taproot.Vault) (tx *wire.MsgTx, outputs []taproot.Output, values []int64) {
	t.Helper()
	tx = wire.NewMsgTx(2)
	for i, branch := range []taproot.Branch{taproot.Deposit, taproot.Change} {
		out, err := v.Output(branch, 17)
		if err != nil {
			t.Fatal(err)
		}
		tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash{1}, Index: uint32(i)}, nil, nil))
		outputs, values = append(outputs, out), append(values, 50_000)
	}
	tx.AddTxOut(wire.NewTxOut(90_000, append([]byte{txscript.OP_0, 20}, make([]byte, 20)...)))
	return tx, outputs, values
}

// A signature of other guardians than the path's is none.
func TestWitnessRefuses(t *testing.T) {
	q := deal(t, taproot.CheckSigAdd, 2, 3, false)
	path, err := q.Vault().Path([]int{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	out, err := q.Vault().Output(taproot.Deposit, 0)
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	for name, signatures := range map[string]map[int][]byte{
		"none":             nil,
		"one":              {0: signature},
		"another signer":   {0: signature, 1: signature},
		"joint":            {taproot.Joint: signature},
		"a short one":      {0: signature, 2: signature[:63]},
		"one too many":     {0: signature, 1: signature, 2: signature},
		"sighash appended": {0: signature, 2: make([]byte, 65)},
	} {
		if _, err := path.Witness(out, signatures); !errors.Is(err, taproot.ErrSpendShape) {
			t.Errorf("%s: error %v, want %v", name, err, taproot.ErrSpendShape)
		}
	}
}
