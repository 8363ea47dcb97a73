package operator

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// sharing is what resources bring to the gateways that they share. It is in memory alone:
// what a new operator does not know yet stays as it is in the cluster.
type sharing struct {
	mu       sync.Mutex
	gateways map[key]*sharedGateway
}

// sharedGateway are the resources of one gateway.
type sharedGateway struct {
	guests      map[key]*guest
	seen        time.Time         // for the first time
	first, last time.Time         // of the changes that wait to be made together; zero for none
	known       map[string]*needs // by text
}

// guest is a resource of a shared gateway.
type guest struct {
	text     string // the manifests of it and of all that it rests on, when they were good last
	revision string // of the text
	claims   []plan.Claim
	broken   bool              // something is wrong with it as it is now
	refused  manifest.Problems // what it would take from others that have it
	until    time.Time         // when it goes, being served elsewhere; zero for never
}

// Changes of pods are joined: they wait until it has been quiet for a while, and not for
// ever. One who is served elsewhere now stays for those who have looked there before.
const (
	joinQuiet = 3 * time.Second
	joinMost  = 20 * time.Second
	linger    = 30 * time.Second
)

func (s *sharing) of(gateway key) *sharedGateway {
	if s.gateways == nil {
		s.gateways = map[key]*sharedGateway{}
	}
	g := s.gateways[gateway]
	if g == nil {
		g = &sharedGateway{seen: time.Now(), guests: map[key]*guest{}, known: map[string]*needs{}}
		s.gateways[gateway] = g
	}
	return g
}

func (g *sharedGateway) changed() {
	g.last = time.Now()
	if g.first.IsZero() {
		g.first = g.last
	}
}

// offer says what a resource is, and whether that is good; an empty text says nothing new.
// It reports whether the gateway should look.
func (s *sharing) offer(gateway, resource key, text, revision string, claims []plan.Claim) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway)
	have := g.guests[resource]
	if have == nil {
		have = &guest{}
		g.guests[resource] = have
		news = true
	}
	news = news || have.broken != (text == "") || !have.until.IsZero()
	have.broken, have.until = text == "", time.Time{}
	if text != "" {
		news = news || text != have.text || revision != have.revision || !sameClaims(have.claims, claims)
		have.text, have.revision, have.claims = text, revision, claims
	}
	if news {
		g.changed()
	}
	return news
}

func sameClaims(a, b []plan.Claim) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].What != b[i].What || a[i].As != b[i].As {
			return false
		}
	}
	return true
}

// leave says that a resource is served elsewhere now, or nowhere: it goes from all gateways
// but those that are named, after a while or at once. It returns those that should look.
func (s *sharing) leave(resource key, after time.Duration, except ...string) (gateways []key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, g := range s.gateways {
		have := g.guests[resource]
		if have == nil || k.Namespace != resource.Namespace || slices.Contains(except, k.Name) {
			continue
		}
		switch {
		case after == 0:
			delete(g.guests, resource)
		case have.until.IsZero():
			have.until = time.Now().Add(after)
		default:
			continue
		}
		g.changed()
		gateways = append(gateways, k)
	}
	return gateways
}

// guests are the resources of a gateway as they are known now.
func (s *sharing) guests(gateway key) map[key]guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[key]guest{}
	for k, g := range s.of(gateway).guests {
		if !g.until.IsZero() && time.Now().After(g.until) {
			delete(s.of(gateway).guests, k)
			continue
		}
		all[k] = *g
	}
	return all
}

// refuse says what a resource would take from others; nothing for none. It reports whether
// that is news to the resource.
func (s *sharing) refuse(gateway, resource key, problems manifest.Problems) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway).guests[resource]
	if g == nil || g.refused.Error() == problems.Error() {
		return false
	}
	g.refused = problems
	return true
}

// refused is what a resource would take from others of a gateway.
func (s *sharing) refused(gateway, resource key) manifest.Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.of(gateway).guests[resource]; g != nil {
		return g.refused
	}
	return nil
}

// wait is how long a change of a gateway's pods waits for others; 0 for no longer.
func (s *sharing) wait(gateway key) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway)
	if g.first.IsZero() {
		return 0
	}
	return max(0, min(time.Until(g.last.Add(joinQuiet)), time.Until(g.first.Add(joinMost))))
}

// young tells whether those whom a gateway has not heard of yet may be heard of soon.
func (s *sharing) young(gateway key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.of(gateway).seen) < joinMost
}

// made says that all is made that has changed.
func (s *sharing) made(gateway key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(gateway).first = time.Time{}
}

// forget says that there is no such gateway any more.
func (s *sharing) forget(gateway key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gateways, gateway)
}

// needs are what pods need for a text.
type needs struct {
	secrets   []v1alpha1.SecretKeyRef
	addresses []*url.URL
	token     bool // for the API server
}

// needs are what the pods of a gateway need for texts. A text is read once.
func (s *sharing) needs(gateway key, texts map[string]string) (all []*needs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, now := s.of(gateway).known, map[string]*needs{}
	for _, text := range texts {
		n := known[text]
		if n == nil {
			n = needsOf(text)
		}
		now[text], all = n, append(all, n)
	}
	s.of(gateway).known = now
	return all
}

func needsOf(text string) *needs {
	set, _ := manifest.FromText([]byte(text)) // what is wrong with it, its owner says
	g := &gathered{set: set}
	n := &needs{addresses: g.addresses(), token: g.asksCluster()}
	for _, u := range set.Secrets() {
		n.secrets = append(n.secrets, v1alpha1.SecretKeyRef{Name: v1alpha1.ObjectName(u.Name), Key: v1alpha1.DataKey(u.Key)})
	}
	return n
}

// unitName is the file that a resource is in, in the pods of a shared gateway, without what
// it ends with.
func unitName(k key) string {
	return render.Fit(strings.ToLower(k.Kind)+"."+k.Name, 200)
}
