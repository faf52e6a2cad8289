package ledger

import (
	"bytes"
	"math/bits"
)

// DecodeSnapshot makes the books again from a snapshot's canonical bytes: equal
// in every field to those it was taken of. Nothing is made that is much larger
// than what is read.
//
// That the header is one of the journal, only who has the journal can tell:
// compare Head with its hash there.
//
// Errors: CodeSignature for bytes that are damaged or not signed by the
// charter's operator; CodeMalformed for any other reason but the bank,
// which is CodeWrongBank.
func DecodeSnapshot(charter Charter, data []byte) (*State, error) {
	n := len(data) - len(Signature{})
	if n < 0 {
		return nil, fail(CodeMalformed, "the snapshot is cut short: it has %d bytes", len(data))
	}
	if !charter.Operator.Verify(tagSnapshot.hash(data[:n]), Signature(data[n:])) {
		return nil, fail(CodeSignature, "the snapshot is damaged or not signed by the operator %s", charter.Operator)
	}
	return decodeSnapshot(charter, data[:n])
}

// decodeSnapshot reads what write has written.
func decodeSnapshot(charter Charter, data []byte) (*State, error) {
	s, err := NewState(charter)
	if err != nil {
		return nil, err
	}
	r := &reader{rest: data}
	if v := r.u8(); v != snapshotVersion && !r.bad {
		return nil, fail(CodeMalformed, "snapshot version %d is not known here", v)
	}
	if s.last = r.header(); s.last.Bank != s.bank && !r.bad {
		return nil, fail(CodeWrongBank, "the snapshot is of bank %s, not %s", s.last.Bank, s.bank)
	}
	s.head = s.last.Hash()
	s.readPeaks(r)
	s.height, s.block = r.u32(), r.hash()
	s.credited = position{books: r.u32(), height: r.u32(), tx: r.u32(), vout: r.u32()}
	s.ordinal, s.settlements, s.anchored = r.u64(), r.u32(), r.u32()
	s.cleared, s.paidOut = r.u64(), r.u64()
	r.require(s.anchored <= s.height)
	s.readRekeys(r)
	s.readCoins(r)
	s.readLost(r)
	s.readHeld(r)
	s.readStanding(r)
	s.readVersions(r)
	s.readAccounts(r)
	if r.bad || len(r.rest) != 0 || s.last.Number == 0 {
		return nil, fail(CodeMalformed, "the snapshot is cut short, too long or beyond its limits (%d bytes)", len(data))
	}
	if err := s.checkPayouts(); err != nil {
		return nil, err
	}
	if err := s.CheckInvariants(); err != nil {
		return nil, fail(CodeMalformed, "the snapshot's books are wrong: %v", err)
	}
	if open := s.Open(); open != nil && open.Batch == s.last.Number {
		// Here, so that the next cut, at which payments wait, finds the tree made, and
		// balances at this one can be proved.
		if books := s.books(); books != open.Books {
			return nil, fail(CodeMalformed, "the snapshot's balances are not those of its cut")
		}
	}
	return s, nil
}

// readPeaks reads the journal tree's perfect trees: one for each bit of its size.
func (s *State) readPeaks(r *reader) {
	s.journal.size = s.last.Number
	for range bits.OnesCount64(s.journal.size) {
		s.journal.peaks = append(s.journal.peaks, r.hash())
	}
}

// header reads a header without its signature.
func (r *reader) header() Header {
	r.require(r.u8() == headerVersion)
	return Header{Bank: r.hash(), Number: r.u64(), Epoch: r.u64(), Time: r.u64(),
		Previous: r.hash(), Root: r.hash(), Count: r.u32()}
}

// require notes that something read is not as it must be.
func (r *reader) require(ok bool) { r.bad = r.bad || !ok }

// count32 reads a four-byte count of items that have at least the given size and
// refuses one beyond the bytes that are left, before anything is allocated.
func (r *reader) count32(size int) int {
	n := int64(r.u32())
	if n*int64(size) > int64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// sum adds an amount to a total that must stay possible.
func (r *reader) sum(total *Amount, amount Amount) {
	sum, ok := addAmounts(*total, amount)
	r.require(ok)
	if ok {
		*total = sum
	}
}

func (s *State) readRekeys(r *reader) {
	for i := range r.count32(rekeySizeMin) {
		e := Rekey{Generation: r.u32(), Policy: bytes.Clone(r.take(r.count16(MaxPolicySize, 1))), Signature: r.signature()}
		r.require(e.Generation == uint32(i)+1 && len(e.Policy) > 0)
		s.rekeys = append(s.rekeys, e)
	}
}

// readCoins reads the coins, which stand in ascending order of their outpoints.
func (s *State) readCoins(r *reader) {
	var total Amount
	var before *Coin
	for range r.count32(coinSize) {
		c := s.readCoin(r)
		r.sum(&total, c.Amount)
		r.require(before == nil || before.OutPoint.compare(c.OutPoint) < 0)
		s.coins[c.OutPoint] = c
		before = &c
	}
}

func (s *State) readCoin(r *reader) Coin {
	c := Coin{OutPoint: r.outPoint(), Amount: r.amount(), Generation: r.u32(), Branch: Branch(r.u8()), Index: r.u32(), Height: r.u32()}
	r.require(c.Amount.Valid() && c.Generation <= s.Generation() && c.Branch <= BranchChange)
	return c
}

// readLost reads outpoints, which stand in ascending order.
func (s *State) readLost(r *reader) {
	var before *OutPoint
	for range r.count32(outPointSize) {
		at := r.outPoint()
		_, coin := s.coins[at]
		r.require(!coin && (before == nil || before.compare(at) < 0))
		s.lost[at] = true
		before = &at
	}
}

// readStanding reads the standing payouts, which stand in ascending order of accounts.
func (s *State) readStanding(r *reader) {
	var before AccountID
	for range r.count32(standingSizeMin) {
		i := Instruction{OrderRef: OrderRef{Payer: AccountID(r.u64()), Sequence: r.u64()}, Keep: r.amount(), Every: r.u32(),
			FeeMax: r.amount(), Next: r.u32(), Script: r.short(maxScript)}
		b := Standing{Keep: i.Keep, Every: i.Every, FeeMax: i.FeeMax, Script: i.Script}
		r.require(before < i.Payer && len(i.Script) > 0 && b.check() == nil)
		s.standing[i.Payer] = i
		before = i.Payer
	}
}

// readHeld reads the held withdrawals, which stand in the order of acceptance.
func (s *State) readHeld(r *reader) {
	var total Amount
	var before uint64
	for range r.count32(heldSizeMin) {
		p := s.readPayout(r, &total)
		r.require(before < p.Ordinal && p.FeeShare == 0)
		s.held[p.OrderRef] = p
		before = p.Ordinal
	}
}

func (s *State) readPayout(r *reader, total *Amount) Payout {
	p := Payout{OrderRef: OrderRef{Payer: AccountID(r.u64()), Sequence: r.u64()},
		Amount: r.amount(), FeeMax: r.amount(), FeeShare: r.amount(), Ordinal: r.u64(), Height: r.u32(), Script: r.short(maxScript)}
	r.sum(total, p.Amount)
	r.sum(total, p.FeeMax)
	r.require(p.Amount > 0 && p.FeeShare >= 0 && p.FeeShare <= p.FeeMax &&
		p.Ordinal > 0 && p.Ordinal <= s.ordinal && p.Height <= s.height && payable(p.Script))
	return p
}

func (s *State) readVersions(r *reader) {
	n := int(r.u16())
	if r.require(n <= MaxVersions && (n == 0 || s.settlements > 0)); r.bad {
		return
	}
	pending := make(map[OrderRef]Payout)
	for i := range n {
		s.versions = append(s.versions, s.readVersion(r, uint16(i+1), pending))
	}
}

// readVersion reads one version of the settlement in flight. pending are the payouts
// of those before it, without fee shares; its own are added.
func (s *State) readVersion(r *reader, version uint16, pending map[OrderRef]Payout) *OpenCut {
	o := &OpenCut{Settlement: s.settlements, Version: version, Generation: r.u32(), Batch: r.u64(), FeeRate: r.u64(), Fee: r.amount(), Change: r.amount(), Cleared: r.u64()}
	r.require(o.Generation <= s.Generation() && o.Batch > 0 && o.Batch <= s.last.Number)
	r.require(o.Fee >= 0 && o.Fee <= MaxAmount && o.Change >= 0)
	var in, out, all Amount
	o.Inputs = make([]Coin, r.count16(MaxInputs, coinSize))
	r.require(len(o.Inputs) > 0)
	seen := make(map[OutPoint]bool, len(o.Inputs))
	for i := range o.Inputs {
		c := s.readCoin(r)
		_, there := s.coins[c.OutPoint]
		r.require(!seen[c.OutPoint] && (there || s.lost[c.OutPoint]))
		r.sum(&in, c.Amount)
		seen[c.OutPoint], o.Inputs[i] = true, c
	}
	paid := make(map[OrderRef]bool)
	o.Payouts = make([]Payout, r.count16(MaxPayouts, heldSizeMin))
	for i := range o.Payouts {
		p := s.readPayout(r, &all)
		_, held := s.held[p.OrderRef]
		r.require(!held && !paid[p.OrderRef])
		r.sum(&out, p.Amount)
		paid[p.OrderRef], o.Payouts[i] = true, p
		p.FeeShare = 0
		before, known := pending[p.OrderRef]
		r.require(!known || before.equal(&p))
		pending[p.OrderRef] = p
	}
	r.require(in-out-o.Fee == o.Change && o.TreasuryFee() >= 0)
	o.Books = r.books()
	r.require(o.Books.Batch == o.Batch)
	return o
}

func (p *Payout) equal(q *Payout) bool { return bytes.Equal(p.append(nil), q.append(nil)) }

func (s *State) readAccounts(r *reader) {
	n := r.count32(accountSize)
	if r.require(n >= int(FirstMember) && n <= MaxAccounts); r.bad {
		return
	}
	var owed Amount
	for id := range AccountID(n) {
		a := account{key: r.key(), last: r.hash(), sequence: r.u64(), balance: r.amount(), held: r.amount(), withdrawals: r.u32()}
		closed := r.u8()
		r.require(closed <= 1)
		a.closed = closed == 1
		if !id.IsMember() {
			r.require(a == account{balance: a.balance})
			*s.accounts.at(id.Index()) = a
		} else {
			_, twice := s.accounts.find(a.key)
			r.require(!twice)
			s.accounts.add(a)
		}
		if id == Vault {
			r.require(a.balance <= 0 && a.balance >= -MaxAmount)
		} else {
			r.sum(&owed, a.balance)
		}
	}
}

// checkPayouts compares the number of each account's withdrawals with those that
// wait or are in flight. So each has a member who ordered it.
func (s *State) checkPayouts() error {
	count := make(map[AccountID]uint32)
	note := func(p *Payout) bool {
		a := s.account(p.Payer)
		count[p.Payer]++
		return a != nil && p.Payer.IsMember() && p.Sequence > 0 && p.Sequence <= a.sequence
	}
	ok := true
	for _, p := range s.held {
		ok = note(&p) && ok
	}
	for _, p := range s.pending() {
		ok = note(&p) && ok
	}
	for id, i := range s.standing {
		a := s.account(id)
		ok = ok && a != nil && id.IsMember() && !a.closed && i.Sequence > 0 && i.Sequence <= a.sequence
	}
	for i := range s.Accounts() {
		ok = ok && s.accounts.at(i).withdrawals == count[AccountID(i)]
	}
	if !ok {
		return fail(CodeMalformed, "the snapshot's withdrawals are not those of its accounts")
	}
	return nil
}
