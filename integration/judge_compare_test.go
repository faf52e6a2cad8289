package integration

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
)

// compareSettlements: what was posted is what the chain holds, and what the chain holds
// was posted. One that was posted from a block that left the chain may be there as
// another version, or not at all: its coins and payouts are compared elsewhere.
func (j *judge) compareSettlements() *verdict {
	v := &verdict{what: "settlements: posted is what the chain holds, or held when it was posted"}
	for number, s := range j.settled {
		v.check(j.cuts[number] != nil && (j.left[number] || j.holds(number, s)),
			"settlement %d is posted as %s, and the chain or its cut says otherwise", number, chainhash.Hash(s.TxID))
	}
	for number, on := range j.spends {
		v.check(j.settled[number] != nil, "settlement %d, %s, is in the chain and was not posted", number, on.tx.TxHash())
	}
	return v
}

// holds reports whether a settlement is in the chain as it was posted.
func (j *judge) holds(number uint32, s *ledger.Settled) bool {
	on := j.spends[number]
	return on != nil && ledger.Hash(on.tx.TxHash()) == s.TxID
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
// posted, or was found paid on another branch, and every script was paid, over all
// spends of the vault, what its withdrawals add up to. What the branch that won does
// not pay was given back.
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
		if j.returned[ref] {
			owed[string(w.Script)] -= w.Amount
			v.check(j.corrected(ref, w.Amount), "withdrawal %s of %d sat left the chain with its block, and no correction gives it back", ref, w.Amount)
		}
		paidBy[ref] += j.paid[ref]
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
	for _, e := range j.corrections {
		v.check(e.Account == ledger.Treasury, "account %s is given %d sat from suspense, which nobody owes it", e.Account, e.Amount)
	}
	return v
}

// corrected takes the correction that gives a withdrawal's amount back off the list.
func (j *judge) corrected(ref ledger.OrderRef, amount ledger.Amount) bool {
	i := slices.IndexFunc(j.corrections, func(e *ledger.Correct) bool { return e.Account == ref.Payer && e.Amount == amount })
	if i >= 0 {
		j.corrections = slices.Delete(j.corrections, i, i+1)
	}
	return i >= 0
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
	for number, settled := range j.settled {
		cut := j.cuts[number]
		if cut == nil {
			continue // said already
		}
		if j.holds(number, settled) {
			v.check(cut.Fee == j.spends[number].fee, "settlement %d costs %d sat on chain, its cut says %d sat", number, j.spends[number].fee, cut.Fee)
		}
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
	model := maps.Clone(j.moved)
	move := func(from, to ledger.AccountID, amount ledger.Amount) {
		model[from] -= amount
		model[to] += amount
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
