package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/daobank/daobank/bip340"
)

// State is the bank's books at one point of the journal: a deterministic
// machine without clock, disk, network or randomness. The clearing engine runs
// it to decide; recovery, guardians and auditors run it to check. It is not
// safe for concurrent use.
//
// ApplyOrder and ApplyEvent either change the books and return what they moved,
// or refuse and change nothing. Seal ends a batch. Append does all of that for
// a finished batch and checks the batch itself too.
type State struct {
	charter Charter
	bank    BankID

	last     Header // of the last sealed batch; zero before the first
	head     Hash   // its hash; the bank's id before the first
	journal  journalPeaks
	height   uint32 // last block of the books
	block    Hash
	credited position // last deposit

	accounts *accountTable // by index; the first FirstMember are the bank's own
	held     map[OrderRef]Payout
	standing map[AccountID]Instruction
	ordinal  uint64 // withdrawals accepted so far
	coins    map[OutPoint]Coin
	lost     map[OutPoint]bool // coins that a reorganisation took; who had them keeps them

	versions    []*OpenCut // of the settlement in flight, the newest last; none when there is none
	ended       Kind       // the cut or rekey that ends the batch, until it is sealed; else 0
	midBatch    bool       // entries were applied since the last Seal
	settlements uint32     // settlements cut so far
	cleared     uint64     // satoshis that transfers have moved so far, modulo 2⁶⁴
	paidOut     uint64     // satoshis that settlements have paid out so far, modulo 2⁶⁴
	anchored    uint32     // books' height when the last one was posted; the birth height before
	rekeys      []Rekey    // by generation, from 1

	postings []Posting        // of the entry applied last; reused
	verifier *bip340.Verifier // of Append, made when it is needed
	sums     *sumTree         // of books, made at the first cut
}

type account struct {
	key         Key
	last        Hash // digest of the last order
	sequence    uint64
	balance     Amount
	held        Amount
	withdrawals uint32 // accepted, not yet settled at depth
	closed      bool
}

// OrderRef names an order by its payer and sequence number.
type OrderRef struct {
	Payer    AccountID
	Sequence uint64
}

func (r OrderRef) String() string { return fmt.Sprintf("%d/%d", uint64(r.Payer), r.Sequence) }

// Posting is one double entry: Debit gives, Credit gets, Amount is above zero.
type Posting struct {
	Debit, Credit AccountID
	Amount        Amount
}

// Effects is what an entry did to the books.
type Effects struct {
	// Postings are in order. The slice is valid until the next call on the State.
	Postings []Posting
	// Opened is the account that an Open made, else 0.
	Opened AccountID
}

// Account is a copy of one account.
type Account struct {
	ID       AccountID
	Key      Key // zero for a system account
	Balance  Amount
	Held     Amount // by withdrawals that wait for a cut; part of Balance
	Sequence uint64 // of the last order
	Last     Hash   // digest of the last order
	Closed   bool
}

// Available is what the account can spend now.
func (a *Account) Available() Amount { return a.Balance - a.Held }

// Payout is a withdrawal that was accepted and is not yet settled.
type Payout struct {
	OrderRef
	Amount   Amount // what Script receives
	FeeMax   Amount // most that its owner pays the miner
	FeeShare Amount // what its owner pays the miner; 0 until a cut takes it
	Script   []byte
	Ordinal  uint64 // place in the order of acceptance, over all withdrawals
	Height   uint32 // of the books when it was accepted
}

// Coin is an output on chain that belongs to the vault.
type Coin struct {
	OutPoint
	Amount     Amount
	Generation uint32 // of the vault's key
	Branch     Branch
	Index      uint32
	Height     uint32 // books' height at which it was recorded
}

// OpenCut is a version of a settlement between its cut and its depth: everything
// that its Bitcoin transaction is made from.
type OpenCut struct {
	Settlement uint32
	Version    uint16 // from 1
	Generation uint32 // of the vault's key that change returns to
	Batch      uint64 // number of the batch that the cut ended
	FeeRate    uint64 // satoshis per 1,000 vbytes
	Fee        Amount
	Inputs     []Coin
	Payouts    []Payout
	Change     Amount // returned to the vault; 0 for none
	Cleared    uint64 // State.Cleared at the cut
	Books      Books  // what the transaction anchors
}

// TreasuryFee is what the treasury pays of the fee: all that the payouts do not.
func (o *OpenCut) TreasuryFee() Amount {
	fee := o.Fee
	for i := range o.Payouts {
		fee -= o.Payouts[i].FeeShare
	}
	return fee
}

// position orders deposits along the chain, so that none is credited twice.
type position struct{ books, height, tx, vout uint32 }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.books, q.books), cmp.Compare(p.height, q.height),
		cmp.Compare(p.tx, q.tx), cmp.Compare(p.vout, q.vout))
}

// NewState returns the empty books of a bank.
func NewState(charter Charter) (*State, error) {
	if err := charter.Validate(); err != nil {
		return nil, err
	}
	return &State{
		charter:  charter,
		bank:     charter.ID(),
		head:     charter.ID(),
		height:   charter.BirthHeight,
		anchored: charter.BirthHeight,
		block:    charter.BirthHash,
		accounts: newAccountTable(),
		held:     make(map[OrderRef]Payout),
		standing: make(map[AccountID]Instruction),
		coins:    make(map[OutPoint]Coin),
		lost:     make(map[OutPoint]bool),
	}, nil
}

// Bank is the id of the bank whose books these are.
func (s *State) Bank() BankID { return s.bank }

// Charter is the charter of the bank whose books these are.
func (s *State) Charter() Charter { return s.charter }

// Last is the header of the last sealed batch; the zero Header before the first.
func (s *State) Last() Header { return s.last }

// Head is the hash of the last sealed header; the bank's id before the first.
func (s *State) Head() Hash { return s.head }

// Block is the last block of the books: height and hash in wire byte order.
func (s *State) Block() (height uint32, hash Hash) { return s.height, s.block }

// Accounts is the number of account slots, the bank's own FirstMember included:
// members have the indices from FirstMember up to it.
func (s *State) Accounts() uint32 { return uint32(s.accounts.len()) }

// Account returns a copy of an account and whether it exists. Every system
// account exists.
func (s *State) Account(id AccountID) (Account, bool) {
	a := s.account(id)
	if a == nil {
		return Account{}, false
	}
	return Account{ID: id, Key: a.key, Balance: a.balance, Held: a.held,
		Sequence: a.sequence, Last: a.last, Closed: a.closed}, true
}

// Lookup returns the account of a key.
func (s *State) Lookup(key Key) (AccountID, bool) {
	return s.accounts.find(key)
}

// Balance is an account's balance, 0 for one that does not exist.
func (s *State) Balance(id AccountID) Amount {
	if a := s.account(id); a != nil {
		return a.balance
	}
	return 0
}

// Liabilities is what the bank owes everyone: the sum of all accounts but the
// vault. It always equals the coins of the books.
func (s *State) Liabilities() Amount { return -s.accounts.at(Vault.Index()).balance }

// Held returns the withdrawals that wait for a cut, in the order in which they
// were accepted.
func (s *State) Held() []Payout {
	list := make([]Payout, 0, len(s.held))
	for _, p := range s.held {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Payout) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	return list
}

// Waiting is a withdrawal that waits for a cut, and whether it does.
func (s *State) Waiting(ref OrderRef) (Payout, bool) {
	p, ok := s.held[ref]
	return p, ok
}

// Coins returns the vault's coins, oldest first and then by outpoint.
func (s *State) Coins() []Coin {
	list := make([]Coin, 0, len(s.coins))
	for _, c := range s.coins {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Coin) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height),
			slices.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Vout, b.Vout))
	})
	return list
}

// Open is the newest version of the settlement in flight, or nil. The caller must
// not change it.
func (s *State) Open() *OpenCut {
	if len(s.versions) == 0 {
		return nil
	}
	return s.versions[len(s.versions)-1]
}

// Versions are all versions of the settlement in flight, the newest last: any one
// of them may be mined, and no two. The caller must not change them.
func (s *State) Versions() []*OpenCut { return s.versions }

// Settlements is the number of settlements cut so far; also the last one's number.
func (s *State) Settlements() uint32 { return s.settlements }

// Cleared is the number of satoshis that transfers have moved inside the bank so far.
// It wraps at 2⁶⁴; differences are exact.
func (s *State) Cleared() uint64 { return s.cleared }

// PaidOut is the number of satoshis that settlements have paid out on chain so far. It
// wraps as Cleared does.
func (s *State) PaidOut() uint64 { return s.paidOut }

// Anchored is the books' height when the last settlement was posted, and with it its
// anchor; the birth height before the first.
func (s *State) Anchored() uint32 { return s.anchored }

// Generation is the number of the vault's newest key: 0 is the founding's.
func (s *State) Generation() uint32 { return uint32(len(s.rekeys)) }

// Rekeys are the keys that the vault was given after the founding's; the first is
// generation 1. The caller must not change them.
func (s *State) Rekeys() []Rekey { return s.rekeys }

func (s *State) account(id AccountID) *account {
	if id.Shard() != 0 || id.Index() >= s.Accounts() || id == 0 {
		return nil
	}
	return s.accounts.at(id.Index())
}

// post moves an amount; the caller has checked that it can.
func (s *State) post(debit, credit AccountID, amount Amount) {
	if amount == 0 {
		return
	}
	s.accounts.at(debit.Index()).balance -= amount
	s.accounts.at(credit.Index()).balance += amount
	s.sums.touch(debit.Index())
	s.sums.touch(credit.Index())
	s.postings = append(s.postings, Posting{Debit: debit, Credit: credit, Amount: amount})
}

// Seal ends the batch whose entries were applied since the last Seal. Its
// header must continue the chain. Error: *HistoryError, and nothing changed.
func (s *State) Seal(h *Header) error {
	if err := s.continues(h); err != nil {
		return err
	}
	s.follow(h)
	if s.ended == KindCut {
		open := s.Open()
		open.Batch = h.Number
		open.Books = s.books()
	}
	s.ended, s.midBatch = 0, false
	return nil
}

// follow makes a header that continues the chain the last one.
func (s *State) follow(h *Header) {
	s.last, s.head = *h, h.Hash()
	s.journal.add(s.head)
}

// JournalRoot is the root of the journal tree over all sealed batches, whose number
// is Last's; zero before the first.
func (s *State) JournalRoot() Hash { return s.journal.root() }

// Next is the header that would continue the chain with these entries.
func (s *State) Next(root Hash, count uint32, epoch, unixMilli uint64) Header {
	return Header{Bank: s.bank, Number: s.last.Number + 1, Epoch: epoch,
		Time: max(unixMilli, s.last.Time), Previous: s.head, Root: root, Count: count}
}

func (s *State) continues(h *Header) error {
	bad := func(format string, args ...any) error {
		return &HistoryError{Batch: h.Number, Entry: -1, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case h.Bank != s.bank:
		return bad("the header is of bank %s, not %s", h.Bank, s.bank)
	case h.Number != s.last.Number+1:
		return bad("it follows batch %d: batches have no gaps", s.last.Number)
	case h.Previous != s.head:
		return bad("it names %s as the header before, but that is %s", h.Previous, s.head)
	case h.Epoch < s.last.Epoch:
		return bad("epoch %d is older than epoch %d before it", h.Epoch, s.last.Epoch)
	case h.Time < s.last.Time:
		return bad("its time %d is before %d, the time of the batch before", h.Time, s.last.Time)
	case h.Count == 0 || h.Count > MaxBatch:
		return bad("it has %d entries, want 1 to %d", h.Count, MaxBatch)
	}
	return nil
}

// books computes the commitment that a settlement anchors.
func (s *State) books() Books {
	if s.sums == nil {
		s.sums = &sumTree{}
	}
	root := s.sums.update(s.accounts.len(), s.owed)
	books := Books{Header: s.head, Batch: s.last.Number, Journal: s.journal.root(), Accounts: s.Accounts(), Root: root}
	s.sums.keep(books)
	return books
}

// owed is what the bank owes an account: the leaf of the sum tree.
func (s *State) owed(index int) Amount {
	if AccountID(index) == Vault {
		return 0
	}
	return s.accounts.at(uint32(index)).balance
}

// CheckInvariants verifies what must hold after every entry: all accounts add
// up to zero, no account but the vault is below zero, each account's holds are
// its waiting withdrawals, what is in flight is the open cut's, and the vault's
// account equals its coins. It costs time linear in the accounts.
func (s *State) CheckInvariants() error {
	held := make(map[AccountID]Amount, len(s.held))
	for _, p := range s.held {
		held[p.Payer] += p.Amount + p.FeeMax
	}
	var sum Amount
	for i := range s.Accounts() {
		id, a := AccountID(i), s.accounts.at(i)
		sum += a.balance
		if id != Vault && (a.balance < 0 || a.held < 0 || a.held > a.balance) {
			return fmt.Errorf("account %s: balance %d sat, held %d sat", id, a.balance, a.held)
		}
		if a.held != held[id] {
			return fmt.Errorf("account %s: %d sat are held, its withdrawals hold %d sat", id, a.held, held[id])
		}
	}
	if sum != 0 {
		return fmt.Errorf("the sum of all accounts is %d sat, not 0", sum)
	}
	var coins Amount
	for _, c := range s.coins {
		coins += c.Amount
	}
	if coins != s.Liabilities() {
		return fmt.Errorf("the coins are %d sat, the accounts are owed %d sat", coins, s.Liabilities())
	}
	return s.checkInFlight()
}

// checkInFlight compares the accounts that cuts fill with the settlement in flight.
func (s *State) checkInFlight() error {
	var pending, fees Amount
	for _, p := range s.pending() {
		pending += p.Amount + p.FeeMax
	}
	for _, v := range s.versions {
		fees = max(fees, v.TreasuryFee())
	}
	if got := s.Balance(WithdrawalsPending); got != pending {
		return fmt.Errorf("account %s has %d sat, the settlement in flight pays %d sat", WithdrawalsPending, got, pending)
	}
	if got := s.Balance(MinerFees); got != fees {
		return fmt.Errorf("account %s has %d sat, the treasury owes the settlement in flight %d sat", MinerFees, got, fees)
	}
	if len(s.versions) > 0 && len(commonInputs(s.versions)) == 0 {
		return fmt.Errorf("the %d versions of settlement %d do not exclude each other", len(s.versions), s.settlements)
	}
	return nil
}
