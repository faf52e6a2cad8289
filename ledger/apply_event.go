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
	s.post(Vault, s.creditTo(e), e.Amount)
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
// closed account or for an address that was never given out are in suspense.
func (s *State) creditTo(e *Deposit) AccountID {
	id := AccountID(e.Index)
	if e.Branch != BranchDeposit {
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

func (s *State) applyCut(e *Cut) error {
	open, err := s.planCut(e)
	if err != nil {
		return err
	}
	var shares Amount
	for _, p := range open.Payouts {
		owner := s.account(p.Payer)
		owner.held -= p.Amount + p.FeeMax
		s.post(p.Payer, WithdrawalsPending, p.Amount+p.FeeMax)
		delete(s.held, p.OrderRef)
		shares += p.FeeShare
	}
	s.post(Treasury, MinerFees, e.Fee-shares)
	s.open = open
	s.settlements = e.Settlement
	return nil
}

// planCut checks a cut against the books and gathers what it names.
func (s *State) planCut(e *Cut) (*OpenCut, error) {
	switch {
	case s.open != nil:
		return nil, fail(CodeEvent, "settlement %d is in flight: no cut before it is posted", s.open.Settlement)
	case e.Settlement != s.settlements+1:
		return nil, fail(CodeEvent, "the cut is for settlement %d, the next is %d", e.Settlement, s.settlements+1)
	case len(e.Inputs) == 0 || len(e.Inputs) > MaxInputs || len(e.Payouts) > MaxPayouts:
		return nil, fail(CodeEvent, "the cut has %d inputs and %d payouts", len(e.Inputs), len(e.Payouts))
	case e.Fee < 0 || e.Fee > MaxAmount:
		return nil, fail(CodeEvent, "the cut's fee is %d sat", e.Fee)
	}
	open := &OpenCut{Settlement: e.Settlement, Generation: s.Generation(), FeeRate: e.FeeRate, Fee: e.Fee}
	in, err := s.planInputs(e, open)
	if err != nil {
		return nil, err
	}
	out, shares, err := s.planPayouts(e, open)
	if err != nil {
		return nil, err
	}
	if shares > e.Fee || e.Fee-shares > s.Balance(Treasury) {
		return nil, fail(CodeEvent, "the fee is %d sat, members pay %d sat and the treasury has %d sat", e.Fee, shares, s.Balance(Treasury))
	}
	if open.Change = in - out - e.Fee; open.Change < 0 {
		return nil, fail(CodeEvent, "the cut spends %d sat and pays %d sat and a fee of %d sat", in, out, e.Fee)
	}
	return open, nil
}

func (s *State) planInputs(e *Cut, open *OpenCut) (sum Amount, err error) {
	seen := make(map[OutPoint]bool, len(e.Inputs))
	open.Inputs = make([]Coin, len(e.Inputs))
	for i, in := range e.Inputs {
		coin, ok := s.coins[in]
		if !ok || seen[in] {
			return 0, fail(CodeEvent, "input %s is not a coin of the vault or stands twice", in)
		}
		seen[in] = true
		open.Inputs[i] = coin
		sum += coin.Amount // at most the vault's total: no overflow
	}
	return sum, nil
}

func (s *State) planPayouts(e *Cut, open *OpenCut) (sum, shares Amount, err error) {
	seen := make(map[OrderRef]bool, len(e.Payouts))
	open.Payouts = make([]Payout, len(e.Payouts))
	for i, p := range e.Payouts {
		ref := OrderRef{Payer: p.Payer, Sequence: p.Sequence}
		held, ok := s.held[ref]
		if !ok || seen[ref] {
			return 0, 0, fail(CodeEvent, "payout %s is not a held withdrawal or stands twice", ref)
		}
		if p.FeeShare < 0 || p.FeeShare > held.FeeMax {
			return 0, 0, fail(CodeEvent, "payout %s is charged %d sat for the miner, its order allows %d sat", ref, p.FeeShare, held.FeeMax)
		}
		seen[ref] = true
		held.FeeShare = p.FeeShare
		open.Payouts[i] = held
		sum += held.Amount
		shares += p.FeeShare
	}
	return sum, shares, nil
}

func (s *State) applySettled(e *Settled) error {
	switch {
	case s.open == nil || s.open.Settlement != e.Settlement:
		return fail(CodeEvent, "settlement %d is not in flight", e.Settlement)
	case (e.ChangeVout == NoChange) != (s.open.Change == 0):
		return fail(CodeEvent, "settlement %d has %d sat of change, but output %d is named for it", e.Settlement, s.open.Change, int32(e.ChangeVout))
	}
	change := OutPoint{TxID: e.TxID, Vout: e.ChangeVout}
	if _, ok := s.coins[change]; ok {
		return fail(CodeEvent, "settlement %d has the change %s, which is a coin of the vault already", e.Settlement, change)
	}
	for _, in := range s.open.Inputs {
		delete(s.coins, in.OutPoint)
	}
	for _, p := range s.open.Payouts {
		s.account(p.Payer).withdrawals--
		s.post(WithdrawalsPending, Vault, p.Amount)
		s.post(WithdrawalsPending, MinerFees, p.FeeShare)
		s.post(WithdrawalsPending, p.Payer, p.FeeMax-p.FeeShare)
	}
	s.post(MinerFees, Vault, s.open.Fee)
	if s.open.Change > 0 {
		s.coins[change] = Coin{OutPoint: change, Amount: s.open.Change,
			Generation: s.open.Generation, Branch: BranchChange, Index: e.Settlement, Height: s.height}
	}
	s.open = nil
	return nil
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
