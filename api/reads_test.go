package api

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

// What the bank says of itself is enough to check everything else it says.
func TestBankTellsAllThatAClientNeeds(t *testing.T) {
	f := newFixture(t)
	alice := f.open("alice")
	bank, err := f.client.Bank(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	charter := testCharter()
	if bank.ID != charter.ID() || bank.Charter != charter || bank.Network != "regtest" || bank.WithdrawalMin != 1000 {
		t.Errorf("got %+v", bank)
	}
	if bank.Batch != 1 || bank.Head != f.head() || bank.Height != 100 {
		t.Errorf("batch %d, head %s, height %d: want 1, %s, 100", bank.Batch, bank.Head, bank.Height, f.head())
	}
	vault, err := taproot.NewVault(bank.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if vault.Descriptor() != bank.Descriptor {
		t.Errorf("the descriptor is %s, from the policy follows %s", bank.Descriptor, vault.Descriptor())
	}
	account, err := f.client.Account(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := vault.Address(taproot.Deposit, alice.Index()); err != nil || account.DepositAddress != want {
		t.Errorf("the deposit address is %s, from the policy follows %s (%v)", account.DepositAddress, want, err)
	}
}

func TestAccountIsFoundByNumberAddressAndKey(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 100_000)
	order := f.order("alice", pay(bob, 30_000))
	if _, err := f.client.Submit(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	script := append([]byte{0, 20}, make([]byte, 20)...)
	hold := f.order("alice", &ledger.Withdraw{Amount: 5_000, FeeMax: 500, Script: script})
	if _, err := f.client.Submit(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	byNumber, err := f.client.Account(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	byKey, err := f.client.AccountOfKey(t.Context(), ledger.KeyOf(privateKey("alice")))
	if err != nil {
		t.Fatal(err)
	}
	var byAddress Account
	if err := f.client.get(t.Context(), "/v1/accounts/"+byNumber.Address, nil, &byAddress); err != nil {
		t.Fatal(err)
	}
	if byKey != byNumber || byAddress != byNumber {
		t.Errorf("by number %+v, by key %+v, by address %+v", byNumber, byKey, byAddress)
	}
	a := byNumber
	if a.Balance != 70_000 || a.Held != 5_500 || a.Available != 64_500 || a.Sequence != 2 || a.Last != hold.Digest() || a.Closed || a.Height != 101 {
		t.Errorf("got %+v", a)
	}
	treasury, err := f.client.Account(t.Context(), ledger.Treasury)
	if err != nil || treasury.Address != "treasury" || treasury.DepositAddress == "" {
		t.Errorf("the treasury: %+v, %v", treasury, err)
	}
	vault, err := f.client.Account(t.Context(), ledger.Vault)
	if err != nil || vault.Balance != -100_000 || vault.DepositAddress != "" {
		t.Errorf("the vault: %+v, %v", vault, err)
	}
}

func TestHistoryGoesOnWhereItEnded(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 100_000)
	for i := range 5 {
		o := pay(bob, ledger.Amount(i+1))
		o.Reference = []byte{byte(i)}
		if _, err := f.client.Submit(t.Context(), f.order("alice", o)); err != nil {
			t.Fatal(err)
		}
	}
	var got []Movement
	for before := ""; ; {
		part, err := f.client.History(t.Context(), alice, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part.Movements...)
		if before = part.Next; before == "" {
			break
		}
	}
	if len(got) != 6 {
		t.Fatalf("got %d movements, want 5 payments and the deposit", len(got))
	}
	for i, m := range got[:5] {
		if want := ledger.Amount(i - 5); m.Amount != want || m.Kind != "transfer" || m.CounterpartyNumber != bob || m.Sequence != uint64(5-i) {
			t.Errorf("movement %d: %+v, want %d sat to %s", i, m, want, bob)
		}
	}
	if m := got[5]; m.Amount != 100_000 || m.Kind != "deposit" || m.Counterparty != "vault" {
		t.Errorf("the oldest: %+v, want the deposit", m)
	}
}

func TestQuote(t *testing.T) {
	f := newFixture(t)
	script := append([]byte{0, 20}, make([]byte, 20)...)
	address, err := taproot.FormatScript(script, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	q, err := f.client.Quote(t.Context(), address, 5_000)
	want := Quote{Address: address, Script: "0014" + "0000000000000000000000000000000000000000", Amount: 5_000,
		FeeRate: 2000, Fee: 86, FeeMax: 172, WithdrawalMin: 1000, Height: 100}
	if err != nil || q != want {
		t.Errorf("got %+v, %v, want %+v", q, err, want)
	}
}

// Whoever reads the journal over HTTP can replay it with every check.
func TestJournalReplays(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 100_000)
	for range 20 {
		if _, err := f.client.Submit(t.Context(), f.order("alice", pay(bob, 7))); err != nil {
			t.Fatal(err)
		}
	}
	replica, err := ledger.NewState(testCharter())
	if err != nil {
		t.Fatal(err)
	}
	for batch, err := range f.client.Batches(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if err := replica.Append(batch, ledger.CheckAll); err != nil {
			t.Fatal(err)
		}
	}
	if replica.Head() != f.head() || replica.Balance(bob) != 140 {
		t.Errorf("the replica ends at %s with %v, the bank is at %s", replica.Head(), replica.Balance(bob), f.head())
	}
	one, err := f.client.Batch(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := f.batches[2]; one.Header != want.Header || !bytes.Equal(one.Entries[0], want.Entries[0]) {
		t.Error("batch 3 is not what it was")
	}
	var some batchesForm
	if err := f.client.get(t.Context(), "/v1/batches?from=5&limit=3", nil, &some); err != nil || len(some.Batches) != 3 || some.Batches[0].Number != 5 || some.Next != 8 {
		t.Errorf("from 5, 3 of them: %d batches, next %d, %v", len(some.Batches), some.Next, err)
	}
}

func TestWithdrawal(t *testing.T) {
	f := newFixture(t)
	w, err := f.client.Withdrawal(t.Context(), ledger.OrderRef{Payer: 16, Sequence: 2})
	if err != nil || w.State != settlement.WithdrawalPaid || w.Amount != 70_000 || len(w.Script) != 2 || w.Cut.Batch != 9 || *w.Posted != (settlement.EntryPlace{Batch: 13, Index: 1}) || w.Confirmations != 3 {
		t.Errorf("the withdrawal is %+v, %v", w, err)
	}
	if _, err := f.client.Withdrawal(t.Context(), ledger.OrderRef{Payer: 16, Sequence: 3}); ledger.CodeOf(err) != CodeNotFound {
		t.Errorf("another order: %v", err)
	}
}

func TestSettlements(t *testing.T) {
	f := newFixture(t)
	list, err := f.client.Settlements(t.Context(), 2, 10)
	if err != nil || len(list) != 2 || list[0].Number != 2 || list[1].Number != 3 {
		t.Errorf("from 2: %+v, %v", list, err)
	}
	if list, err = f.client.Settlements(t.Context(), 4, 10); err != nil || len(list) != 0 {
		t.Errorf("from 4: %+v, %v", list, err)
	}
}

// A member who lost the receipts gets them again.
func TestOrderIsFoundWithItsReceipt(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 100_000)
	order := f.order("alice", pay(bob, 30_000))
	first, err := f.client.Submit(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	found, again, err := f.client.Order(t.Context(), ledger.OrderRef{Payer: alice, Sequence: 1})
	if err != nil || !bytes.Equal(found.Bytes(), order.Bytes()) {
		t.Fatalf("got %+v, %v", found, err)
	}
	if !bytes.Equal(again.Receipt.Bytes(), first.Receipt.Bytes()) {
		t.Error("its receipt is another one")
	}
	if open, _, err := f.client.Order(t.Context(), ledger.OrderRef{Payer: alice}); err != nil || open.Kind() != ledger.KindOpen {
		t.Errorf("the order that opened the account: %v, %v", open, err)
	}
}
