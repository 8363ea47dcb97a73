package backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// addresses are those of a host that stands for several servers, each with sessions of
// its own: the pods behind a headless Service. A name leads to those that are ready.
type addresses struct {
	host   string
	port   uint16
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	asking chan struct{} // holds one while nobody asks
	last   atomic.Pointer[found]
}

// found is what DNS said, and when; or was asked in vain, and says again what it said.
type found struct {
	known []netip.Addr // sorted
	at    time.Time
}

// How long an answer of DNS is good: for what begins, and for a session whose address is
// not among them, or does not answer: its server may just have come, or gone.
const (
	addressesKnown  = 5 * time.Second
	addressesMissed = time.Second
)

func newAddresses(t *target, lookup func(context.Context, string, string) ([]netip.Addr, error)) (*addresses, error) {
	if t.scheme != "http" {
		return nil, errors.New("sessions are kept per address with http only: a certificate is for a name")
	}
	_, text, err := net.SplitHostPort(t.addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	a := &addresses{host: t.host, port: uint16(port), lookup: lookup, asking: make(chan struct{}, 1)}
	if a.lookup == nil {
		a.lookup = net.DefaultResolver.LookupNetIP
	}
	a.asking <- struct{}{}
	return a, nil
}

// fresh is what is known, if it is not too old.
func (a *addresses) fresh(age time.Duration) (*found, bool) {
	f := a.last.Load()
	return f, f != nil && time.Since(f.at) < age
}

// all are the addresses, as of an answer no older than that. Where DNS fails for a
// moment, what it said last is good, and it is not asked by everybody.
func (a *addresses) all(ctx context.Context, age time.Duration) ([]netip.Addr, error) {
	if f, ok := a.fresh(age); ok {
		return f.known, nil
	}
	select {
	case <-a.asking:
		defer func() { a.asking <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	before, ok := a.fresh(age)
	if ok { // whom we waited for has asked
		return before.known, nil
	}
	list, err := a.lookup(ctx, "ip", a.host)
	if err != nil {
		if before != nil && !unknownHost(err) {
			a.last.Store(&found{before.known, time.Now()})
			return before.known, nil
		}
		a.last.Store(nil)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	var known []netip.Addr
	for _, ip := range list {
		known = append(known, ip.Unmap())
	}
	slices.SortFunc(known, netip.Addr.Compare)
	known = slices.Compact(known)
	a.last.Store(&found{known, time.Now()})
	return known, nil
}

// unknownHost tells whether DNS says that nobody has the name: no server is ready.
func unknownHost(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && d.IsNotFound
}

// of is the address that a session began at; false where it is none of the host.
func (a *addresses) of(s Session) (netip.Addr, bool) {
	at, ok := strings.CutPrefix(s.Origin, "http://")
	p, err := netip.ParseAddrPort(at)
	return p.Addr(), ok && err == nil && p.Port() == a.port
}

// places are where a request can go, in the order in which they are tried. One of a
// session goes to where that began, and nowhere else: nobody else knows it, and whoever
// has the address after that server is none of its business. None are named where the host
// is one server.
func (b *HTTP) places(ctx context.Context, s Session) ([]*target, *Failure) {
	if b.addresses == nil {
		return nil, nil
	}
	if s.ID != "" {
		if at, f := b.place(ctx, s, addressesKnown); f == nil {
			return []*target{at}, nil
		}
		at, f := b.place(ctx, s, addressesMissed)
		return []*target{at}, f
	}
	known, err := b.addresses.all(ctx, addressesKnown)
	if err == nil && len(known) == 0 {
		err = &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no addresses", Name: b.addresses.host, IsNotFound: true}}
	}
	if err != nil {
		return nil, b.sendFailure(ctx, err)
	}
	places, first := make([]*target, len(known)), rand.IntN(len(known)) //nolint:gosec // to spread, not to hide
	for i := range known {
		places[i] = b.target.at(netip.AddrPortFrom(known[(first+i)%len(known)], b.addresses.port))
	}
	return places, nil
}

// place is where a session began, as long as that is one of the host's addresses, as of an
// answer of DNS no older than that.
func (b *HTTP) place(ctx context.Context, s Session, age time.Duration) (*target, *Failure) {
	known, err := b.addresses.all(ctx, age)
	if err != nil && !unknownHost(err) {
		return nil, b.sendFailure(ctx, err)
	}
	if at, ok := b.addresses.of(s); ok && slices.Contains(known, at) {
		return b.target.at(netip.AddrPortFrom(at, b.addresses.port)), nil
	}
	return nil, Fail(b.name, http.StatusNotFound, ReasonSession, errors.New("the session is of none of the addresses that the backend's host has"),
		"the server that has the session is gone; initialize again")
}

// sendToOne sends a hop to the first of several places that takes a connection; to where it
// goes anyhow where there are none. It goes to the first already.
func (b *HTTP) sendToOne(ctx context.Context, h *hop, places []*target, s Session) (*http.Response, *Failure) {
	for i := 1; ; i++ {
		resp, err := b.send(ctx, h)
		if err == nil {
			return resp, nil
		}
		if ctx.Err() != nil || len(places) == 0 || !unconnected(err) {
			return nil, b.sendFailure(ctx, err)
		}
		if i < len(places) {
			h.to = places[i]
			continue
		}
		if s.ID != "" { // has its server just gone?
			if _, f := b.place(ctx, s, addressesMissed); f != nil && f.Reason == ReasonSession {
				return nil, f
			}
		}
		return nil, b.sendFailure(ctx, err)
	}
}

// unconnected tells whether nothing of a request was sent: nobody took a connection.
func unconnected(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// at is the target at one address of its host. What it says of itself to whoever is there
// stays; it is an origin of its own.
func (t *target) at(place netip.AddrPort) *target {
	one := *t
	one.pinned = true
	one.addr = place.String()
	one.origin = t.scheme + "://" + one.addr
	u := *t.url
	u.Host = one.addr
	one.url = &u
	return &one
}

// samePlace is a target at the address at which another one is, where both are of the
// backend's own host.
func (b *HTTP) samePlace(next, as *target) *target {
	if !as.pinned || next.scheme != as.scheme || next.host != as.host || next.authority != as.authority {
		return next
	}
	one := *next
	one.pinned, one.addr, one.origin = true, as.addr, as.origin
	u := *next.url
	u.Host = as.addr
	one.url = &u
	return &one
}

// own tells whether a target is at the origin that is configured.
func (b *HTTP) own(t *target) bool { return t.pinned || t.origin == b.target.origin }
