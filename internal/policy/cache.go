package policy

import "sync"

// cache keeps what was used last, size entries at least and twice that at most: the
// younger half of them, and the older, out of which an entry that is used again
// comes back. It is safe for use by several at a time.
type cache[K comparable, V any] struct {
	mu         sync.Mutex
	size       int
	young, old map[K]V
}

func newCache[K comparable, V any](size int) *cache[K, V] { return &cache[K, V]{size: size} }

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[key]
	if !ok {
		if v, ok = c.old[key]; ok {
			c.insert(key, v)
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(key K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(key, v)
}

func (c *cache[K, V]) insert(key K, v V) {
	if c.young == nil || len(c.young) >= c.size {
		c.young, c.old = make(map[K]V), c.young
	}
	c.young[key] = v
}
