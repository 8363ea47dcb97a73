package operator

import (
	"cmp"
	"slices"
	"time"
)

// podStatus is what a gateway's pod says of itself at /status.
type podStatus struct {
	Config struct {
		Hash     string    `json:"hash"`
		LoadedAt time.Time `json:"loadedAt"`
		Error    string    `json:"error"`
	} `json:"config"`
	Servers []serverStatus `json:"servers"`
	Units   []unitStatus   `json:"units"`

	unit   map[string]*unitStatus   // by name
	server map[string]*serverStatus // by name
}

// unitStatus is one of the files that a gateway of many serves, each for itself.
type unitStatus struct {
	Name  string `json:"name"`
	Hash  string `json:"hash"` // of what is served of it
	Error string `json:"error"`
}

// index lets a gateway of many be asked about each.
func (s *podStatus) index() {
	s.unit, s.server = map[string]*unitStatus{}, map[string]*serverStatus{}
	for i := range s.Units {
		s.unit[s.Units[i].Name] = &s.Units[i]
	}
	for i := range s.Servers {
		s.server[s.Servers[i].Name] = &s.Servers[i]
	}
}

type serverStatus struct {
	Name          string          `json:"name"`
	Backends      []backendStatus `json:"backends"`
	TokenExchange *exchangeStatus `json:"tokenExchange"`
}

type backendStatus struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	LastCheck time.Time `json:"lastCheck"`
	Message   string    `json:"message"`
}

type exchangeStatus struct {
	Ready   *bool  `json:"ready"`
	Message string `json:"message"`
	Last    *struct {
		At    time.Time `json:"at"`
		Error string    `json:"error"`
	} `json:"last"`
}

// answer is what asking a pod came to: a status, or why there is none.
type answer struct {
	status *podStatus
	err    string
}

// said is what all ready pods of a resource say together.
type said struct {
	pods     int             // that were asked
	silent   string          // why one of them did not answer; "" where all did
	hashes   []string        // of the configurations that they serve, each once
	refused  string          // why a newer configuration is not served
	backends []backendStatus // by name
	exchange *exchangeStatus // nil where nothing is exchanged
}

// rank orders the states of a backend by how much they say, and how bad it is: what one
// pod has seen counts more than that another has seen nothing.
func rank(status string) int {
	return slices.Index([]string{"unknown", "ready", "unauthenticated", "degraded", "unavailable"}, status)
}

// together is what the answers of pods say of a resource.
func together(name string, answers []answer) said {
	s := said{pods: len(answers)}
	for _, a := range answers {
		if a.status == nil {
			s.silent = cmp.Or(s.silent, a.err)
			continue
		}
		if h := a.status.Config.Hash; h != "" && !slices.Contains(s.hashes, h) {
			s.hashes = append(s.hashes, h)
		}
		s.refused = cmp.Or(s.refused, a.status.Config.Error)
		for _, server := range a.status.Servers {
			if server.Name == name {
				s.add(&server)
			}
		}
	}
	slices.Sort(s.hashes)
	slices.SortFunc(s.backends, func(a, b backendStatus) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// togetherOf is what the answers of a gateway of many say of one of its resources. A pod
// that serves nothing of it has the hash "".
func togetherOf(k key, answers []answer) said {
	s := said{pods: len(answers)}
	for _, a := range answers {
		if a.status == nil {
			s.silent = cmp.Or(s.silent, a.err)
			continue
		}
		hash := ""
		if u := a.status.unit[unitName(k)]; u != nil {
			hash, s.refused = u.Hash, cmp.Or(s.refused, u.Error)
		}
		if !slices.Contains(s.hashes, hash) {
			s.hashes = append(s.hashes, hash)
		}
		if server := a.status.server[k.Name]; server != nil && hash != "" {
			s.add(server)
		}
	}
	slices.Sort(s.hashes)
	slices.SortFunc(s.backends, func(a, b backendStatus) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func (s *said) add(server *serverStatus) {
	for _, b := range server.Backends {
		i := slices.IndexFunc(s.backends, func(have backendStatus) bool { return have.Name == b.Name })
		switch {
		case i < 0:
			s.backends = append(s.backends, b)
		case rank(b.Status) > rank(s.backends[i].Status):
			s.backends[i] = b
		case b.Status == s.backends[i].Status && b.LastCheck.After(s.backends[i].LastCheck):
			s.backends[i].LastCheck = b.LastCheck
		}
	}
	x := server.TokenExchange
	switch {
	case x == nil:
	case s.exchange == nil:
		own := *x
		s.exchange = &own
	default:
		if x.Ready != nil && (s.exchange.Ready == nil || *s.exchange.Ready) {
			s.exchange.Ready, s.exchange.Message = x.Ready, x.Message
		}
		if x.Last != nil && (s.exchange.Last == nil || x.Last.At.After(s.exchange.Last.At)) {
			s.exchange.Last = x.Last
		}
	}
}

// same tells whether two say the same, times apart.
func (s said) same(o said) bool {
	timeless := func(x *exchangeStatus) exchangeStatus {
		if x == nil {
			return exchangeStatus{}
		}
		return *x
	}
	a, b := timeless(s.exchange), timeless(o.exchange)
	failed := func(x exchangeStatus) (string, bool) {
		if x.Last == nil {
			return "", false
		}
		return x.Last.Error, true
	}
	aFailed, aAny := failed(a)
	bFailed, bAny := failed(b)
	return s.pods == o.pods && s.silent == o.silent && s.refused == o.refused && slices.Equal(s.hashes, o.hashes) &&
		slices.EqualFunc(s.backends, o.backends, func(a, b backendStatus) bool {
			return a.Name == b.Name && a.Status == b.Status && a.Message == b.Message
		}) &&
		(s.exchange == nil) == (o.exchange == nil) && equalBool(a.Ready, b.Ready) && a.Message == b.Message && aFailed == bFailed && aAny == bAny
}

func equalBool(a, b *bool) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
