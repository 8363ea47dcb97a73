package operator

import (
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// key names one of our resources.
type key struct{ Kind, Namespace, Name string }

// use is the resource as something that others rest on.
func (k key) use() manifest.Use {
	return manifest.Use{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
}

// members stands, as a key of an MCPGroup, for which resources are in the group.
const members = "members"

// tracker knows what each resource rests on, there or not, as of when it was gathered
// last. It is in memory alone: a new operator gathers everything anew.
type tracker struct {
	mu    sync.Mutex
	uses  map[key]map[manifest.Use]bool
	users map[manifest.Use]map[key]bool
}

func newTracker() *tracker {
	return &tracker{uses: map[key]map[manifest.Use]bool{}, users: map[manifest.Use]map[key]bool{}}
}

// note adds to what a resource rests on. It comes before the look at u itself, so that
// no change falls between the two. It reports whether that is news.
func (t *tracker) note(k key, u manifest.Use) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses[k] == nil {
		t.uses[k] = map[manifest.Use]bool{}
	}
	if t.users[u] == nil {
		t.users[u] = map[key]bool{}
	}
	first = !t.uses[k][u]
	t.uses[k][u], t.users[u][k] = true, true
	return first
}

// keep drops what a resource rests on no more; all of it, where there is none. It
// returns what it has dropped.
func (t *tracker) keep(k key, uses map[manifest.Use]bool) (dropped []manifest.Use) {
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

// usersOf are the resources that rest on something, besides itself.
func (t *tracker) usersOf(u manifest.Use) []key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []key
	for k := range t.users[u] {
		if k.use() != u {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, compareKeys)
	return all
}
