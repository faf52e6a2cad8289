package ledger

import (
	"hash/maphash"
	"sync/atomic"
)

// An accountTable holds the accounts by their index, and finds them by key. Its
// memory is 96 bytes an account and 11 to 22 for the key. Accounts never move, so a
// bank that grows never stops to copy them, and other goroutines may read their keys
// meanwhile.
type accountTable struct {
	pieces atomic.Pointer[[]*accountPiece]
	count  atomic.Uint32 // stored after the account is there
	seed   maphash.Seed  // keeps members from choosing keys that meet in the index
	// A slot holds a key's hash, 32 bits, and the account's index. It is empty if it
	// is 0: members' indices begin with FirstMember.
	slots []uint64
	keys  int
}

const pieceSize = 256

type accountPiece [pieceSize]account

// newAccountTable returns the bank's own accounts, and room for some members.
func newAccountTable() *accountTable {
	t := &accountTable{seed: maphash.MakeSeed(), slots: make([]uint64, 32)}
	t.pieces.Store(&[]*accountPiece{new(accountPiece)})
	t.count.Store(uint32(FirstMember))
	return t
}

func (t *accountTable) len() int { return int(t.count.Load()) }

// at is the account with an index below len.
func (t *accountTable) at(index uint32) *account {
	return &(*t.pieces.Load())[index/pieceSize][index%pieceSize]
}

// add appends an account, of a key that has none, and returns its number.
func (t *accountTable) add(a account) AccountID {
	index := t.count.Load()
	pieces := *t.pieces.Load()
	if int(index/pieceSize) == len(pieces) {
		pieces = append(pieces, new(accountPiece))
		t.pieces.Store(&pieces)
	}
	pieces[index/pieceSize][index%pieceSize] = a
	t.count.Store(index + 1)
	t.index(a.key, index)
	return AccountID(index)
}

// find returns the account of a key.
func (t *accountTable) find(key Key) (AccountID, bool) {
	hash := t.hash(key)
	for at := hash; ; at++ {
		slot := t.slots[at%uint64(len(t.slots))]
		switch {
		case slot == 0:
			return 0, false
		case slot>>32 == hash && t.at(uint32(slot)).key == key:
			return AccountID(uint32(slot)), true
		}
	}
}

// hash has 32 bits.
func (t *accountTable) hash(key Key) uint64 { return maphash.Bytes(t.seed, key[:]) >> 32 }

// index enters a key. At most three in four slots are taken.
func (t *accountTable) index(key Key, index uint32) {
	if t.keys++; 4*t.keys > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, 2*len(old))
		for _, slot := range old {
			if slot != 0 {
				t.enter(slot)
			}
		}
	}
	t.enter(t.hash(key)<<32 | uint64(index))
}

func (t *accountTable) enter(slot uint64) {
	at := slot >> 32 % uint64(len(t.slots))
	for t.slots[at] != 0 {
		at = (at + 1) % uint64(len(t.slots))
	}
	t.slots[at] = slot
}

// clone copies the accounts, without the index: find must not be called on it.
func (t *accountTable) clone() *accountTable {
	c := &accountTable{}
	pieces := make([]*accountPiece, 0, len(*t.pieces.Load()))
	for _, p := range *t.pieces.Load() {
		copied := *p
		pieces = append(pieces, &copied)
	}
	c.pieces.Store(&pieces)
	c.count.Store(t.count.Load())
	return c
}

// Keys gives the members' keys to any goroutine, also while the books change.
type Keys struct{ accounts *accountTable }

// Keys returns the keys of these books. They know each account as soon as its order
// is applied.
func (s *State) Keys() Keys { return Keys{s.accounts} }

// Of returns the key of a member's account, false if there is no such account.
func (k Keys) Of(id AccountID) (Key, bool) {
	if id.Shard() != 0 || !id.IsMember() || id.Index() >= k.accounts.count.Load() {
		return Key{}, false
	}
	return k.accounts.at(id.Index()).key, true
}
