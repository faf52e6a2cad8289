package ledger_test

import (
	"math/big"
	"slices"

	"github.com/daobank/daobank/ledger"
)

// model is the bank as docs/formats.md tells it, as plainly as it can be
// written: maps, big integers, a full scan wherever a sum is asked for. It
// shares no code with the package: it reads the structs as data, takes its
// digests from byhand_test.go, and keeps a withdrawal as one record that goes
// through three states where the package keeps counters.
type model struct {
	charter  ledger.Charter
	bank     handHash
	height   uint32
	tip      handHash
	accounts map[uint64]*modelAccount // members only
	system   map[uint64]*big.Int      // the bank's own, vault included
	next     uint64                   // number of the next account
	used     map[handHash]bool        // keys that have or had an account
	payouts  map[[2]uint64]*modelPayout
	standing map[uint64]*modelStanding
	coins    map[modelCoin]int64
	lost     map[modelCoin]bool   // by a reorganisation
	keyOf    map[modelCoin]uint32 // generation of the key that a coin belongs to
	last     [4]uint64            // books' height, block, transaction, output of the last deposit
	flight   []*modelFlight       // versions of the settlement in flight
	batch    uint64               // number of the last batch
	cleared  uint64               // satoshis that transfers have moved
	cuts     uint32
	keys     uint32 // that the vault was given after its first
	sealed   bool   // false between a cut or rekey and the end of its batch
}

type modelAccount struct {
	sequence uint64
	previous handHash
	balance  *big.Int
	closed   bool
}

type modelPayout struct {
	amount, feeMax int64
	state          string // held, taken, paid or cancelled
}

type modelStanding struct {
	sequence             uint64
	keep, every, highest int64
	next                 int64
}

type modelCoin struct {
	tx   handHash
	vout uint32
}

type modelFlight struct {
	number  uint32
	inputs  []modelCoin
	amounts []int64 // of the inputs
	payouts [][2]uint64
	shares  []int64
	fee     int64
	change  int64
	key     uint32 // generation that gets the change
	sealed  bool   // its batch has ended
}

func newModel(c ledger.Charter) *model {
	m := &model{charter: c, bank: handTag("daobank/charter", handCharter(&c)), height: c.BirthHeight, tip: c.BirthHash,
		accounts: map[uint64]*modelAccount{}, system: map[uint64]*big.Int{}, next: 16, used: map[handHash]bool{},
		payouts: map[[2]uint64]*modelPayout{}, standing: map[uint64]*modelStanding{}, lost: map[modelCoin]bool{}, coins: map[modelCoin]int64{}, keyOf: map[modelCoin]uint32{}, sealed: true}
	for id := uint64(0); id < 16; id++ {
		m.system[id] = new(big.Int)
	}
	return m
}

var supply = big.NewInt(21e14)

func inRange(sat int64) bool { return sat > 0 && sat <= 21e14 }

// balance is the account's own integer, or nil if there is no such account.
func (m *model) balance(id uint64) *big.Int {
	if a := m.accounts[id]; a != nil {
		return a.balance
	}
	if id == 0 {
		return nil
	}
	return m.system[id]
}

func (m *model) move(from, to uint64, sat int64) {
	m.balance(from).Sub(m.balance(from), big.NewInt(sat))
	m.balance(to).Add(m.balance(to), big.NewInt(sat))
}

// held is what the account's waiting withdrawals hold.
func (m *model) held(id uint64) *big.Int {
	sum := new(big.Int)
	for ref, p := range m.payouts {
		if ref[0] == id && p.state == "held" {
			sum.Add(sum, big.NewInt(p.amount+p.feeMax))
		}
	}
	return sum
}

func (m *model) available(id uint64) *big.Int {
	return new(big.Int).Sub(m.balance(id), m.held(id))
}

func (m *model) owed() *big.Int {
	sum := new(big.Int)
	for _, a := range m.accounts {
		sum.Add(sum, a.balance)
	}
	for id, balance := range m.system {
		if id != 1 {
			sum.Add(sum, balance)
		}
	}
	return sum
}

// order carries an order out and answers "", or answers the code of its refusal.
func (m *model) order(o *ledger.Order, keyOK func(ledger.Key) bool) string {
	if handHash(o.Bank) != m.bank {
		return "wrong_bank"
	}
	if code := m.shape(o, keyOK); code != "" {
		return code
	}
	if !m.sealed {
		return "invalid_event"
	}
	expired := o.Expiry != 0 && o.Expiry < m.height
	if open, ok := o.Body.(*ledger.Open); ok {
		if m.used[handHash(open.Key)] {
			return "account_exists"
		}
		if expired {
			return "order_expired"
		}
		m.used[handHash(open.Key)] = true
		m.accounts[m.next] = &modelAccount{previous: handDigest(o), balance: new(big.Int)}
		m.next++
		return ""
	}
	payer, id := m.accounts[uint64(o.Payer)], uint64(o.Payer)
	switch {
	case payer == nil && id > 0 && id < 16:
		return "system_account"
	case payer == nil:
		return "unknown_account"
	case payer.closed:
		return "account_closed"
	case o.Sequence <= payer.sequence:
		return "sequence_used"
	case o.Sequence != payer.sequence+1:
		return "sequence_skipped"
	case handHash(o.Previous) != payer.previous:
		return "wrong_previous"
	case expired:
		return "order_expired"
	}
	code := m.carryOut(id, o)
	if code == "" {
		payer.sequence, payer.previous = o.Sequence, handDigest(o)
	}
	return code
}

// shape is what can be said of an order without the books.
func (m *model) shape(o *ledger.Order, keyOK func(ledger.Key) bool) string {
	switch b := o.Body.(type) {
	case *ledger.Open:
		if o.Payer != 0 || o.Sequence != 0 || o.Previous != (ledger.Hash{}) {
			return "malformed"
		}
		if !keyOK(b.Key) {
			return "invalid_key"
		}
	case *ledger.Transfer:
		if len(b.Payments) == 0 {
			return "no_payee"
		}
		if len(b.Payments) > 1000 || len(b.Reference) > 64 {
			return "oversized"
		}
		sum := new(big.Int)
		for _, p := range b.Payments {
			sum.Add(sum, big.NewInt(int64(p.Amount)))
			if !inRange(int64(p.Amount)) {
				return "amount_out_of_range"
			}
			if p.Payee == o.Payer {
				return "self_payment"
			}
			if uint64(p.Payee)&0xffffffff < 16 && p.Payee != 2 {
				return "system_account"
			}
		}
		if sum.Cmp(supply) > 0 {
			return "amount_overflow"
		}
	case *ledger.Withdraw:
		if !inRange(int64(b.Amount)) || b.FeeMax != 0 && !inRange(int64(b.FeeMax)) {
			return "amount_out_of_range"
		}
		if int64(b.Amount)+int64(b.FeeMax) > 21e14 {
			return "amount_overflow"
		}
		if !standard(b.Script) {
			return "unsupported_script"
		}
	case *ledger.Standing:
		if len(b.Script) == 0 {
			if b.Keep != 0 || b.FeeMax != 0 || b.Every != 0 {
				return "malformed"
			}
			return ""
		}
		if b.Keep != 0 && !inRange(int64(b.Keep)) || b.Every < 1 || b.FeeMax != 0 && !inRange(int64(b.FeeMax)) {
			return "amount_out_of_range"
		}
		if int64(b.Keep)+int64(b.FeeMax) > 21e14 {
			return "amount_overflow"
		}
		if !standard(b.Script) {
			return "unsupported_script"
		}
	}
	return ""
}

// standard compares with templates; x is any byte.
func standard(script []byte) bool {
	x20, x32 := make([]int, 20), make([]int, 32)
	for i := range x32 {
		x32[i] = -1
		x20[i%20] = -1
	}
	join := func(parts ...[]int) (t []int) {
		for _, part := range parts {
			t = append(t, part...)
		}
		return t
	}
	for _, template := range [][]int{
		join([]int{0x76, 0xa9, 20}, x20, []int{0x88, 0xac}),
		join([]int{0xa9, 20}, x20, []int{0x87}),
		join([]int{0x00, 20}, x20),
		join([]int{0x00, 32}, x32),
		join([]int{0x51, 32}, x32),
	} {
		same := len(template) == len(script)
		for i := 0; same && i < len(script); i++ {
			same = template[i] == -1 || template[i] == int(script[i])
		}
		if same {
			return true
		}
	}
	return false
}

func (m *model) carryOut(id uint64, o *ledger.Order) string {
	switch b := o.Body.(type) {
	case *ledger.Transfer:
		sum := new(big.Int)
		for _, p := range b.Payments {
			if m.balance(uint64(p.Payee)) == nil {
				return "unknown_account"
			}
			if a := m.accounts[uint64(p.Payee)]; a != nil && a.closed {
				return "account_closed"
			}
			sum.Add(sum, big.NewInt(int64(p.Amount)))
		}
		if sum.Cmp(m.available(id)) > 0 {
			return "insufficient_funds"
		}
		for _, p := range b.Payments {
			m.move(id, uint64(p.Payee), int64(p.Amount))
			m.cleared += uint64(p.Amount)
		}
	case *ledger.Withdraw:
		if b.Amount < m.charter.WithdrawalMin {
			return "dust_withdrawal"
		}
		if big.NewInt(int64(b.Amount)+int64(b.FeeMax)).Cmp(m.available(id)) > 0 {
			return "insufficient_funds"
		}
		m.payouts[[2]uint64{id, o.Sequence}] = &modelPayout{amount: int64(b.Amount), feeMax: int64(b.FeeMax), state: "held"}
	case *ledger.Cancel:
		p := m.payouts[[2]uint64{id, b.Sequence}]
		if p == nil || p.state != "held" {
			return "withdrawal_not_waiting"
		}
		p.state = "cancelled"
	case *ledger.Standing:
		s := &modelStanding{sequence: o.Sequence, keep: int64(b.Keep), every: int64(b.Every), highest: int64(b.FeeMax)}
		if old := m.standing[id]; old != nil {
			s.next = old.next
		}
		if m.standing[id] = s; len(b.Script) == 0 {
			delete(m.standing, id)
		}
	case *ledger.Close:
		if m.balance(id).Sign() != 0 {
			return "account_not_empty"
		}
		for ref, p := range m.payouts {
			if ref[0] == id && (p.state == "held" || p.state == "taken") {
				return "account_not_empty"
			}
		}
		delete(m.standing, id)
		m.accounts[id].closed = true
	}
	return ""
}

// event records an event, or answers false and changes nothing.
func (m *model) event(event ledger.Event) bool {
	if !m.sealed {
		return false
	}
	switch e := event.(type) {
	case *ledger.Block:
		if uint64(e.Height) != uint64(m.height)+1 || handHash(e.Previous) != m.tip {
			return false
		}
		m.height, m.tip = e.Height, e.Hash
		return true
	case *ledger.Deposit:
		return m.deposit(e)
	case *ledger.Cut:
		return m.cut(e)
	case *ledger.Settled:
		return m.settled(e)
	case *ledger.Rekey:
		if e.Generation != m.keys+1 || len(e.Policy) < 1 || len(e.Policy) > 16384 {
			return false
		}
		m.keys, m.sealed = e.Generation, false
		return true
	case *ledger.Draw:
		return m.draw(uint64(e.Payer))
	case *ledger.Reorganised:
		return m.reorganised(e)
	case *ledger.Correct:
		to, sum := m.balance(uint64(e.Account)), big.NewInt(int64(e.Amount))
		a := m.accounts[uint64(e.Account)]
		if !inRange(int64(e.Amount)) || sum.Cmp(m.system[5]) > 0 || to == nil || a == nil && e.Account != 2 || a != nil && a.closed ||
			e.Batch < 1 || e.Batch > m.batch {
			return false
		}
		m.move(5, uint64(e.Account), int64(e.Amount))
		return true
	}
	return false
}

func (m *model) draw(id uint64) bool {
	s := m.standing[id]
	if s == nil || int64(m.height) < s.next {
		return false
	}
	ref := [2]uint64{id, s.sequence}
	if last := m.payouts[ref]; last != nil && (last.state == "held" || last.state == "taken") {
		return false
	}
	amount := new(big.Int).Sub(m.available(id), big.NewInt(s.keep+s.highest))
	if amount.Cmp(big.NewInt(int64(m.charter.WithdrawalMin))) < 0 {
		return false
	}
	m.payouts[ref] = &modelPayout{amount: amount.Int64(), feeMax: s.highest, state: "held"}
	s.next = min(int64(m.height)+s.every, 1<<32-1)
	return true
}

func (m *model) reorganised(e *ledger.Reorganised) bool {
	if e.From <= m.charter.BirthHeight || e.From > m.height || e.Height < m.height || handHash(e.Hash) == m.tip ||
		len(e.Removed) > 900 || len(e.Added) > 900 || len(e.Paid) > 900 {
		return false
	}
	have, sum := new(big.Int).Add(m.system[5], m.system[2]), m.owed()
	added := map[modelCoin]bool{}
	for _, a := range e.Added {
		coin := modelCoin{handHash(a.OutPoint.TxID), a.OutPoint.Vout}
		sum.Add(sum, big.NewInt(int64(a.Amount)))
		if _, known := m.coins[coin]; known || added[coin] || !inRange(int64(a.Amount)) || a.Generation > m.keys || a.Branch > 1 || sum.Cmp(supply) > 0 {
			return false
		}
		added[coin] = true
		if m.addedTo(&a) == 5 {
			have.Add(have, big.NewInt(int64(a.Amount)))
		}
	}
	paid := map[[2]uint64]bool{}
	for _, r := range e.Paid {
		ref := [2]uint64{uint64(r.Payer), r.Sequence}
		p := m.payouts[ref]
		if p == nil || p.state != "held" || paid[ref] {
			return false
		}
		paid[ref] = true
		have.Add(have, big.NewInt(p.amount))
	}
	removed := map[modelCoin]bool{}
	for _, at := range e.Removed {
		coin := modelCoin{handHash(at.TxID), at.Vout}
		amount, known := m.coins[coin]
		if !known || removed[coin] {
			return false
		}
		removed[coin] = true
		have.Sub(have, big.NewInt(amount))
	}
	if have.Sign() < 0 {
		return false
	}
	if len(m.flight) > 0 {
		safe := false
		for coin := range m.coins {
			safe = safe || m.inAll(coin) && !removed[coin]
		}
		if !safe {
			return false
		}
	}
	for _, a := range e.Added {
		coin := modelCoin{handHash(a.OutPoint.TxID), a.OutPoint.Vout}
		m.coins[coin], m.keyOf[coin] = int64(a.Amount), a.Generation
		m.move(1, m.addedTo(&a), int64(a.Amount))
		delete(m.lost, coin)
	}
	for ref := range paid {
		m.payouts[ref].state = "paid"
		m.move(ref[0], 5, m.payouts[ref].amount)
	}
	for coin := range removed {
		m.move(5, 1, m.coins[coin])
		delete(m.coins, coin)
		m.lost[coin] = true
	}
	if m.system[5].Sign() < 0 {
		m.move(2, 5, -m.system[5].Int64())
	}
	m.height, m.tip = e.Height, e.Hash
	return true
}

func (m *model) addedTo(a *ledger.Added) uint64 {
	owner := m.accounts[uint64(a.Index)]
	switch {
	case !a.Deposit, a.Branch != 0, m.lost[modelCoin{handHash(a.OutPoint.TxID), a.OutPoint.Vout}]:
		return 5
	case a.Index == 2:
		return 2
	case owner != nil && !owner.closed:
		return uint64(a.Index)
	}
	return 5
}

// inAll says whether all versions of the settlement in flight spend a coin.
func (m *model) inAll(coin modelCoin) bool {
	for _, f := range m.flight {
		if !slices.Contains(f.inputs, coin) {
			return false
		}
	}
	return true
}

func (m *model) deposit(e *ledger.Deposit) bool {
	coin := modelCoin{handHash(e.OutPoint.TxID), e.OutPoint.Vout}
	creditable := int64(m.height)
	if e.TxIndex == 0 {
		// The block after the tip spends it: tip+1 = height+depth ≥ e.Height+100.
		creditable = int64(m.height) + int64(m.charter.Depth) - 100
	}
	at := [4]uint64{uint64(m.height), uint64(e.Height), uint64(e.TxIndex), uint64(e.OutPoint.Vout)}
	if !inRange(int64(e.Amount)) || e.Generation > m.keys || e.Branch > 1 || int64(e.Height) != creditable || e.Height <= m.charter.BirthHeight || !later(at, m.last) {
		return false
	}
	if _, known := m.coins[coin]; known {
		return false
	}
	if sum := m.owed(); sum.Add(sum, big.NewInt(int64(e.Amount))).Cmp(supply) > 0 {
		return false
	}
	m.last, m.coins[coin], m.keyOf[coin] = at, int64(e.Amount), e.Generation
	to := uint64(5)
	if e.Branch == 0 {
		if a := m.accounts[uint64(e.Index)]; a != nil && !a.closed {
			to = uint64(e.Index)
		} else if e.Index == 2 {
			to = 2
		}
	}
	if m.lost[coin] {
		to = 5
		delete(m.lost, coin)
	}
	m.move(1, to, int64(e.Amount))
	return true
}

func later(a, b [4]uint64) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return false
}

func (m *model) cut(e *ledger.Cut) bool {
	if want := m.cuts + 1; len(m.flight) == 0 && (e.Settlement != want || e.Version != 1) ||
		len(m.flight) > 0 && (e.Settlement != m.cuts || int(e.Version) != len(m.flight)+1 || e.Version > 100) {
		return false
	}
	if len(e.Inputs) < 1 || len(e.Inputs) > 1500 || len(e.Payouts) > 2000 ||
		e.Fee < 0 || e.Fee > 21e14 {
		return false
	}
	f := &modelFlight{number: e.Settlement, fee: int64(e.Fee), key: m.keys}
	in, out, shares := new(big.Int), new(big.Int), new(big.Int)
	inputs := map[modelCoin]bool{}
	for _, i := range e.Inputs {
		coin := modelCoin{handHash(i.TxID), i.Vout}
		amount, known := m.coins[coin]
		if !known || inputs[coin] {
			return false
		}
		inputs[coin] = true
		f.inputs, f.amounts = append(f.inputs, coin), append(f.amounts, amount)
		in.Add(in, big.NewInt(amount))
	}
	if !slices.ContainsFunc(f.inputs, m.inAll) {
		return false
	}
	taken := map[[2]uint64]bool{}
	for _, p := range e.Payouts {
		ref := [2]uint64{uint64(p.Payer), p.Sequence}
		held := m.payouts[ref]
		if held == nil || held.state != "held" && held.state != "taken" || taken[ref] || p.FeeShare < 0 || int64(p.FeeShare) > held.feeMax {
			return false
		}
		taken[ref] = true
		f.payouts, f.shares = append(f.payouts, ref), append(f.shares, int64(p.FeeShare))
		out.Add(out, big.NewInt(held.amount))
		shares.Add(shares, big.NewInt(int64(p.FeeShare)))
	}
	fee := big.NewInt(int64(e.Fee))
	treasury := new(big.Int).Sub(fee, shares)
	change := new(big.Int).Sub(in, new(big.Int).Add(out, fee))
	more := new(big.Int).Sub(treasury, m.system[4])
	if treasury.Sign() < 0 || more.Cmp(m.system[2]) > 0 || change.Sign() < 0 {
		return false
	}
	f.change = change.Int64()
	for _, ref := range f.payouts {
		if p := m.payouts[ref]; p.state == "held" {
			p.state = "taken"
			m.move(ref[0], 3, p.amount+p.feeMax)
		}
	}
	if more.Sign() > 0 {
		m.move(2, 4, more.Int64())
	}
	m.flight, m.cuts, m.sealed = append(m.flight, f), e.Settlement, false
	return true
}

func (m *model) settled(e *ledger.Settled) bool {
	if len(m.flight) == 0 || m.cuts != e.Settlement || e.Version < 1 || int(e.Version) > len(m.flight) {
		return false
	}
	f := m.flight[e.Version-1]
	if (f.change == 0) != (e.ChangeVout == 0xffffffff) {
		return false
	}
	for i, coin := range f.inputs {
		if now, known := m.coins[coin]; !known || now != f.amounts[i] {
			return false
		}
	}
	change := modelCoin{handHash(e.TxID), e.ChangeVout}
	if _, known := m.coins[change]; known {
		return false
	}
	for _, coin := range f.inputs {
		delete(m.coins, coin)
	}
	for i, ref := range f.payouts {
		p := m.payouts[ref]
		p.state = "paid"
		m.move(3, 1, p.amount)
		m.move(3, 4, f.shares[i])
		m.move(3, ref[0], p.feeMax-f.shares[i])
	}
	for ref, p := range m.payouts {
		if p.state == "taken" { // by another version
			p.state = "held"
			m.move(3, ref[0], p.amount+p.feeMax)
		}
	}
	m.move(4, 1, f.fee)
	m.move(4, 2, m.system[4].Int64())
	if f.change > 0 {
		m.coins[change], m.keyOf[change] = f.change, f.key
	}
	m.flight = nil
	return true
}

// books is the books' hash at a cut after batches with these header hashes.
func (m *model) books(headers []handHash) handHash {
	owed := make([]int64, m.next)
	for id := range owed {
		if b := m.balance(uint64(id)); b != nil && id != 1 {
			owed[id] = b.Int64()
		}
	}
	root, sum := handSum(0, owed)
	return handBooks(headers[len(headers)-1], uint64(len(headers)), handJournal(headers), uint32(m.next), root, sum)
}
