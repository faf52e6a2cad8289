package clearing

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/daobank/daobank/ledger"
)

// Stats counts what the engine did since it was opened.
type Stats struct {
	Accepted uint64                 // orders carried out
	Repeated uint64                 // orders that were sent again and got their first answer
	Refused  map[ledger.Code]uint64 // orders refused, by code
	Batches  uint64                 // committed
	Queued   int                    // orders that wait now
}

// Stats returns the counts. It is cheap.
func (e *Engine) Stats() Stats {
	s := Stats{
		Accepted: e.stats.accepted.Load(),
		Repeated: e.stats.repeated.Load(),
		Batches:  e.stats.batches.Load(),
		Queued:   int(e.queued.Load()),
	}
	e.stats.mu.Lock()
	s.Refused = maps.Clone(e.stats.refused)
	e.stats.mu.Unlock()
	return s
}

type counters struct {
	accepted, repeated, batches atomic.Uint64

	mu      sync.Mutex
	refused map[ledger.Code]uint64
}

func (c *counters) refuse(code ledger.Code) {
	c.mu.Lock()
	c.refused[code]++
	c.mu.Unlock()
}
