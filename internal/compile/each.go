package compile

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Each makes parts of configurations that stand beside each other and know nothing of each
// other. What is wrong with one of them costs that one: what was made of it before goes on,
// if anything was. What has not changed is not made again.
//
// D is what whoever serves them keeps of each plan.
type Each[D any] struct {
	maker *Maker
	note  func(*plan.Plan) D
	units []*Unit[D]
}

// Unit is one of the configurations as it is served.
type Unit[D any] struct {
	Name     string
	Revision string            // of what is served; "" for nothing
	Since    time.Time         // that it is served
	Problems manifest.Problems // why what was read last is not served; none where it is
	News     bool              // the problems are others than the last time
	Kept     D

	parts  *counted // nil for nothing
	claims []plan.Claim
	read   string // digest of what was read last
}

// counted are parts that several snapshots share.
type counted struct {
	*Parts
	uses atomic.Int64
}

func (c *counted) acquire() { c.uses.Add(1) }

func (c *counted) release() {
	if c.uses.Add(-1) == 0 {
		c.Parts.Release()
	}
}

// NewEach begins with nothing.
func NewEach[D any](m *Maker, note func(*plan.Plan) D) *Each[D] {
	return &Each[D]{maker: m, note: note}
}

// Make makes what is new, and returns the parts of all together, which are the caller's to
// release.
func (e *Each[D]) Make(units []*manifest.Unit, process plan.Process) (*Parts, []*Unit[D]) {
	before := map[string]*Unit[D]{}
	for _, u := range e.units {
		before[u.Name] = u
	}
	process.Beside = true
	var next []*Unit[D]
	var changed []*manifest.Unit
	taken := map[string]plan.Claim{}
	for _, in := range units {
		if u := before[in.Name]; u != nil && u.parts != nil && len(u.Problems) == 0 && u.read == in.Digest() {
			next = append(next, u)
			take(taken, u.claims)
			continue
		}
		changed = append(changed, in)
	}
	// Nothing new takes the place of what is served.
	slices.SortStableFunc(changed, func(a, b *manifest.Unit) int {
		return cmp.Compare(unserved(before[a.Name]), unserved(before[b.Name]))
	})
	for _, in := range changed {
		u := e.make(in, before[in.Name], taken, process)
		next = append(next, u)
		take(taken, u.claims)
	}
	slices.SortFunc(next, func(a, b *Unit[D]) int { return cmp.Compare(a.Name, b.Name) })
	together := e.together(next)
	for _, u := range before { // what goes on has a use more by now
		if u.parts != nil {
			u.parts.release()
		}
	}
	e.units = next
	return together, next
}

func unserved[D any](u *Unit[D]) int {
	if u == nil || u.parts == nil {
		return 1
	}
	return 0
}

func take(taken map[string]plan.Claim, claims []plan.Claim) {
	for _, c := range claims {
		taken[c.What] = c
	}
}

// make makes one configuration, beside what is taken already; where something is wrong
// with it, that is what was served of it.
func (e *Each[D]) make(in *manifest.Unit, before *Unit[D], taken map[string]plan.Claim, process plan.Process) *Unit[D] {
	u := &Unit[D]{Name: in.Name, read: in.Digest()}
	set, problems := in.Load()
	if len(problems) == 0 {
		p := plan.Of(set, process)
		u.claims = p.Claims()
		problems = slices.Concat(p.Problems, against(taken, u.claims))
		if len(problems) == 0 {
			u.parts = &counted{}
			u.parts.Parts, problems = e.maker.make(p, false)
			u.Revision, u.Since, u.Kept = set.Revision(), time.Now(), e.note(p)
		}
	}
	if len(problems) == 0 {
		return u
	}
	if u.parts != nil {
		u.parts.Release()
	}
	left := &Unit[D]{Name: u.Name, read: u.read, Problems: problems.Sort()}
	left.News = before == nil || before.Problems.Error() != left.Problems.Error()
	if before != nil && before.parts != nil && len(against(taken, before.claims)) == 0 {
		left.Revision, left.Since, left.Kept, left.parts, left.claims = before.Revision, before.Since, before.Kept, before.parts, before.claims
	}
	return left
}

// against is what is wrong with claims where others are taken.
func against(taken map[string]plan.Claim, claims []plan.Claim) (problems manifest.Problems) {
	for _, c := range claims {
		if other, ok := taken[c.What]; ok {
			problems = append(problems, c.Against(other)...)
		}
	}
	return problems
}

// together are the parts of all, each with a use more for the holder and one for the caller.
func (e *Each[D]) together(units []*Unit[D]) *Parts {
	all := &Parts{Beside: true, Accounts: map[string]*oauthclient.Client{}, AssertionKeys: map[string][]byte{}}
	servers, keys, exchanges := map[*authserver.Server]bool{}, map[*token.KeySet]bool{}, map[*credential.Exchange]bool{}
	for _, u := range units {
		if u.parts == nil {
			continue
		}
		u.parts.acquire()
		u.parts.acquire()
		all.shared = append(all.shared, u.parts)
		p := u.parts.Parts
		all.Endpoints = append(all.Endpoints, p.Endpoints...)
		all.upstreams = append(all.upstreams, p.upstreams...)
		maps.Copy(all.Accounts, p.Accounts)
		maps.Copy(all.AssertionKeys, p.AssertionKeys)
		all.AuthServers = appendFirst(all.AuthServers, servers, p.AuthServers, func(a *AuthServer) *authserver.Server { return a.Server })
		all.KeySets = appendFirst(all.KeySets, keys, p.KeySets, func(k KeySet) *token.KeySet { return k.KeySet })
		all.Exchanges = appendFirst(all.Exchanges, exchanges, p.Exchanges, func(x *credential.Exchange) *credential.Exchange { return x })
	}
	return all
}

// appendFirst appends those that are not there yet.
func appendFirst[T any, K comparable](to []T, there map[K]bool, more []T, key func(T) K) []T {
	for _, v := range more {
		if k := key(v); !there[k] {
			there[k] = true
			to = append(to, v)
		}
	}
	return to
}

// Close gives up what is held for the next time.
func (e *Each[D]) Close() {
	for _, u := range e.units {
		if u.parts != nil {
			u.parts.release()
		}
	}
	e.units = nil
}
