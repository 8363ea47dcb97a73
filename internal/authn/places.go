package authn

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// places bound what strangers with random tokens can make an issuer do. One sender
// has a share of them, and some are kept for tokens that were good before, so that a
// flood shuts out nobody who is known (REQ G-2).
type places struct {
	known *keep.Cache[struct{}] // tokens that were good

	mu    sync.Mutex
	all   int
	taken map[netip.Prefix]int // by strangers
}

const (
	allPlaces      = 64
	strangerPlaces = 48
	senderPlaces   = 16
	knownFor       = time.Hour
)

func newPlaces() *places {
	return &places{known: keep.NewCache[struct{}](goodEntries), taken: map[netip.Prefix]int{}}
}

var errNoPlace = errors.New("too many tokens that nobody knows are being asked about")

// take is a place for a question about a token, until leave is called.
func (p *places) take(sender netip.Addr, hash keep.Hash) (leave func(), err error) {
	_, known := p.known.Get(hash, time.Now())
	from := network(sender)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= allPlaces || !known && (p.all >= strangerPlaces || p.taken[from] >= senderPlaces) {
		return nil, &token.Unavailable{Cause: errNoPlace}
	}
	p.all++
	if !known {
		p.taken[from]++
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.all--
		if known {
			return
		}
		if p.taken[from]--; p.taken[from] == 0 {
			delete(p.taken, from)
		}
	}, nil
}

// good notes that a token was.
func (p *places) good(hash keep.Hash) { p.known.Put(hash, struct{}{}, time.Now().Add(knownFor)) }

// network is whose an address is: in IPv6 a whole /64 is one household's.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
