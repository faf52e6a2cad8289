package integration

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// TestSettlement tells the settlement story on the local node.
func TestSettlement(t *testing.T) {
	settlementStory(t, bitcoind.Start(t))
}

// settlementStory: deposits arrive, members pay each other and withdraw, and
// one transaction for each cut settles it, signed by three of five.
func settlementStory(t *testing.T, node *bitcoind.Node) {
	b := newBank(t, node)
	alice, bob := b.newMember(), b.newMember()

	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 1_000_000, bob.id: 500_000, ledger.Treasury: 100_000})
	b.mine(depth)
	if got := b.balance(alice.id); got != 1_000_000 {
		t.Fatalf("alice has %d sat after her deposit reached the depth, want 1,000,000", got)
	}
	sweep := b.settled(1)
	if len(sweep.tx.TxIn) != 3 || sweep.Payouts != 0 {
		t.Fatalf("settlement 1 spends %d coins and pays %d, want 3 deposits swept", len(sweep.tx.TxIn), sweep.Payouts)
	}

	// Two withdrawals to one place, and one elsewhere.
	shared, own := b.newScript(), b.newScript()
	alice.pay(bob.id, 250_000)
	alice.withdraw(shared, 100_000, 1_000)
	bob.withdraw(shared, 50_000, 1_000)
	bob.withdraw(own, 20_000, 1_000)
	b.open(0, 2, 4) // two guardians are away
	b.advance()

	two := b.settled(2)
	if two.Payouts != 3 || two.Destinations != 2 {
		t.Fatalf("settlement 2 pays %d withdrawals in %d outputs, want 3 in 2", two.Payouts, two.Destinations)
	}
	if got := two.paid(shared); got != 150_000 {
		t.Errorf("the shared destination got %d sat, want 150,000 in one output", got)
	}
	if got := two.paid(own); got != 20_000 {
		t.Errorf("the other destination got %d sat, want 20,000", got)
	}
	b.expectSound()

	// 43 vbytes at 2 sat/vB are 86 sat: shared by the first two, whole for the third.
	for who, want := range map[*member]ledger.Amount{
		alice: 1_000_000 - 250_000 - 100_000 - 43,
		bob:   500_000 + 250_000 - 50_000 - 43 - 20_000 - 86,
	} {
		if got := b.balance(who.id); got != want {
			t.Errorf("account %s has %d sat, want %d", who.id, got, want)
		}
	}
}

// settledTx is a settlement that is posted, with its transaction in its block.
type settledTx struct {
	Payouts, Destinations int
	tx                    *wire.MsgTx
}

func (s *settledTx) paid(script []byte) (sat int64) {
	for _, out := range s.tx.TxOut {
		if string(out.PkScript) == string(script) {
			sat += out.Value
		}
	}
	return sat
}

// settled mines until settlement n, which is in flight, is posted, and checks
// what holds for every settlement: each input carries one 64-byte signature,
// and the anchor is the hash of the books at the cut.
func (b *bank) settled(n uint32) *settledTx {
	b.t.Helper()
	var books ledger.Hash
	b.must(b.engine.View(b.ctx, func(s *ledger.State) {
		if s.Open() == nil || s.Open().Settlement != n {
			b.t.Fatalf("settlement %d is not in flight", n)
		}
		books = s.Open().Books.Hash()
	}))
	b.mine(depth)
	list, err := b.desk.Settlements(b.ctx, n, 1)
	b.must(err)
	status := list[0]
	if status.Stage != "posted" || status.Height == 0 {
		b.t.Fatalf("settlement %d is %s after %d blocks: %+v", n, status.Stage, depth, status)
	}
	txid, err := chainhash.NewHashFromStr(status.TxID)
	b.must(err)
	tx, _, _, err := b.node.Tx(b.ctx, *txid)
	b.must(err)
	for i, in := range tx.TxIn {
		if len(in.Witness) != 1 || len(in.Witness[0]) != 64 {
			b.t.Errorf("input %d of settlement %d does not carry one 64-byte signature", i, n)
		}
	}
	if number, anchored, ok := netting.ReadAnchor(tx); !ok || number != n || anchored != books {
		b.t.Errorf("settlement %d anchors %d %s, the books at its cut are %s", n, number, anchored, books)
	}
	return &settledTx{Payouts: status.Payouts, Destinations: status.Destinations, tx: tx}
}

// expectSound checks that the books add up and equal the coins on chain. It is
// for moments when nothing is between mempool and depth.
func (b *bank) expectSound() {
	b.t.Helper()
	var owed ledger.Amount
	b.must(b.engine.View(b.ctx, func(s *ledger.State) {
		if err := s.CheckInvariants(); err != nil {
			b.t.Error(err)
		}
		owed = s.Liabilities()
	}))
	if coins := b.coinsOnChain(); int64(coins) != int64(owed) {
		b.t.Errorf("the accounts are owed %d sat, the chain holds %d sat", owed, coins)
	}
}
