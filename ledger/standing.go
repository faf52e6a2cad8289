package ledger

import (
	"bytes"
	"cmp"
	"slices"
)

// Instruction is a member's standing payout as the books keep it.
type Instruction struct {
	OrderRef        // of the Standing order; also names the withdrawals that it makes
	Keep     Amount // stays in the account
	Every    uint32 // blocks between two draws
	FeeMax   Amount // of each payout
	Script   []byte
	Next     uint32 // books' height from which it can be drawn
}

func (b *Standing) check() error {
	if len(b.Script) == 0 {
		if b.Keep != 0 || b.Every != 0 || b.FeeMax != 0 {
			return fail(CodeMalformed, "a standing payout to nowhere ends the one before: leave all else zero, or name a script")
		}
		return nil
	}
	if b.Keep < 0 || b.Keep > MaxAmount {
		return fail(CodeAmount, "the amount to keep is %v: it must be between 0 and 21,000,000 BTC", b.Keep)
	}
	if b.Every == 0 {
		return fail(CodeAmount, "a standing payout waits for 0 blocks between two draws: wait for at least 1")
	}
	return checkPayout(b.Keep, b.FeeMax, b.Script)
}

// instruct sets, changes or ends a member's standing payout. One that is set can be
// drawn at once; one that is changed keeps to the interval of the last draw.
func (s *State) instruct(payer AccountID, sequence uint64, b *Standing) {
	if len(b.Script) == 0 {
		delete(s.standing, payer)
		return
	}
	s.standing[payer] = Instruction{OrderRef: OrderRef{Payer: payer, Sequence: sequence}, Keep: b.Keep, Every: b.Every,
		FeeMax: b.FeeMax, Script: bytes.Clone(b.Script), Next: s.standing[payer].Next}
}

// Instruction is a member's standing payout, and whether there is one.
func (s *State) Instruction(id AccountID) (Instruction, bool) {
	i, ok := s.standing[id]
	return i, ok
}

// Due are the standing payouts that can be drawn now: those that wait longest first.
func (s *State) Due() []AccountID {
	if len(s.standing) == 0 {
		return nil
	}
	pending := s.pending()
	var list []AccountID
	for id, i := range s.standing {
		if _, err := s.canDraw(i, pending); err == nil {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b AccountID) int {
		return cmp.Or(cmp.Compare(s.standing[a].Next, s.standing[b].Next), cmp.Compare(a, b))
	})
	return list
}

// canDraw is what a standing payout pays now.
func (s *State) canDraw(i Instruction, pending map[OrderRef]Payout) (Amount, error) {
	if s.height < i.Next {
		return 0, fail(CodeEvent, "the standing payout of account %s is due at block %d, the books are at %d", i.Payer, i.Next, s.height)
	}
	_, held := s.held[i.OrderRef]
	if _, taken := pending[i.OrderRef]; held || taken {
		return 0, fail(CodeEvent, "the last draw of account %s is not paid yet", i.Payer)
	}
	owner := s.account(i.Payer)
	amount := owner.balance - owner.held - i.Keep - i.FeeMax
	if amount < s.charter.WithdrawalMin {
		return 0, fail(CodeEvent, "account %s has %d sat above what it keeps, the smallest payout is %d sat", i.Payer, amount, s.charter.WithdrawalMin)
	}
	return amount, nil
}

func (s *State) applyDraw(e *Draw) error {
	i, ok := s.standing[e.Payer]
	if !ok {
		return fail(CodeEvent, "account %s has no standing payout", e.Payer)
	}
	amount, err := s.canDraw(i, s.pending())
	if err != nil {
		return err
	}
	s.hold(s.account(i.Payer), Payout{OrderRef: i.OrderRef, Amount: amount, FeeMax: i.FeeMax, Script: i.Script})
	i.Next = uint32(min(uint64(s.height)+uint64(i.Every), uint64(^uint32(0))))
	s.standing[e.Payer] = i
	return nil
}
