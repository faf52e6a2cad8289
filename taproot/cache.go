package taproot

import "sync"

// maxCached bounds the cache to some 20 MB.
const maxCached = 1 << 16

// outputCache keeps derived outputs. When it is full it starts afresh: a
// settlement asks for the same few outputs again within seconds, so which old
// ones survive does not matter.
type outputCache struct {
	mu      sync.RWMutex
	outputs map[cacheKey]Output
}

type cacheKey struct {
	branch Branch
	index  uint32
}

func newOutputCache() *outputCache {
	return &outputCache{outputs: make(map[cacheKey]Output)}
}

func (c *outputCache) get(b Branch, index uint32) (Output, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out, found := c.outputs[cacheKey{b, index}]
	return out, found
}

func (c *outputCache) put(out Output) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.outputs) >= maxCached {
		clear(c.outputs)
	}
	c.outputs[cacheKey{out.Branch, out.Index}] = out
}
