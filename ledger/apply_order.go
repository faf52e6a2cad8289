package ledger

import "bytes"

// Check verifies all that can be said of an order without the books: the bank
// it is for, its shape and its amounts. Nothing else is looked at before it.
func (o *Order) Check(bank BankID) error {
	if o.Bank != bank {
		return fail(CodeWrongBank, "the order is for bank %s, this is %s: sign it for this bank's id", o.Bank, bank)
	}
	switch body := o.Body.(type) {
	case *Open:
		return o.checkOpen(body)
	case *Transfer:
		return body.check(o.Payer)
	case *Withdraw:
		return body.check()
	case *Standing:
		return body.check()
	case *Close, *Cancel:
		return nil
	}
	return fail(CodeMalformed, "the order asks for nothing")
}

func (o *Order) checkOpen(body *Open) error {
	if o.Payer != 0 || o.Sequence != 0 || !o.Previous.IsZero() {
		return fail(CodeMalformed, "an open order has payer 0, sequence 0 and no previous order")
	}
	return body.Key.Validate()
}

func (t *Transfer) check(payer AccountID) error {
	switch {
	case len(t.Payments) == 0:
		return fail(CodeNoPayee, "the transfer pays nobody: name at least one payee")
	case len(t.Payments) > MaxPayees:
		return fail(CodeOversized, "the transfer has %d payees: send at most %d in one order", len(t.Payments), MaxPayees)
	case len(t.Reference) > MaxReference:
		return fail(CodeOversized, "the reference has %d bytes: at most %d fit", len(t.Reference), MaxReference)
	}
	for _, p := range t.Payments {
		switch {
		case !p.Amount.Valid():
			return errAmount(p.Amount)
		case p.Payee == payer:
			return fail(CodeSelfPayment, "account %s pays itself: name another payee", payer)
		case !p.Payee.IsMember() && p.Payee != Treasury:
			return fail(CodeSystemAccount, "%s is not a member's account and cannot be paid", p.Payee)
		}
	}
	if _, ok := t.Total(); !ok {
		return fail(CodeOverflow, "the %d payments add up to more than 21,000,000 BTC: split the order", len(t.Payments))
	}
	return nil
}

func (w *Withdraw) check() error {
	if !w.Amount.Valid() {
		return errAmount(w.Amount)
	}
	return checkPayout(w.Amount, w.FeeMax, w.Script)
}

// checkPayout checks what is to leave an account, or to stay in it, beside a fee.
func checkPayout(amount, feeMax Amount, script []byte) error {
	if feeMax < 0 || feeMax > MaxAmount {
		return fail(CodeAmount, "the highest fee is %v: it must be between 0 and 21,000,000 BTC", feeMax)
	}
	if _, ok := addAmounts(amount, feeMax); !ok {
		return fail(CodeOverflow, "the amount and the highest fee add up to more than 21,000,000 BTC")
	}
	if !payable(script) {
		return fail(CodeScript, "the script %x cannot be paid: use a P2PKH, P2SH, P2WPKH, P2WSH or P2TR address", script)
	}
	return nil
}

// payable reports whether a script is one of the five standard forms.
func payable(s []byte) bool {
	switch len(s) {
	case 25: // P2PKH: DUP HASH160 <20> EQUALVERIFY CHECKSIG
		return s[0] == 0x76 && s[1] == 0xa9 && s[2] == 20 && s[23] == 0x88 && s[24] == 0xac
	case 23: // P2SH: HASH160 <20> EQUAL
		return s[0] == 0xa9 && s[1] == 20 && s[22] == 0x87
	case 22: // P2WPKH: 0 <20>
		return s[0] == 0 && s[1] == 20
	case 34: // P2WSH: 0 <32>; P2TR: 1 <32>
		return (s[0] == 0 || s[0] == 0x51) && s[1] == 32
	}
	return false
}

// CanApplyOrder returns the refusal that ApplyOrder would return. It does not
// check the signature; Verify does.
func (s *State) CanApplyOrder(o *Order) error {
	if err := o.Check(s.bank); err != nil {
		return err
	}
	if s.ended != 0 {
		return fail(CodeEvent, "a %s ends its batch: nothing can follow it", s.ended)
	}
	if open, ok := o.Body.(*Open); ok {
		return s.canOpen(o, open)
	}
	payer, err := s.payer(o)
	if err != nil {
		return err
	}
	switch body := o.Body.(type) {
	case *Transfer:
		return s.canTransfer(o.Payer, payer, body)
	case *Withdraw:
		if body.Amount < s.charter.WithdrawalMin {
			return fail(CodeDust, "the withdrawal of %d sat is too small to be paid on chain: withdraw at least %d sat", body.Amount, s.charter.WithdrawalMin)
		}
		return covers(o.Payer, payer, body.Amount+body.FeeMax)
	case *Cancel:
		ref := OrderRef{Payer: o.Payer, Sequence: body.Sequence}
		if _, held := s.held[ref]; !held {
			return fail(CodeNotWaiting, "order %s is no withdrawal that waits: it is being settled, is paid, or was cancelled before", ref)
		}
		return nil
	case *Standing:
		return nil
	default:
		if payer.balance != 0 || payer.withdrawals != 0 {
			return fail(CodeNotEmpty, "account %s has %d sat and %d open withdrawals: empty it and wait for them before closing",
				o.Payer, payer.balance, payer.withdrawals)
		}
		return nil
	}
}

func (s *State) canOpen(o *Order, body *Open) error {
	if id, ok := s.accounts.find(body.Key); ok {
		return fail(CodeExists, "the key has account %s already: use it", id)
	}
	if s.accounts.len() >= MaxAccounts {
		return fail(CodeOversized, "the bank has no room for another account")
	}
	return s.notExpired(o)
}

// payer finds the payer and checks that the order is the next of its chain.
func (s *State) payer(o *Order) (*account, error) {
	a := s.account(o.Payer)
	switch {
	case a != nil && !o.Payer.IsMember():
		return nil, fail(CodeSystemAccount, "%s is an account of the bank: members pay from their own", o.Payer)
	case a == nil:
		return nil, fail(CodeAccount, "account %s does not exist: open it first", o.Payer)
	case a.closed:
		return nil, fail(CodeClosed, "account %s is closed: it can pay nothing more", o.Payer)
	case o.Sequence <= a.sequence:
		return nil, fail(CodeSequenceUsed, "sequence %d of account %s is used by another order: the next is %d", o.Sequence, o.Payer, a.sequence+1)
	case o.Sequence > a.sequence+1:
		return nil, fail(CodeSequenceGap, "sequence %d of account %s comes too early: the next is %d", o.Sequence, o.Payer, a.sequence+1)
	case o.Previous != a.last:
		return nil, fail(CodePrevious, "the order names %s as account %s's previous order, but that is %s", o.Previous, o.Payer, a.last)
	}
	return a, s.notExpired(o)
}

func (s *State) notExpired(o *Order) error {
	if o.Expiry != 0 && s.height > o.Expiry {
		return fail(CodeExpired, "the order expired at height %d and the books are at %d: sign a new one", o.Expiry, s.height)
	}
	return nil
}

func (s *State) canTransfer(id AccountID, payer *account, t *Transfer) error {
	for _, p := range t.Payments {
		payee := s.account(p.Payee)
		if payee == nil {
			return fail(CodeAccount, "payee %s does not exist: check the account", p.Payee)
		}
		if payee.closed {
			return fail(CodeClosed, "payee %s is closed and can be paid no more", p.Payee)
		}
	}
	total, _ := t.Total()
	return covers(id, payer, total)
}

func covers(id AccountID, a *account, amount Amount) error {
	available := a.balance - a.held
	if amount <= available {
		return nil
	}
	if a.held > 0 {
		return fail(CodeFunds, "account %s has %d sat available (%d sat are held for withdrawals) and the order needs %d sat", id, available, a.held, amount)
	}
	return fail(CodeFunds, "account %s has %d sat and the order needs %d sat", id, available, amount)
}

// ApplyOrder carries an order out. It does not check the signature. Errors: an
// *Error, and nothing changed.
func (s *State) ApplyOrder(o *Order) (Effects, error) {
	if err := s.CanApplyOrder(o); err != nil {
		return Effects{}, err
	}
	return s.carryOut(o, o.Digest()), nil
}

// ApplyDigested is ApplyOrder for whoever has the order's digest already.
func (s *State) ApplyDigested(o *Order, digest Hash) (Effects, error) {
	if err := s.CanApplyOrder(o); err != nil {
		return Effects{}, err
	}
	return s.carryOut(o, digest), nil
}

// carryOut does what CanApplyOrder found to be possible.
func (s *State) carryOut(o *Order, digest Hash) Effects {
	s.midBatch = true
	s.postings = s.postings[:0]
	if open, ok := o.Body.(*Open); ok {
		return Effects{Opened: s.accounts.add(account{key: open.Key, last: digest})}
	}
	payer := s.account(o.Payer)
	payer.sequence, payer.last = o.Sequence, digest
	switch body := o.Body.(type) {
	case *Transfer:
		for _, p := range body.Payments {
			s.post(o.Payer, p.Payee, p.Amount)
			s.cleared += uint64(p.Amount)
		}
	case *Withdraw:
		s.hold(payer, Payout{OrderRef: OrderRef{Payer: o.Payer, Sequence: o.Sequence},
			Amount: body.Amount, FeeMax: body.FeeMax, Script: bytes.Clone(body.Script)})
	case *Cancel:
		s.release(OrderRef{Payer: o.Payer, Sequence: body.Sequence})
	case *Standing:
		s.instruct(o.Payer, o.Sequence, body)
	case *Close:
		payer.closed = true
		delete(s.standing, o.Payer)
	}
	return Effects{Postings: s.postings}
}

// hold accepts a withdrawal.
func (s *State) hold(owner *account, p Payout) {
	s.ordinal++
	p.Ordinal, p.Height = s.ordinal, s.height
	owner.held += p.Amount + p.FeeMax
	owner.withdrawals++
	s.held[p.OrderRef] = p
}

// release ends a withdrawal that waits: what it holds is available again.
func (s *State) release(ref OrderRef) {
	p, owner := s.held[ref], s.account(ref.Payer)
	owner.held -= p.Amount + p.FeeMax
	owner.withdrawals--
	delete(s.held, ref)
}
