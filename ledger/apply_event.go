package ledger

// ApplyEvent records a chain event. Error: *Error with CodeEvent when it
// contradicts the books, and nothing changed.
func (s *State) ApplyEvent(e Event) (Effects, error) {
	if s.ended != 0 {
		return Effects{}, fail(CodeEvent, "a %s ends its batch: nothing can follow it", s.ended)
	}
	s.postings = s.postings[:0]
	var err error
	switch e := e.(type) {
	case *Block:
		err = s.applyBlock(e)
	case *Deposit:
		err = s.applyDeposit(e)
	case *Cut:
		err = s.applyCut(e)
	case *Settled:
		err = s.applySettled(e)
	case *Rekey:
		err = s.applyRekey(e)
	case *Draw:
		err = s.applyDraw(e)
	case *Reorganised:
		err = s.applyReorganised(e)
	case *Correct:
		err = s.applyCorrect(e)
	default:
		err = fail(CodeEvent, "an event of no known kind")
	}
	if err != nil {
		return Effects{}, err
	}
	s.midBatch = true
	if e.Kind().EndsBatch() {
		s.ended = e.Kind()
	}
	return Effects{Postings: s.postings}, nil
}

func (s *State) applyBlock(e *Block) error {
	if e.Height != s.height+1 || e.Previous != s.block {
		return fail(CodeEvent, "block %d on %s does not follow block %d %s", e.Height, e.Previous, s.height, s.block)
	}
	s.height, s.block = e.Height, e.Hash
	return nil
}

func (s *State) applyDeposit(e *Deposit) error {
	if !e.Amount.Valid() {
		return fail(CodeEvent, "deposit %s has the amount %d sat", e.OutPoint, e.Amount)
	}
	if e.Branch != BranchDeposit && e.Branch != BranchChange {
		return fail(CodeEvent, "deposit %s is on branch %d, which the vault does not have", e.OutPoint, e.Branch)
	}
	if e.Generation > s.Generation() {
		return fail(CodeEvent, "deposit %s is to generation %d of the vault's key, the newest is %d", e.OutPoint, e.Generation, s.Generation())
	}
	if e.Height <= s.charter.BirthHeight {
		return fail(CodeEvent, "deposit %s is in block %d: the books begin after block %d", e.OutPoint, e.Height, s.charter.BirthHeight)
	}
	if want := s.creditHeight(e); int64(e.Height) != want {
		return fail(CodeEvent, "deposit %s is in block %d and can only be credited from block %d now", e.OutPoint, e.Height, want)
	}
	at := position{books: s.height, height: e.Height, tx: e.TxIndex, vout: e.OutPoint.Vout}
	if at.compare(s.credited) <= 0 {
		return fail(CodeEvent, "deposit %s does not follow the one before it on the chain", e.OutPoint)
	}
	if _, ok := s.coins[e.OutPoint]; ok {
		return fail(CodeEvent, "deposit %s is credited already", e.OutPoint)
	}
	if _, ok := addAmounts(s.Liabilities(), e.Amount); !ok {
		return fail(CodeEvent, "deposit %s lifts the vault above 21,000,000 BTC", e.OutPoint)
	}
	s.credited = at
	s.coins[e.OutPoint] = Coin{OutPoint: e.OutPoint, Amount: e.Amount,
		Generation: e.Generation, Branch: e.Branch, Index: e.Index, Height: s.height}
	s.post(Vault, s.creditTo(e.OutPoint, e.Branch, e.Index), e.Amount)
	delete(s.lost, e.OutPoint)
	return nil
}

// creditHeight is the height whose outputs of this deposit's kind become
// creditable with the books' current block: the block itself, or, for a
// coinbase, the block that consensus lets be spent at this one's depth. It is
// below zero while no coinbase of the chain can be spent.
func (s *State) creditHeight(e *Deposit) int64 {
	if e.TxIndex != 0 {
		return int64(s.height)
	}
	return int64(s.height) - (CoinbaseDepth - int64(s.charter.Depth))
}

// creditTo is the account that a deposit belongs to. Coins for nobody, for a
// closed account or for an address that was never given out are in suspense, and so
// are coins that come back: who was paid with them has kept that.
func (s *State) creditTo(at OutPoint, branch Branch, index uint32) AccountID {
	id := AccountID(index)
	if branch != BranchDeposit || s.lost[at] {
		return Suspense
	}
	if id == Treasury {
		return Treasury
	}
	if a := s.account(id); a == nil || !id.IsMember() || a.closed {
		return Suspense
	}
	return id
}

func (s *State) applyRekey(e *Rekey) error {
	switch {
	case e.Generation != s.Generation()+1:
		return fail(CodeEvent, "the new key is generation %d, the next is %d", e.Generation, s.Generation()+1)
	case len(e.Policy) == 0 || len(e.Policy) > MaxPolicySize:
		return fail(CodeEvent, "the new key's policy has %d bytes, want 1 to %d", len(e.Policy), MaxPolicySize)
	}
	s.rekeys = append(s.rekeys, *e)
	return nil
}
