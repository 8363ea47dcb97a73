package resource

import (
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Tracker knows what each resource rests on, there or not, as of when it was gathered
// last. It is in memory alone: a new operator gathers everything anew.
type Tracker struct {
	mu    sync.Mutex
	uses  map[Key]map[manifest.Use]bool
	users map[manifest.Use]map[Key]bool
}

// NewTracker knows nothing yet.
func NewTracker() *Tracker {
	return &Tracker{uses: map[Key]map[manifest.Use]bool{}, users: map[manifest.Use]map[Key]bool{}}
}

// Note adds to what a resource rests on. It comes before the look at u itself, so that
// no change falls between the two. It reports whether that is news.
func (t *Tracker) Note(k Key, u manifest.Use) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses[k] == nil {
		t.uses[k] = map[manifest.Use]bool{}
	}
	if t.users[u] == nil {
		t.users[u] = map[Key]bool{}
	}
	first = !t.uses[k][u]
	t.uses[k][u], t.users[u][k] = true, true
	return first
}

// Keep drops what a resource rests on no more; all of it, where there is none. It
// returns what it has dropped.
func (t *Tracker) Keep(k Key, uses map[manifest.Use]bool) (dropped []manifest.Use) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for u := range t.uses[k] {
		if uses[u] {
			continue
		}
		dropped = append(dropped, u)
		delete(t.uses[k], u)
		if delete(t.users[u], k); len(t.users[u]) == 0 {
			delete(t.users, u)
		}
	}
	if len(t.uses[k]) == 0 {
		delete(t.uses, k)
	}
	return dropped
}

// UsersOf are the resources that rest on something, besides itself.
func (t *Tracker) UsersOf(u manifest.Use) []Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Key
	for k := range t.users[u] {
		if k.Use() != u {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, Key.Compare)
	return all
}

// Len is how many resources rest on something.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.uses)
}
