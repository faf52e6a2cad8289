package ledger_test

import (
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// A coin's whole way: it arrives, is paid on inside, leaves in a settlement
// whose fee its owner shares with the treasury, and what was not needed of the
// fee comes back.
func TestStoryOfOneCoin(t *testing.T) {
	b := newBank(t)
	ann, bob := b.open("ann"), b.open("bob")
	if ann.id != ledger.FirstMember || bob.id != ledger.FirstMember+1 {
		t.Fatalf("the first members are %s and %s", ann.id, bob.id)
	}
	b.expect("opened", wantBalance{ann.id, 0, 0}, wantBalance{ledger.Vault, 0, 0})

	b.block()
	coin := b.deposit(ann.id, 100_000)
	treasury := b.deposit(ledger.Treasury, 5_000)
	b.expect("deposited",
		wantBalance{ledger.Vault, -105_000, -105_000},
		wantBalance{ledger.Treasury, 5_000, 5_000},
		wantBalance{ann.id, 100_000, 100_000})

	effects := b.order(ann, &ledger.Transfer{
		Payments:  []ledger.Payment{{Payee: bob.id, Amount: 30_000}, {Payee: ledger.Treasury, Amount: 1_000}},
		Reference: []byte("rent and dues"),
	})
	if want := []ledger.Posting{{Debit: ann.id, Credit: bob.id, Amount: 30_000}, {Debit: ann.id, Credit: ledger.Treasury, Amount: 1_000}}; !slices.Equal(effects.Postings, want) {
		t.Errorf("the transfer posted %v, want %v", effects.Postings, want)
	}
	b.expect("paid",
		wantBalance{ledger.Treasury, 6_000, 6_000},
		wantBalance{ann.id, 69_000, 69_000},
		wantBalance{bob.id, 30_000, 30_000})

	if effects := b.order(bob, withdraw(20_000, 2_000)); len(effects.Postings) != 0 {
		t.Errorf("a hold moves nothing, it posted %v", effects.Postings)
	}
	b.expect("held", wantBalance{bob.id, 30_000, 8_000}, wantBalance{ledger.WithdrawalsPending, 0, 0})
	if held := b.Held(); len(held) != 1 || held[0].OrderRef != (ledger.OrderRef{Payer: bob.id, Sequence: 1}) || held[0].Ordinal != 1 {
		t.Errorf("held: %+v", held)
	}
	b.seal()

	effects = b.event(&ledger.Cut{Settlement: 1, Version: 1, FeeRate: 5_000, Fee: 2_500, Inputs: []ledger.OutPoint{coin, treasury},
		Payouts: []ledger.CutPayout{{Payer: bob.id, Sequence: 1, FeeShare: 700}}})
	if want := []ledger.Posting{{Debit: bob.id, Credit: ledger.WithdrawalsPending, Amount: 22_000}, {Debit: ledger.Treasury, Credit: ledger.MinerFees, Amount: 1_800}}; !slices.Equal(effects.Postings, want) {
		t.Errorf("the cut posted %v, want %v", effects.Postings, want)
	}
	batch := b.seal()
	b.expect("cut",
		wantBalance{ledger.Vault, -105_000, -105_000},
		wantBalance{ledger.Treasury, 4_200, 4_200},
		wantBalance{ledger.WithdrawalsPending, 22_000, 22_000},
		wantBalance{ledger.MinerFees, 1_800, 1_800},
		wantBalance{bob.id, 8_000, 8_000})
	open := b.Open()
	if open == nil || open.Change != 105_000-20_000-2_500 || open.Batch != batch.Header.Number || open.Payouts[0].FeeShare != 700 || len(b.Held()) != 0 {
		t.Fatalf("the settlement in flight is %+v", open)
	}
	b.order(bob, pay(ann.id, 8_000)) // the bank is not at rest while Bitcoin is slow

	b.block()
	txid := hashOf("settlement 1")
	effects = b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: txid, ChangeVout: 2})
	if want := []ledger.Posting{
		{Debit: ledger.WithdrawalsPending, Credit: ledger.Vault, Amount: 20_000},
		{Debit: ledger.WithdrawalsPending, Credit: ledger.MinerFees, Amount: 700},
		{Debit: ledger.WithdrawalsPending, Credit: bob.id, Amount: 1_300},
		{Debit: ledger.MinerFees, Credit: ledger.Vault, Amount: 2_500},
	}; !slices.Equal(effects.Postings, want) {
		t.Errorf("the settlement posted %v, want %v", effects.Postings, want)
	}
	b.expect("settled",
		wantBalance{ledger.Vault, -82_500, -82_500},
		wantBalance{ledger.Treasury, 4_200, 4_200},
		wantBalance{ledger.WithdrawalsPending, 0, 0},
		wantBalance{ledger.MinerFees, 0, 0},
		wantBalance{ann.id, 77_000, 77_000},
		wantBalance{bob.id, 1_300, 1_300})
	want := []ledger.Coin{{OutPoint: ledger.OutPoint{TxID: txid, Vout: 2}, Amount: 82_500, Branch: ledger.BranchChange, Index: 1, Height: birthHeight + 2}}
	if got := b.Coins(); !slices.Equal(got, want) {
		t.Errorf("the vault's coins are %+v, want %+v", got, want)
	}
	if b.Open() != nil || b.Settlements() != 1 || b.Liabilities() != 82_500 {
		t.Errorf("open %v, settlements %d, liabilities %v", b.Open(), b.Settlements(), b.Liabilities())
	}

	b.order(bob, pay(ann.id, 1_300))
	b.order(bob, &ledger.Close{})
	if a, _ := b.Account(bob.id); !a.Closed {
		t.Error("bob's account is still open")
	}
}

// Withdrawals wait in the order of acceptance; a cut may take some of them and
// a settlement may have no change at all.
func TestStoryOfTwoSettlements(t *testing.T) {
	b := newBank(t)
	ann, bob := b.open("ann"), b.open("bob")
	coins := b.fund(ann.id, 10_000, 50_000)
	b.order(ann, pay(bob.id, 9_000))
	b.order(bob, withdraw(4_000, 0))
	b.order(ann, withdraw(10_000, 0))
	b.order(bob, withdraw(5_000, 0))
	refs := func() (list []ledger.OrderRef) {
		last := uint64(0)
		for _, p := range b.Held() {
			if p.Ordinal <= last {
				t.Errorf("withdrawal %s has the ordinal %d after %d", p.OrderRef, p.Ordinal, last)
			}
			last = p.Ordinal
			list = append(list, p.OrderRef)
		}
		return list
	}
	bob1, ann2, bob2 := ledger.OrderRef{Payer: bob.id, Sequence: 1}, ledger.OrderRef{Payer: ann.id, Sequence: 2}, ledger.OrderRef{Payer: bob.id, Sequence: 2}
	if got := refs(); !slices.Equal(got, []ledger.OrderRef{bob1, ann2, bob2}) {
		t.Fatalf("held in the order %v", got)
	}
	b.event(&ledger.Cut{Settlement: 1, Version: 1, Inputs: coins[:1], Payouts: []ledger.CutPayout{{Payer: ann.id, Sequence: 2}}})
	b.seal()
	if got := refs(); !slices.Equal(got, []ledger.OrderRef{bob1, bob2}) {
		t.Fatalf("after the first cut %v are held", got)
	}
	b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: ledger.NoChange})
	if got := b.Coins(); len(got) != 1 || got[0].OutPoint != coins[1] {
		t.Fatalf("the vault's coins are %+v", got)
	}
	b.event(&ledger.Cut{Settlement: 2, Version: 1, Inputs: coins[1:], Payouts: []ledger.CutPayout{{Payer: bob.id, Sequence: 2}, {Payer: bob.id, Sequence: 1}}})
	b.seal()
	b.event(&ledger.Settled{Settlement: 2, Version: 1, TxID: hashOf("two"), ChangeVout: 0})
	b.expect("settled twice", wantBalance{bob.id, 0, 0}, wantBalance{ann.id, 41_000, 41_000}, wantBalance{ledger.Vault, -41_000, -41_000})
	b.order(bob, &ledger.Close{})
}

// A cut without payouts gathers coins; the treasury pays all of its fee.
func TestStoryOfAConsolidation(t *testing.T) {
	b := newBank(t)
	coins := b.fund(ledger.Treasury, 3_000, 4_000)
	b.event(&ledger.Cut{Settlement: 1, Version: 1, FeeRate: 1_000, Fee: 300, Inputs: coins})
	b.seal()
	b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: 1})
	b.expect("settled", wantBalance{ledger.Treasury, 6_700, 6_700}, wantBalance{ledger.Vault, -6_700, -6_700})
}

// Coins that arrive for nobody are in suspense and still count.
func TestStoriesOfDeposits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *bank, d *ledger.Deposit)
		want   ledger.AccountID
	}{
		{"to a member", func(*bank, *ledger.Deposit) {}, ledger.FirstMember},
		{"to the treasury", func(_ *bank, d *ledger.Deposit) { d.Index = uint32(ledger.Treasury) }, ledger.Treasury},
		{"to an index never given out", func(_ *bank, d *ledger.Deposit) { d.Index = 999 }, ledger.Suspense},
		{"to the largest index", func(_ *bank, d *ledger.Deposit) { d.Index = 1<<32 - 1 }, ledger.Suspense},
		{"to index 0", func(_ *bank, d *ledger.Deposit) { d.Index = 0 }, ledger.Suspense},
		{"to the vault's own index", func(_ *bank, d *ledger.Deposit) { d.Index = uint32(ledger.Vault) }, ledger.Suspense},
		{"to another system index", func(_ *bank, d *ledger.Deposit) { d.Index = uint32(ledger.MinerFees) }, ledger.Suspense},
		{"to an index kept for the bank", func(_ *bank, d *ledger.Deposit) { d.Index = uint32(ledger.FirstMember) - 1 }, ledger.Suspense},
		{"to a change address", func(_ *bank, d *ledger.Deposit) { d.Branch = ledger.BranchChange }, ledger.Suspense},
		{"to a closed account", func(b *bank, d *ledger.Deposit) { b.order(b.member("ann"), &ledger.Close{}) }, ledger.Suspense},
		{"behind one in the same transaction", func(b *bank, d *ledger.Deposit) {
			b.event(&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: d.OutPoint.TxID, Vout: 0}, Amount: 1,
				Index: uint32(ledger.MinerFees), Height: d.Height, TxIndex: d.TxIndex})
		}, ledger.FirstMember},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBank(t)
			b.open("ann")
			b.block()
			d := b.nextDeposit(ledger.FirstMember, 700)
			tt.change(b, d)
			before := b.Balance(tt.want)
			effects := b.event(d)
			if want := []ledger.Posting{{Debit: ledger.Vault, Credit: tt.want, Amount: 700}}; !slices.Equal(effects.Postings, want) {
				t.Errorf("posted %v, want %v", effects.Postings, want)
			}
			if got := b.Balance(tt.want); got != before+700 {
				t.Errorf("%s has %v", tt.want, got)
			}
		})
	}
}

// member finds the account that b.open made for a name.
func (b *bank) member(name string) *member {
	b.Helper()
	id, ok := b.Lookup(ledger.KeyOf(privateKey(name)))
	if !ok {
		b.Fatalf("%s has no account", name)
	}
	return &member{name: name, key: privateKey(name), id: id}
}

// Consensus lets a coinbase output of block h be spent in block h+100. The
// books stand depth-1 blocks behind the tip, and credit the output when the
// block after the tip can spend it.
func TestStoryOfACoinbase(t *testing.T) {
	b := newBank(t)
	b.open("ann")
	b.block()
	coinbase := b.nextDeposit(ledger.FirstMember, 5_000)
	coinbase.TxIndex = 0
	const wait = ledger.CoinbaseDepth - depth
	for range wait {
		b.refuse(ledger.Entry{Event: coinbase}, ledger.CodeEvent)
		b.block()
	}
	b.event(coinbase)
	b.expect("matured", wantBalance{ledger.FirstMember, 5_000, 5_000})
	if height, _ := b.Block(); height != coinbase.Height+wait {
		t.Errorf("credited at height %d", height)
	}
	b.deposit(ledger.FirstMember, 1) // an ordinary deposit follows it
	b.block()
	b.refuse(ledger.Entry{Event: coinbase}, ledger.CodeEvent)
}
