package integration

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
)

// payoutScripts are one of each kind that can be paid, all different.
func payoutScripts(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	x := ledger.KeyOf(key)
	build := func(b *txscript.ScriptBuilder) []byte {
		script, err := b.Script()
		if err != nil {
			t.Fatal(err)
		}
		return script
	}
	return map[string][]byte{
		"P2PKH":  build(txscript.NewScriptBuilder().AddOp(txscript.OP_DUP).AddOp(txscript.OP_HASH160).AddData(x[:20]).AddOp(txscript.OP_EQUALVERIFY).AddOp(txscript.OP_CHECKSIG)),
		"P2SH":   build(txscript.NewScriptBuilder().AddOp(txscript.OP_HASH160).AddData(x[:20]).AddOp(txscript.OP_EQUAL)),
		"P2WPKH": build(txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(x[:20])),
		"P2WSH":  build(txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(x[:])),
		"P2TR":   build(txscript.NewScriptBuilder().AddOp(txscript.OP_1).AddData(x[:])),
	}
}

func (b *bank) withdrawal(m *member, sequence uint64) *settlement.Withdrawal {
	b.t.Helper()
	w, err := b.desk.Withdrawal(b.ctx, ledger.OrderRef{Payer: m.id, Sequence: sequence})
	b.must(err)
	return w
}

// posts reports whether an entry of the journal posts a settlement.
func (b *bank) posts(at *settlement.EntryPlace, number uint32) bool {
	b.t.Helper()
	if at == nil {
		return false
	}
	batch, err := b.store.Batch(b.ctx, at.Batch)
	b.must(err)
	entry, err := ledger.DecodeEntry(batch.Entries[at.Index])
	b.must(err)
	e, ok := entry.Event.(*ledger.Settled)
	return ok && e.Settlement == number
}

// Payees that make trouble, on one node: every kind of script, each with the least that
// any charter lets be withdrawn, which is the dust limit of the largest; one address in a thousand orders; a withdrawal of a whole balance; a fee limit a
// satoshi too low, which waits and is cancelled; a standing payout to an address that
// a withdrawal pays too. Every payout order ends paid or cancelled, once.
func TestPayeesThatMakeTrouble(t *testing.T) {
	const least = 546
	b := newBankOn(t, bitcoind.Start(t), cluster.Test(t), func(c *ledger.Charter) { c.WithdrawalMin = least })
	alice, bob, cas := b.newMember(), b.newMember(), b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 5_000_000, bob.id: 3_000_000, cas.id: 200_000, ledger.Treasury: 1_000_000})
	b.mine(depth)
	b.settled(1)

	scripts := payoutScripts(t)
	orders := make(map[string]uint64)
	for _, kind := range []string{"P2PKH", "P2SH", "P2WPKH", "P2WSH", "P2TR"} {
		alice.withdraw(scripts[kind], least, 500)
		orders[kind] = alice.sequence
	}
	const many = 1_000
	b.desk.Policy.Limits.PayoutsMax = many + 6
	crowded := b.newScript()
	for range many {
		bob.withdraw(crowded, 1_000, 86) // each could pay the whole output
	}
	low := b.newScript()
	alice.withdraw(low, 50_000, 85) // one satoshi below the output's price
	lowOrder := alice.sequence
	whole := b.newScript()
	cas.withdraw(whole, 200_000-86, 86)
	b.advance()
	if w := b.withdrawal(alice, lowOrder); w.State != settlement.WithdrawalWaiting || w.Waits == "" {
		t.Errorf("a limit that is too low reads %+v", w)
	}
	if w := b.withdrawal(alice, orders["P2TR"]); w.State != settlement.WithdrawalSettling || w.Settlement != 2 || w.Confirmations != 0 || w.Cut == nil || w.Posted != nil {
		t.Errorf("in flight a withdrawal reads %+v", w)
	}
	two := b.settled(2)
	if two.Payouts != many+6 || two.Destinations != 7 {
		t.Errorf("settlement 2 pays %d withdrawals in %d outputs", two.Payouts, two.Destinations)
	}
	for kind, script := range scripts {
		w := b.withdrawal(alice, orders[kind])
		if got := two.paid(script); got != least {
			t.Errorf("%s received %d sat", kind, got)
		}
		if w.State != settlement.WithdrawalPaid || w.TxID != two.tx.TxHash().String() || w.Confirmations != depth || w.Version != 1 ||
			!b.posts(w.Posted, 2) || w.FeeShare <= 0 || !bytes.Equal(w.Script, script) || w.Ordered.Batch >= w.Cut.Batch {
			t.Errorf("%s: paid, the withdrawal reads %+v", kind, w)
		}
	}
	if got := two.paid(crowded); got != many*1_000 {
		t.Errorf("the crowded address received %d sat", got)
	}
	// 86 sat shared by them: the first 86 pay one each, the others nothing.
	if got := b.balance(bob.id); got != 3_000_000-many*1_000-86 {
		t.Errorf("bob has %d sat", got)
	}
	if got := b.balance(cas.id); got != 0 || two.paid(whole) != 200_000-86 {
		t.Errorf("cas has %d sat and received %d", got, two.paid(whole))
	}
	cas.submit(&ledger.Close{})

	alice.submit(&ledger.Cancel{Sequence: lowOrder})
	if w := b.withdrawal(alice, lowOrder); w.State != settlement.WithdrawalCancelled {
		t.Errorf("cancelled, the withdrawal reads %+v", w)
	}
	before := b.balance(alice.id)
	alice.submit(&ledger.Standing{Keep: 1_000_000, Every: 3, FeeMax: 500, Script: scripts["P2TR"]})
	standing := alice.sequence
	alice.withdraw(scripts["P2TR"], 7_000, 500)
	b.advance()
	three := b.settled(3)
	drawn := before - 7_000 - 500 - 1_000_000 - 500
	if three.Destinations != 1 || three.Payouts != 2 || three.paid(scripts["P2TR"]) != int64(drawn)+7_000 {
		t.Errorf("settlement 3 pays %d in %d outputs, %d sat to the address; the draw is %d", three.Payouts, three.Destinations, three.paid(scripts["P2TR"]), drawn)
	}
	if w := b.withdrawal(alice, standing); w.State != settlement.WithdrawalPaid || w.Amount != drawn {
		t.Errorf("the draw reads %+v", w)
	}
	if got := b.balance(alice.id); got < 1_000_000 || got > 1_001_000 {
		t.Errorf("alice keeps %d sat", got)
	}
	alice.submit(&ledger.Standing{})
	b.mine(2 * depth)
	b.expectSound()
	status := b.status(2)
	if status.Settled != many*1_000+5*least+200_000-86 || status.Ratio != fmt.Sprintf("%.1f", 1.0) {
		t.Errorf("settlement 2 reads %+v", status)
	}
}
