package integration

import (
	"encoding/binary"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
)

// compareSettlements: what was posted is what is in the chain, and the journal's
// deposits are the chain's.
func (j *judge) compareSettlements() *verdict {
	v := &verdict{what: "settlements: posted is what the chain holds, deposits are what it shows"}
	for number, s := range j.settled {
		on := j.spends[number]
		v.check(on != nil && ledger.Hash(on.tx.TxHash()) == s.TxID && j.cuts[number] != nil,
			"settlement %d is posted as %s, and the chain or its cut says otherwise", number, chainhash.Hash(s.TxID))
	}
	for number, on := range j.spends {
		v.check(j.settled[number] != nil, "settlement %d, %s, is in the chain and was not posted", number, on.tx.TxHash())
	}
	shown := make(map[ledger.OutPoint]deposit, len(j.deposits))
	for _, d := range j.deposits {
		shown[ledger.OutPoint{TxID: ledger.Hash(d.at.Hash), Vout: d.at.Index}] = d
	}
	for _, d := range j.listed {
		on, ok := shown[d.OutPoint]
		v.check(ok && on.amount == d.Amount && on.to == vaultPlace{d.Branch, d.Index},
			"the deposit %s of %d sat is not in the chain so, or stands twice in the journal", d.OutPoint, d.Amount)
		delete(shown, d.OutPoint)
	}
	for at, d := range shown {
		v.check(false, "the chain shows a deposit %s of %d sat in block %d that the journal leaves out", at, d.amount, d.height)
	}
	return v
}

// compareOrders: what was acknowledged stands in the journal once, where its receipt
// says; what was refused does not stand there.
func (j *judge) compareOrders() *verdict {
	v := &verdict{what: "orders: acknowledged stands once where the receipt says, refused nowhere"}
	known := 0
	for _, h := range j.orders {
		at := j.places[h.order.Digest()]
		if h.receipt == nil {
			v.check(len(at) == 0, "account %s order %d was refused (%v) and stands in the journal at %v", h.account, h.order.Sequence, h.refused, at)
			continue
		}
		known++
		want := place{binary.BigEndian.Uint64(h.receipt.Header.Bytes()[33:41]), h.receipt.Index}
		v.check(len(at) == 1 && at[0] == want, "account %s order %d stands at %v, its receipt says %v", h.account, h.order.Sequence, at, want)
	}
	v.check(known == len(j.places), "the journal holds %d orders, members had %d acknowledged", len(j.places), known)
	return v
}

// withdrawals are those that were accepted, by payer and sequence number.
func (j *judge) withdrawals() map[ledger.OrderRef]*ledger.Withdraw {
	all := make(map[ledger.OrderRef]*ledger.Withdraw)
	for _, h := range j.orders {
		if w, ok := h.order.Body.(*ledger.Withdraw); ok && h.receipt != nil {
			all[ledger.OrderRef{Payer: h.account, Sequence: h.order.Sequence}] = w
		}
	}
	return all
}

// comparePayouts: each withdrawal that was accepted is in one settlement that was
// posted, and every script was paid, over all spends of the vault, what its
// withdrawals add up to.
func (j *judge) comparePayouts() *verdict {
	v := &verdict{what: "withdrawals: each paid once, nobody paid twice or besides"}
	owed := make(map[string]ledger.Amount)
	paidBy := make(map[ledger.OrderRef]int)
	for number := range j.settled {
		if cut := j.cuts[number]; cut != nil {
			for _, p := range cut.Payouts {
				paidBy[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]++
			}
		}
	}
	for ref, w := range j.withdrawals() {
		owed[string(w.Script)] += w.Amount
		v.check(paidBy[ref] == 1, "withdrawal %s of %d sat is in %d settlements that were posted", ref, w.Amount, paidBy[ref])
		delete(paidBy, ref)
	}
	for ref := range paidBy {
		v.fail("a settlement pays %s, which nobody ordered", ref)
	}
	for _, s := range j.spends {
		for _, out := range s.tx.TxOut {
			if _, own := j.scripts[string(out.PkScript)]; !own && out.PkScript[0] != 0x6a {
				owed[string(out.PkScript)] -= ledger.Amount(out.Value)
			}
		}
	}
	for script, left := range owed {
		v.check(left == 0, "script %x is owed %d sat more than the vault paid it", script, left)
	}
	return v
}

// compareFees: the chain's fee is the cut's, and each withdrawal's part of it is what
// docs/settlement.md says: an output of w vbytes costs ⌈w·r/1000⌉, shared equally,
// and the first ones in order of acceptance pay what is left over, none of them above its
// order's limit.
func (j *judge) compareFees() *verdict {
	v := &verdict{what: "fees: as in the chain, shared by the written rule, never above the order's limit"}
	orders := j.withdrawals()
	accepted := make(map[ledger.OrderRef]place)
	for _, h := range j.orders {
		if at := j.places[h.order.Digest()]; h.receipt != nil && len(at) > 0 {
			accepted[ledger.OrderRef{Payer: h.account, Sequence: h.order.Sequence}] = at[0]
		}
	}
	for number, on := range j.spends {
		cut := j.cuts[number]
		if cut == nil || j.settled[number] == nil {
			continue // said already
		}
		v.check(cut.Fee == on.fee, "settlement %d costs %d sat on chain, its cut says %d sat", number, on.fee, cut.Fee)
		sharing := make(map[string][]ledger.CutPayout)
		for _, p := range cut.Payouts {
			if w := orders[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]; w != nil {
				v.check(p.FeeShare <= w.FeeMax, "settlement %d takes %d sat for the miner, the order allows %d", number, p.FeeShare, w.FeeMax)
				sharing[string(w.Script)] = append(sharing[string(w.Script)], p)
			}
		}
		for script, list := range sharing {
			slices.SortFunc(list, func(a, b ledger.CutPayout) int {
				x, y := accepted[ledger.OrderRef{Payer: a.Payer, Sequence: a.Sequence}], accepted[ledger.OrderRef{Payer: b.Payer, Sequence: b.Sequence}]
				return cmpPlaces(x, y)
			})
			cost := (ledger.Amount(8+1+len(script))*ledger.Amount(cut.FeeRate) + 999) / 1000
			for i, p := range list {
				want := cost / ledger.Amount(len(list))
				if ledger.Amount(i) < cost%ledger.Amount(len(list)) {
					want++
				}
				want = min(want, orders[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}].FeeMax) // the treasury pays the rest
				v.check(p.FeeShare == want, "settlement %d: withdrawal %d/%d pays %d sat for the miner, the rule says %d", number, p.Payer, p.Sequence, p.FeeShare, want)
			}
		}
	}
	return v
}

func cmpPlaces(a, b place) int {
	if a.batch != b.batch {
		return int(int64(a.batch) - int64(b.batch))
	}
	return int(a.index) - int(b.index)
}

// compareBalances: the model of each account is what the database has.
func (j *judge) compareBalances() *verdict {
	v := &verdict{what: "balances: every account has what the model says"}
	model := j.model()
	accounts := slices.Clone(j.written)
	for id := ledger.Vault; id < ledger.FirstMember; id++ {
		accounts = append(accounts, id)
	}
	for _, id := range accounts {
		v.check(j.balances[id] == model[id], "account %s has %d sat, the model %d sat", id, j.balances[id], model[id])
		delete(model, id)
	}
	for id, amount := range model {
		v.check(amount == 0, "account %s has %d sat in the model and is not open", id, amount)
	}
	return v
}

// model adds up what orders and the chain did to each account.
func (j *judge) model() map[ledger.AccountID]ledger.Amount {
	model := make(map[ledger.AccountID]ledger.Amount)
	move := func(from, to ledger.AccountID, amount ledger.Amount) {
		model[from] -= amount
		model[to] += amount
	}
	for _, d := range j.deposits {
		to := ledger.AccountID(d.to.index)
		if d.to.branch != ledger.BranchDeposit || to != ledger.Treasury && !slices.Contains(j.written, to) {
			to = ledger.Suspense
		}
		move(ledger.Vault, to, d.amount)
	}
	for _, h := range j.orders {
		if h.receipt == nil {
			continue
		}
		switch body := h.order.Body.(type) {
		case *ledger.Transfer:
			for _, p := range body.Payments {
				move(h.account, p.Payee, p.Amount)
			}
		case *ledger.Withdraw:
			move(h.account, ledger.Vault, body.Amount)
		}
	}
	for number := range j.settled {
		if cut := j.cuts[number]; cut != nil {
			treasury := cut.Fee
			for _, p := range cut.Payouts {
				move(p.Payer, ledger.Vault, p.FeeShare)
				treasury -= p.FeeShare
			}
			move(ledger.Treasury, ledger.Vault, treasury)
		}
	}
	return model
}

// compareCoins: the sum of all wallets equals the coins, by the blocks and by the
// node's own scan.
func (j *judge) compareCoins() *verdict {
	v := &verdict{what: "sum of all wallets = coins in the blocks = coins in the node's scan"}
	var wallets, coins ledger.Amount
	for id, amount := range j.balances {
		if id != ledger.Vault {
			wallets += amount
		}
	}
	for _, amount := range j.coins {
		coins += amount
	}
	v.check(wallets == coins, "the wallets are %d sat, the coins in the blocks %d sat", wallets, coins)
	v.check(wallets == j.unspent, "the wallets are %d sat, the node finds coins of %d sat", wallets, j.unspent)
	return v
}
