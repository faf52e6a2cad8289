package clearing

import (
	"sync"

	"github.com/daobank/daobank/ledger"
)

// A directory gives the verifiers the keys of the accounts. Only the sequencer
// adds to it, as soon as it has applied an Open, committed or not: that is
// harmless, since the orders that rest on it are committed after it or never.
type directory struct {
	mu   sync.RWMutex
	keys []ledger.Key // by account index, from FirstMember on
}

// key returns a member's key, or false for an account that is not open.
func (d *directory) key(id ledger.AccountID) (ledger.Key, bool) {
	if id.Shard() != 0 || !id.IsMember() {
		return ledger.Key{}, false
	}
	i := int(id.Index() - uint32(ledger.FirstMember))
	d.mu.RLock()
	defer d.mu.RUnlock()
	if i >= len(d.keys) {
		return ledger.Key{}, false
	}
	return d.keys[i], true
}

// add appends the key of the next account.
func (d *directory) add(key ledger.Key) {
	d.mu.Lock()
	d.keys = append(d.keys, key)
	d.mu.Unlock()
}
