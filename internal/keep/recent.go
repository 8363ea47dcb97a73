package keep

// Recent remembers the newest values by key, twice maxRecent at most. Its zero value is
// empty. It is for one goroutine at a time.
type Recent[V any] struct{ young, old map[string]V }

const maxRecent = 16384

// Get finds a value, which is new again by that.
func (r *Recent[V]) Get(key string) (v V, ok bool) {
	if v, ok = r.young[key]; ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.Put(key, v)
	}
	return v, ok
}

// Put remembers a value.
func (r *Recent[V]) Put(key string, v V) {
	if r.young == nil || len(r.young) >= maxRecent {
		r.old, r.young = r.young, map[string]V{}
	}
	r.young[key] = v
}
