package pods

import (
	"cmp"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/sallyport-dev/sallyport/internal/status"
)

// Answer is what asking a pod came to: a status, or why there is none.
type Answer struct {
	status  *status.Status
	err     string
	units   map[string]status.Config  // by name
	servers map[string]*status.Server // by name
}

// Answered is what a pod tells.
func Answered(s *status.Status) Answer {
	a := Answer{status: s, units: map[string]status.Config{}, servers: map[string]*status.Server{}}
	for _, u := range s.Units {
		a.units[u.Name] = u.Config
	}
	for i := range s.Servers {
		a.servers[s.Servers[i].Name] = &s.Servers[i]
	}
	return a
}

// Unanswered says why a pod tells nothing.
func Unanswered(why string) Answer { return Answer{err: why} }

// Said is what all ready pods of a resource say together.
type Said struct {
	Pods     int              // that were asked
	Silent   string           // why one of them did not answer; "" where all did
	Hashes   []string         // of the configurations that they serve, each once
	Refused  string           // why a newer configuration is not served
	Backends []status.Backend // by name
	Exchange *status.Exchange // nil where nothing is exchanged
}

// rank orders the states of a backend by how much they say, and how bad it is: what one
// pod has seen counts more than that another has seen nothing.
func rank(state string) int {
	return slices.Index([]string{status.Unknown, status.Ready, status.Unauthenticated, status.Degraded, status.Unavailable}, state)
}

// Together is what the answers of pods say of a resource. A pod that serves nothing of a
// guest has the hash "".
func Together(g Guest, answers ...Answer) Said {
	s := Said{Pods: len(answers)}
	for _, a := range answers {
		if a.status == nil {
			s.Silent = cmp.Or(s.Silent, a.err)
			continue
		}
		config := a.status.Config
		if g.Unit != "" {
			config = a.units[g.Unit]
		}
		s.Refused = cmp.Or(s.Refused, config.Error)
		if (config.Hash != "" || g.Unit != "") && !slices.Contains(s.Hashes, config.Hash) {
			s.Hashes = append(s.Hashes, config.Hash)
		}
		if server := a.servers[g.Server]; server != nil && config.Hash != "" {
			s.add(server)
		}
	}
	slices.Sort(s.Hashes)
	slices.SortFunc(s.Backends, func(a, b status.Backend) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func (s *Said) add(server *status.Server) {
	for _, b := range server.Backends {
		i := slices.IndexFunc(s.Backends, func(have status.Backend) bool { return have.Name == b.Name })
		switch {
		case i < 0:
			s.Backends = append(s.Backends, b)
		case rank(b.Status) > rank(s.Backends[i].Status):
			s.Backends[i] = b
		case b.Status == s.Backends[i].Status && b.LastCheck.After(s.Backends[i].LastCheck):
			s.Backends[i].LastCheck = b.LastCheck
		}
	}
	switch x := server.TokenExchange; {
	case x == nil:
	case s.Exchange == nil:
		own := *x
		s.Exchange = &own
	default:
		s.Exchange.Add(x)
	}
}

// same tells whether two say the same, times apart.
func (s Said) same(o Said) bool {
	return s.Pods == o.Pods && s.Silent == o.Silent && s.Refused == o.Refused && slices.Equal(s.Hashes, o.Hashes) &&
		slices.EqualFunc(s.Backends, o.Backends, func(a, b status.Backend) bool {
			return a.Name == b.Name && a.Status == b.Status && a.Message == b.Message
		}) && sameExchange(s.Exchange, o.Exchange)
}

func sameExchange(a, b *status.Exchange) bool {
	if a == nil || b == nil {
		return a == b
	}
	failed := a.Last == nil && b.Last == nil || a.Last != nil && b.Last != nil && a.Last.Error == b.Last.Error
	return ptr.Equal(a.Ready, b.Ready) && a.Message == b.Message && failed
}
