package ledger

import (
	"cmp"
	"maps"
	"slices"
)

// The settlement in flight. Its versions replace each other, and any one of them
// may be mined, also an old one that a reorganisation brings back. So:
//
//   - What leaves an account for the settlement leaves it once, at the first version
//     that pays it, with its highest fee; that suffices for every later version. The
//     treasury reserves the most that it pays in any version.
//   - When a version is mined, what it pays is posted and what only others pay waits
//     again. What was reserved and is not needed goes back.
//   - At least one coin is spent by every version. A chain holds at most one
//     transaction that spends a given output, so it holds at most one version, and
//     no withdrawal is paid twice, whoever keeps which signed version for how long.
//     That a version shares a coin with the one before it is not enough: of three,
//     the first and the last need not share any. The next settlement is cut when one
//     version is as deep as the charter says; its common coin is spent then, and the
//     other versions are void.
//
// Guardians enforce the last rule once more, on what they remember of their own
// signatures (guardian.Memory).

// commonInputs are the coins that every version spends.
func commonInputs(versions []*OpenCut) map[OutPoint]bool {
	common := make(map[OutPoint]bool)
	for i, v := range versions {
		now := make(map[OutPoint]bool, len(v.Inputs))
		for _, in := range v.Inputs {
			if i == 0 || common[in.OutPoint] {
				now[in.OutPoint] = true
			}
		}
		common = now
	}
	return common
}

// pending are the payouts of all versions, without fee shares.
func (s *State) pending() map[OrderRef]Payout {
	all := make(map[OrderRef]Payout)
	for _, v := range s.versions {
		for _, p := range v.Payouts {
			p.FeeShare = 0
			all[p.OrderRef] = p
		}
	}
	return all
}

func (s *State) applyCut(e *Cut) error {
	open, err := s.planCut(e)
	if err != nil {
		return err
	}
	for _, p := range open.Payouts {
		if _, held := s.held[p.OrderRef]; !held {
			continue // a version before has taken it
		}
		s.account(p.Payer).held -= p.Amount + p.FeeMax
		s.post(p.Payer, WithdrawalsPending, p.Amount+p.FeeMax)
		delete(s.held, p.OrderRef)
	}
	s.post(Treasury, MinerFees, max(0, open.TreasuryFee()-s.Balance(MinerFees)))
	s.versions = append(s.versions, open)
	s.settlements = e.Settlement
	return nil
}

// planCut checks a cut against the books and gathers what it names.
func (s *State) planCut(e *Cut) (*OpenCut, error) {
	if err := s.follows(e); err != nil {
		return nil, err
	}
	switch {
	case len(e.Inputs) == 0 || len(e.Inputs) > MaxInputs || len(e.Payouts) > MaxPayouts:
		return nil, fail(CodeEvent, "the cut has %d inputs and %d payouts", len(e.Inputs), len(e.Payouts))
	case e.Fee < 0 || e.Fee > MaxAmount:
		return nil, fail(CodeEvent, "the cut's fee is %d sat", e.Fee)
	}
	open := &OpenCut{Settlement: e.Settlement, Version: e.Version, Generation: s.Generation(), FeeRate: e.FeeRate, Fee: e.Fee, Cleared: s.cleared}
	in, err := s.planInputs(e, open)
	if err != nil {
		return nil, err
	}
	out, err := s.planPayouts(e, open)
	if err != nil {
		return nil, err
	}
	reserved := s.Balance(MinerFees)
	if treasury := open.TreasuryFee(); treasury < 0 || treasury > s.Balance(Treasury)+reserved {
		return nil, fail(CodeEvent, "the fee is %d sat, of which the treasury would pay %d sat: it has %d sat, and %d sat reserved",
			e.Fee, treasury, s.Balance(Treasury), reserved)
	}
	if open.Change = in - out - e.Fee; open.Change < 0 {
		return nil, fail(CodeEvent, "the cut spends %d sat and pays %d sat and a fee of %d sat", in, out, e.Fee)
	}
	return open, nil
}

// follows checks the cut's number and version.
func (s *State) follows(e *Cut) error {
	next, version := s.settlements+1, uint16(1)
	if open := s.Open(); open != nil {
		next, version = open.Settlement, open.Version+1
	}
	switch {
	case e.Settlement != next || e.Version != version:
		return fail(CodeEvent, "the cut is version %d of settlement %d, the next is version %d of settlement %d", e.Version, e.Settlement, version, next)
	case e.Version > MaxVersions:
		return fail(CodeEvent, "settlement %d has %d versions already", e.Settlement, MaxVersions)
	}
	return nil
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
	common := commonInputs(s.versions)
	if len(s.versions) > 0 && !slices.ContainsFunc(e.Inputs, func(in OutPoint) bool { return common[in] }) {
		return 0, fail(CodeEvent, "version %d of settlement %d spends no coin that all versions before it spend: two could be mined", e.Version, e.Settlement)
	}
	return sum, nil
}

func (s *State) planPayouts(e *Cut, open *OpenCut) (sum Amount, err error) {
	pending := s.pending()
	seen := make(map[OrderRef]bool, len(e.Payouts))
	open.Payouts = make([]Payout, len(e.Payouts))
	for i, p := range e.Payouts {
		ref := OrderRef{Payer: p.Payer, Sequence: p.Sequence}
		payout, ok := s.held[ref]
		if !ok {
			payout, ok = pending[ref]
		}
		if !ok || seen[ref] {
			return 0, fail(CodeEvent, "payout %s is not a withdrawal that waits or stands twice", ref)
		}
		if p.FeeShare < 0 || p.FeeShare > payout.FeeMax {
			return 0, fail(CodeEvent, "payout %s is charged %d sat for the miner, its order allows %d sat", ref, p.FeeShare, payout.FeeMax)
		}
		seen[ref] = true
		payout.FeeShare = p.FeeShare
		open.Payouts[i] = payout
		sum += payout.Amount
	}
	return sum, nil
}

func (s *State) applySettled(e *Settled) error {
	open, err := s.mined(e)
	if err != nil {
		return err
	}
	left := s.pending()
	for _, in := range open.Inputs {
		delete(s.coins, in.OutPoint)
	}
	for _, p := range open.Payouts {
		delete(left, p.OrderRef)
		s.account(p.Payer).withdrawals--
		s.post(WithdrawalsPending, Vault, p.Amount)
		s.paidOut += uint64(p.Amount)
		s.post(WithdrawalsPending, MinerFees, p.FeeShare)
		s.post(WithdrawalsPending, p.Payer, p.FeeMax-p.FeeShare)
	}
	s.holdAgain(left)
	s.post(MinerFees, Vault, open.Fee)
	s.post(MinerFees, Treasury, s.Balance(MinerFees))
	if open.Change > 0 {
		change := OutPoint{TxID: e.TxID, Vout: e.ChangeVout}
		s.coins[change] = Coin{OutPoint: change, Amount: open.Change,
			Generation: open.Generation, Branch: BranchChange, Index: e.Settlement, Height: s.height}
	}
	s.versions, s.anchored = nil, s.height
	return nil
}

// mined finds the version that a Settled names and checks it against the books.
func (s *State) mined(e *Settled) (*OpenCut, error) {
	if len(s.versions) == 0 || s.settlements != e.Settlement || e.Version == 0 || int(e.Version) > len(s.versions) {
		return nil, fail(CodeEvent, "version %d of settlement %d is not in flight", e.Version, e.Settlement)
	}
	open := s.versions[e.Version-1]
	if (e.ChangeVout == NoChange) != (open.Change == 0) {
		return nil, fail(CodeEvent, "settlement %d has %d sat of change, but output %d is named for it", e.Settlement, open.Change, int32(e.ChangeVout))
	}
	change := OutPoint{TxID: e.TxID, Vout: e.ChangeVout}
	if _, ok := s.coins[change]; ok {
		return nil, fail(CodeEvent, "settlement %d has the change %s, which is a coin of the vault already", e.Settlement, change)
	}
	for _, in := range open.Inputs {
		if coin, ok := s.coins[in.OutPoint]; !ok || coin.Amount != in.Amount {
			return nil, fail(CodeEvent, "settlement %d spends %s of %d sat, which a reorganisation took from the books", e.Settlement, in.OutPoint, in.Amount)
		}
	}
	return open, nil
}

// holdAgain lets payouts wait that the mined version does not pay, in the order in
// which they were accepted.
func (s *State) holdAgain(left map[OrderRef]Payout) {
	list := slices.SortedFunc(maps.Values(left), func(a, b Payout) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for _, p := range list {
		s.post(WithdrawalsPending, p.Payer, p.Amount+p.FeeMax)
		s.account(p.Payer).held += p.Amount + p.FeeMax
		s.held[p.OrderRef] = p
	}
}
