package netting_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/txsort"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Standard payout scripts of every kind; i makes each another destination.
func payoutScripts(i uint32) [][]byte {
	n := binary.BigEndian.AppendUint32(make([]byte, 16), i)
	long := append(n, make([]byte, 12)...)
	return [][]byte{
		slices.Concat([]byte{0x76, 0xa9, 20}, n, []byte{0x88, 0xac}), // P2PKH
		slices.Concat([]byte{0xa9, 20}, n, []byte{0x87}),             // P2SH
		slices.Concat([]byte{0x00, 20}, n),                           // P2WPKH
		slices.Concat([]byte{0x00, 32}, long),                        // P2WSH
		audittest.Script(fmt.Sprint(i)),                              // P2TR
	}
}

// The transaction depends on what the cut says, not on the order in which a
// checker's memory holds it.
func TestBuildIsDeterministic(t *testing.T) {
	b, ann, _ := newBank(t, 100_000, 400_000, 300_000, 200_000, 200_000)
	for i := range uint32(2) {
		for _, script := range payoutScripts(i) {
			b.Withdraw(ann, 20_000, 1_000, script)
			b.Withdraw(ann, 20_000+ledger.Amount(i), 1_000, script)
		}
	}
	built := b.Cut(3_000)
	open := *b.Books.Open()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		open.Inputs, open.Payouts = slices.Clone(open.Inputs), slices.Clone(open.Payouts)
		random.Shuffle(len(open.Inputs), func(i, j int) { open.Inputs[i], open.Inputs[j] = open.Inputs[j], open.Inputs[i] })
		random.Shuffle(len(open.Payouts), func(i, j int) { open.Payouts[i], open.Payouts[j] = open.Payouts[j], open.Payouts[i] })
		again, err := netting.Build(&open, b.Vaults)
		if err != nil || again.TxID != built.TxID || again.ChangeVout != built.ChangeVout {
			t.Fatalf("got %s, want %s (%v)", again.TxID, built.TxID, err)
		}
	}
	if !txsort.IsSorted(built.Tx) {
		t.Error("not in the order of BIP-69")
	}
	if built.Destinations != 10 || len(built.Tx.TxOut) != 12 {
		t.Errorf("%d destinations and %d outputs, want 10 and 12", built.Destinations, len(built.Tx.TxOut))
	}
	if built.Tx.Version != 2 || built.Tx.LockTime != 0 || built.Tx.TxIn[0].Sequence != 0xfffffffd {
		t.Errorf("version %d, lock time %d, sequence %x", built.Tx.Version, built.Tx.LockTime, built.Tx.TxIn[0].Sequence)
	}
}

func TestBuildNetsDestinations(t *testing.T) {
	b, ann, bob := newBank(t, 100_000, 900_000)
	b.Pay(ann, bob, 100_000)
	home := audittest.Script("home")
	b.Withdraw(ann, 20_000, 1_000, home)
	b.Withdraw(bob, 30_000, 1_000, home)
	built := b.Cut(relayRate)
	i := slices.IndexFunc(built.Tx.TxOut, func(o *wire.TxOut) bool { return bytes.Equal(o.PkScript, home) })
	if i < 0 || built.Tx.TxOut[i].Value != 50_000 || built.Destinations != 1 {
		t.Errorf("two withdrawals to one script: %d destinations, output %d of %+v", built.Destinations, i, built.Tx.TxOut)
	}
}

func TestAnchor(t *testing.T) {
	b, _, _ := newBank(t, 100_000, 900_000)
	built := b.Cut(relayRate)
	number, books, ok := netting.ReadAnchor(built.Tx)
	open := b.Books.Open()
	if !ok || number != 1 || books != open.Books.Hash() {
		t.Errorf("the anchor says settlement %d, books %s (%v)", number, books, ok)
	}
	i := slices.IndexFunc(built.Tx.TxOut, func(o *wire.TxOut) bool { return o.PkScript[0] == txscript.OP_RETURN })
	script := built.Tx.TxOut[i].PkScript
	if len(script) != 42 || built.Tx.TxOut[i].Value != 0 || string(script[2:6]) != netting.AnchorTag {
		t.Errorf("the anchor is %x", script)
	}
	if class := txscript.GetScriptClass(script); class != txscript.NullDataTy {
		t.Errorf("the anchor is %v, not standard", class)
	}
	for name, bad := range map[string][]byte{
		"none": {txscript.OP_TRUE}, "another tag": append(slices.Clone(script[:2]), append([]byte("XXXX"), script[6:]...)...),
		"cut short": script[:41], "another opcode": append([]byte{txscript.OP_TRUE}, script[1:]...),
	} {
		tx := wire.NewMsgTx(2)
		tx.AddTxOut(wire.NewTxOut(0, bad))
		if _, _, ok := netting.ReadAnchor(tx); ok {
			t.Errorf("%s: an anchor was read", name)
		}
	}
}

// The fee is the rate times the size of the transaction as it is signed and
// serialised, to the satoshi.
func TestFeeIsThatOfTheSignedTransaction(t *testing.T) {
	for _, tt := range []struct {
		name            string
		inputs, payouts int
		rate            int64
	}{
		{"one input, no payout", 1, 0, 1_000},
		{"three inputs, one payout", 3, 1, 1_337},
		{"every kind of script", 4, 5, 12_345},
		{"counts of three bytes", 2, 260, 2_001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := audittest.New(t)
			ann := b.Open("ann")
			for range tt.inputs - 1 {
				b.Deposit(ann.ID, 3_000_000)
			}
			b.Deposit(ledger.Treasury, 10_000_000)
			for i := range tt.payouts {
				b.Order(ann, &ledger.Withdraw{Amount: 5_000, FeeMax: 1_000, Script: payoutScripts(uint32(i))[i%5]})
			}
			b.Seal()
			built := b.Cut(tt.rate)
			signed := b.Sign(built)
			if err := taproot.VerifySpend(signed, built.Spent); err != nil {
				t.Fatal(err)
			}
			weight := blockchain.GetTransactionWeight(btcutil.NewTx(signed))
			if want := taproot.FeeForWeight(weight, tt.rate); built.FeeSat != want {
				t.Errorf("the fee is %d sat, %d weight units cost %d sat", built.FeeSat, weight, want)
			}
			if signed.TxHash() != built.TxID {
				t.Error("signatures change the txid")
			}
			var in, out int64
			for _, o := range built.Spent {
				in += o.Value
			}
			for _, o := range signed.TxOut {
				out += o.Value
			}
			if in-out != built.FeeSat || len(built.Tx.TxOut) != tt.payouts+2 {
				t.Errorf("%d sat come in, %d go out to %d outputs, the fee is %d", in, out, len(built.Tx.TxOut), built.FeeSat)
			}
		})
	}
}

// Members may withdraw to the vault itself: the coin comes back as a deposit,
// to the address's owner or to suspense, and the sums stay equal.
func TestPayoutsToTheVault(t *testing.T) {
	const amount = 100_000
	for _, tt := range []struct {
		name   string
		branch taproot.Branch
		index  uint32 // 0: ann's account
		ann    ledger.Amount
		credit ledger.AccountID // 0: ann's account
	}{
		{"to her own deposit address", taproot.Deposit, 0, 500_000, 0},
		{"to this settlement's change address", taproot.Change, 1, 500_000, ledger.Suspense},
		// in = 2·amount + fee: payout and change are the same output twice.
		{"to it, as much as the change", taproot.Change, 1, 2*amount + twoInputs - 10_000, ledger.Suspense},
		{"to a change address to come", taproot.Change, 50, 500_000, ledger.Suspense},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ann, _ := newBank(t, 10_000, tt.ann)
			if tt.branch == taproot.Deposit {
				tt.index, tt.credit = ann.ID.Index(), ann.ID
			}
			script := b.To(tt.branch, tt.index, 0).PkScript
			b.Withdraw(ann, amount, p2trOutput, script)
			before := b.Books.Balance(tt.credit)
			total := b.Books.Liabilities()
			built := b.Settle(relayRate)
			want := before + amount
			if tt.credit == ann.ID {
				want = before - p2trOutput
			}
			if got := b.Books.Balance(tt.credit); got != want {
				t.Errorf("%s has %d sat, want %d", tt.credit, got, want)
			}
			if err := b.Books.CheckInvariants(); err != nil || b.Books.Liabilities() != total-ledger.Amount(built.FeeSat) || len(b.Books.Coins()) != 2 {
				t.Errorf("%v; %d sat in %d coins", err, b.Books.Liabilities(), len(b.Books.Coins()))
			}
			b.Withdraw(ann, 2_000, p2trOutput, audittest.Script("ann outside"))
			if next := b.Settle(relayRate); len(next.Tx.TxIn) != 2 { // both coins can be spent
				t.Errorf("the next settlement spends %d coins", len(next.Tx.TxIn))
			}
		})
	}
}
