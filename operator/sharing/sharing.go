package sharing

import (
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/needs"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Sharing is what resources bring to the gateways that they share. It is in memory alone:
// what a new operator does not know yet stays as it is in the cluster.
type Sharing struct {
	Now func() time.Time // nil for that of the machine

	mu       sync.Mutex
	gateways map[resource.Key]*sharedGateway
}

// sharedGateway are the resources of one gateway.
type sharedGateway struct {
	guests      map[resource.Key]*Guest
	seen        time.Time         // for the first time
	first, last time.Time         // of the changes that wait to be made together; zero for none
	known       map[string]*Needs // by text
}

// Guest is a resource of a shared gateway.
type Guest struct {
	Text     string // the manifests of it and of all that it rests on, when they were good last
	Revision string // of the text
	Claims   []plan.Claim
	Broken   bool              // something is wrong with it as it is now
	Refused  manifest.Problems // what it would take from others that have it
	Until    time.Time         // when it goes, being served elsewhere; zero for never
}

// Changes of pods are joined: they wait until it has been quiet for a while, and not for
// ever. One who is served elsewhere now stays for those who have looked there before.
const (
	joinQuiet = 3 * time.Second
	joinMost  = 20 * time.Second
	Linger    = 30 * time.Second
)

func (s *Sharing) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Sharing) of(gateway resource.Key) *sharedGateway {
	if s.gateways == nil {
		s.gateways = map[resource.Key]*sharedGateway{}
	}
	g := s.gateways[gateway]
	if g == nil {
		g = &sharedGateway{seen: s.now(), guests: map[resource.Key]*Guest{}, known: map[string]*Needs{}}
		s.gateways[gateway] = g
	}
	return g
}

func (g *sharedGateway) changed(now time.Time) {
	g.last = now
	if g.first.IsZero() {
		g.first = g.last
	}
}

// Offer says what a resource is, and whether that is good; an empty text says nothing new.
// It reports whether the gateway should look.
func (s *Sharing) Offer(gateway, k resource.Key, text, revision string, claims []plan.Claim) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway)
	have := g.guests[k]
	if have == nil {
		have = &Guest{}
		g.guests[k] = have
		news = true
	}
	news = news || have.Broken != (text == "") || !have.Until.IsZero()
	have.Broken, have.Until = text == "", time.Time{}
	if text != "" {
		news = news || text != have.Text || revision != have.Revision || !sameClaims(have.Claims, claims)
		have.Text, have.Revision, have.Claims = text, revision, claims
	}
	if news {
		g.changed(s.now())
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

// Leave says that a resource is served elsewhere now, or nowhere: it goes from all gateways
// but those that are named, after a while or at once. It returns those that should look.
func (s *Sharing) Leave(k resource.Key, after time.Duration, except ...string) (gateways []resource.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, g := range s.gateways {
		have := g.guests[k]
		if have == nil || at.Namespace != k.Namespace || slices.Contains(except, at.Name) {
			continue
		}
		switch {
		case after == 0:
			delete(g.guests, k)
		case have.Until.IsZero():
			have.Until = s.now().Add(after)
		default:
			continue
		}
		g.changed(s.now())
		gateways = append(gateways, at)
	}
	return gateways
}

// Guests are the resources of a gateway as they are known now.
func (s *Sharing) Guests(gateway resource.Key) map[resource.Key]Guest {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[resource.Key]Guest{}
	for k, g := range s.of(gateway).guests {
		if !g.Until.IsZero() && s.now().After(g.Until) {
			delete(s.of(gateway).guests, k)
			continue
		}
		all[k] = *g
	}
	return all
}

// Refuse says what a resource would take from others; nothing for none. It reports whether
// that is news to the resource.
func (s *Sharing) Refuse(gateway, k resource.Key, problems manifest.Problems) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway).guests[k]
	if g == nil || g.Refused.Error() == problems.Error() {
		return false
	}
	g.Refused = problems
	return true
}

// Refused is what a resource would take from others of a gateway.
func (s *Sharing) Refused(gateway, k resource.Key) manifest.Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.of(gateway).guests[k]; g != nil {
		return g.Refused
	}
	return nil
}

// Wait is how long a change of a gateway's pods waits for others; 0 for no longer.
func (s *Sharing) Wait(gateway resource.Key) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.of(gateway)
	if g.first.IsZero() {
		return 0
	}
	now := s.now()
	return max(0, min(g.last.Add(joinQuiet).Sub(now), g.first.Add(joinMost).Sub(now)))
}

// Young tells whether those whom a gateway has not heard of yet may be heard of soon.
func (s *Sharing) Young(gateway resource.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.of(gateway).seen) < joinMost
}

// Made says that all is made that has changed.
func (s *Sharing) Made(gateway resource.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(gateway).first = time.Time{}
}

// Forget says that there is no such gateway any more.
func (s *Sharing) Forget(gateway resource.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gateways, gateway)
}

// Needs are what pods need for a text.
type Needs struct {
	*needs.Needs
	Secrets []v1alpha1.SecretKeyRef // that it names
}

// Needs are what the pods of a gateway need for texts. A text is read once.
func (s *Sharing) Needs(gateway resource.Key, texts map[string]string) (all []*Needs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, now := s.of(gateway).known, map[string]*Needs{}
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

func needsOf(text string) *Needs {
	set, _ := manifest.FromText([]byte(text)) // what is wrong with it, its owner says
	n := &Needs{Needs: needs.Of(set)}
	for _, u := range set.Secrets() {
		n.Secrets = append(n.Secrets, v1alpha1.SecretKeyRef{Name: v1alpha1.ObjectName(u.Name), Key: v1alpha1.DataKey(u.Key)})
	}
	return n
}

// Unit is the file that a resource is in, in the pods of a shared gateway, without what
// it ends with.
func Unit(k resource.Key) string { return render.FileOf(k.Kind, k.Name) }
