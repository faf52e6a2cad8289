package audit

import (
	"slices"

	"github.com/daobank/daobank/ledger"
)

// Holdings say how the members' money is spread.
type Holdings struct {
	Accounts int // of members, with something in them
	Empty    int
	Total    ledger.Amount // of all members
	Largest  []Holding     // the richest first
	// Lorenz[i] is the share of Total that the poorest i of len-1 equal parts of the
	// accounts hold, from 0 to 1.
	Lorenz []float64
	// Gini is 0 when all have the same and 1 when one has everything.
	Gini float64
}

// Holding is one account.
type Holding struct {
	Account ledger.AccountID
	Amount  ledger.Amount
}

// Holdings looks at all members' accounts as the books have them. It returns the
// largest most of them.
func (a *Audit) Holdings(most int) Holdings {
	books := a.replay.Books()
	var list []Holding
	h := Holdings{}
	for id := ledger.FirstMember; id < ledger.AccountID(books.Accounts()); id++ {
		if amount := books.Balance(id); amount > 0 {
			list = append(list, Holding{id, amount})
			h.Total += amount
		} else {
			h.Empty++
		}
	}
	slices.SortFunc(list, func(x, y Holding) int {
		if x.Amount != y.Amount {
			return int(min(max(y.Amount-x.Amount, -1), 1))
		}
		return int(min(max(int64(x.Account)-int64(y.Account), -1), 1))
	})
	h.Accounts = len(list)
	h.Largest = list[:min(most, len(list))]
	h.Lorenz, h.Gini = lorenz(list, h.Total)
	return h
}

// lorenzParts is into how many parts the accounts are divided.
const lorenzParts = 100

// lorenz returns the curve of accounts that are sorted, the richest first, and twice
// the area between it and that of equal shares.
func lorenz(list []Holding, total ledger.Amount) (curve []float64, gini float64) {
	if total == 0 {
		return nil, 0
	}
	n := len(list)
	curve = make([]float64, lorenzParts+1)
	var held ledger.Amount
	area, part := 0.0, 1
	for i := n - 1; i >= 0; i-- {
		before := float64(held) / float64(total)
		held += list[i].Amount
		after := float64(held) / float64(total)
		area += (before + after) / 2 / float64(n)
		for done := n - i; part <= lorenzParts && done*lorenzParts >= part*n; part++ {
			// The curve is straight between two accounts.
			over := (float64(part)*float64(n)/lorenzParts - float64(done-1))
			curve[part] = before + (after-before)*over
		}
	}
	return curve, 1 - 2*area
}
