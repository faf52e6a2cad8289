package ledger

import "maps"

// applyReorganised moves the books to another branch of the chain. What members
// were credited or paid stands; suspense and the treasury bear the difference until
// somebody decides (Correct).
func (s *State) applyReorganised(e *Reorganised) error {
	if err := s.canReorganise(e); err != nil {
		return err
	}
	for _, a := range e.Added {
		s.coins[a.OutPoint] = Coin{OutPoint: a.OutPoint, Amount: a.Amount, Generation: a.Generation,
			Branch: a.Branch, Index: a.Index, Height: e.Height}
		s.post(Vault, s.creditAdded(&a), a.Amount)
		delete(s.lost, a.OutPoint)
	}
	for _, ref := range e.Paid {
		amount := s.held[ref].Amount
		s.release(ref)
		s.post(ref.Payer, Suspense, amount)
	}
	for _, at := range e.Removed {
		lost := s.coins[at].Amount
		s.post(Treasury, Suspense, max(0, lost-s.Balance(Suspense)))
		s.post(Suspense, Vault, lost)
		delete(s.coins, at)
		s.lost[at] = true
	}
	s.height, s.block = e.Height, e.Hash
	return nil
}

func (s *State) canReorganise(e *Reorganised) error {
	switch {
	case e.From <= s.charter.BirthHeight || e.From > s.height || e.Height < s.height || e.Hash == s.block:
		return fail(CodeEvent, "blocks %d to %d left the chain for block %d, says the event: the books are at block %d", e.From, s.height, e.Height, s.height)
	case len(e.Removed) > MaxReorganised || len(e.Added) > MaxReorganised || len(e.Paid) > MaxReorganised:
		return fail(CodeEvent, "the reorganisation removes %d coins, adds %d and finds %d withdrawals paid: at most %d of each", len(e.Removed), len(e.Added), len(e.Paid), MaxReorganised)
	}
	have := s.Balance(Suspense) + s.Balance(Treasury)
	sum := s.Liabilities()
	for i, a := range e.Added {
		_, known := s.coins[a.OutPoint]
		if known || !a.Amount.Valid() || a.Generation > s.Generation() || a.Branch > BranchChange || stands(e.Added[:i], a) {
			return fail(CodeEvent, "coin %s of %d sat cannot be added", a.OutPoint, a.Amount)
		}
		var ok bool
		if sum, ok = addAmounts(sum, a.Amount); !ok {
			return fail(CodeEvent, "coin %s lifts the vault above 21,000,000 BTC", a.OutPoint)
		}
		if s.creditAdded(&a) == Suspense {
			have += a.Amount
		}
	}
	paid := make(map[OrderRef]bool, len(e.Paid))
	for _, ref := range e.Paid {
		p, held := s.held[ref]
		if !held || paid[ref] {
			return fail(CodeEvent, "withdrawal %s does not wait or stands twice", ref)
		}
		paid[ref] = true
		have += p.Amount
	}
	return s.canRemove(e.Removed, have)
}

func (s *State) creditAdded(a *Added) AccountID {
	if !a.Deposit {
		return Suspense
	}
	return s.creditTo(a.OutPoint, a.Branch, a.Index)
}

func stands(list []Added, a Added) bool {
	for i := range list {
		if list[i].OutPoint == a.OutPoint {
			return true
		}
	}
	return false
}

// canRemove checks the coins that the chain has lost, against what suspense and
// treasury have to cover them.
func (s *State) canRemove(list []OutPoint, have Amount) error {
	common := commonInputs(s.versions)
	maps.DeleteFunc(common, func(at OutPoint, _ bool) bool { _, ok := s.coins[at]; return !ok })
	removed := make(map[OutPoint]bool, len(list))
	var lost Amount
	for _, at := range list {
		coin, ok := s.coins[at]
		if !ok || removed[at] {
			return fail(CodeEvent, "coin %s is not one of the books or stands twice", at)
		}
		removed[at] = true
		lost += coin.Amount
		delete(common, at)
	}
	if lost > have {
		return fail(CodeEvent, "the chain has lost %d sat, suspense and treasury have %d sat: pay the difference to the treasury's address", lost, have)
	}
	// A version that is signed could be mined if its coins came back. While there is
	// one, its successors must exclude it.
	if len(s.versions) > 0 && len(common) == 0 {
		return fail(CodeEvent, "every coin that all versions of settlement %d spend has left the chain: wait until one is there again", s.settlements)
	}
	return nil
}

// applyCorrect pays out of suspense.
func (s *State) applyCorrect(e *Correct) error {
	a := s.account(e.Account)
	switch {
	case !e.Amount.Valid() || e.Amount > s.Balance(Suspense):
		return fail(CodeEvent, "the correction is %d sat, suspense has %d sat", e.Amount, s.Balance(Suspense))
	case a == nil || a.closed || !e.Account.IsMember() && e.Account != Treasury:
		return fail(CodeEvent, "%s is no account that can be paid", e.Account)
	case e.Batch == 0 || e.Batch > s.last.Number:
		return fail(CodeEvent, "the correction names batch %d, the last is %d", e.Batch, s.last.Number)
	}
	s.post(Suspense, e.Account, e.Amount)
	return nil
}
