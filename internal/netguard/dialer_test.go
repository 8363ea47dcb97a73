package netguard_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// listener counts the connections that reach a loopback port.
type listener struct {
	net.Listener
	port  string
	count chan int // after close: how many there were
}

func listen(t *testing.T) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	l := &listener{Listener: ln, port: port, count: make(chan int, 1)}
	go func() {
		n := 0
		for {
			c, err := ln.Accept()
			if err != nil {
				l.count <- n
				return
			}
			n++
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	return l
}

// arrived closes the listener and returns how many connections it saw. A
// connection that was made is in the kernel's queue by the time Dial returns, and
// the last one is made here, behind all others.
func (l *listener) arrived(t *testing.T) int {
	t.Helper()
	c, err := netguard.Policy{AllowPrivate: true}.Dialer(testkit.Patience).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("the admitted dial: %v", err)
	}
	_, _ = c.Read(make([]byte, 1)) // until it has been accepted and closed
	_ = c.Close()
	_ = l.Close()
	return <-l.count - 1
}

func TestRefusedDialMakesNoConnection(t *testing.T) {
	t.Parallel()
	// REQ A-5
	l := listen(t)
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1", "0.0.0.0", "::", "::ffff:0.0.0.0"} {
		_, err := netguard.Policy{}.Dialer(testkit.Patience).DialContext(t.Context(), "tcp", net.JoinHostPort(host, l.port))
		if _, ok := errors.AsType[*netguard.RefusedError](err); !ok {
			t.Errorf("%s: got %v, want a refusal", host, err)
		}
	}
	if n := l.arrived(t); n != 0 {
		t.Errorf("%d refused dials arrived", n)
	}
}

func TestOddSpellings(t *testing.T) {
	t.Parallel()
	// REQ A-5: some resolvers read these as 127.0.0.1. The check does not read
	// names at all, it waits for the address that comes of them.
	l := listen(t)
	for _, host := range []string{
		"2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "127.000.000.001",
		"①②⑦.⓪.⓪.①", "127。0。0。1", "loopback.example.com",
	} {
		d := netguard.Policy{}.Dialer(testkit.Patience)
		d.Resolver = testkit.Resolver(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
		_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, l.port))
		if err == nil {
			t.Errorf("%s was dialled", host)
		}
	}
	if n := l.arrived(t); n != 0 {
		t.Errorf("%d refused dials arrived", n)
	}
}

func TestRebinding(t *testing.T) {
	t.Parallel()
	// REQ A-5: a name that resolves to a public address when it is looked at, and to
	// a private one when it is dialled, gains nothing.
	l := listen(t)
	var asked atomic.Int32
	d := netguard.Policy{}.Dialer(testkit.Patience)
	d.Resolver = testkit.Resolver(t, func() netip.Addr {
		if asked.Add(1) == 1 {
			return netip.MustParseAddr("93.184.215.14")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	looked, err := d.Resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com")
	if err != nil || len(looked) != 1 || (netguard.Policy{}).Check(looked[0]) != nil {
		t.Fatalf("the first look: %v, %v", looked, err)
	}
	_, err = d.DialContext(t.Context(), "tcp4", net.JoinHostPort("rebind.example.com", l.port))
	refused, ok := errors.AsType[*netguard.RefusedError](err)
	if !ok || refused.Addr != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %v, want a refusal of 127.0.0.1", err)
	}
	if n := l.arrived(t); n != 0 {
		t.Errorf("%d refused dials arrived", n)
	}
}

func TestDialerRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	_, err := netguard.Policy{AllowPrivate: true}.Dialer(testkit.Patience).DialContext(t.Context(), "unix", t.TempDir()+"/s")
	if _, ok := errors.AsType[*netguard.RefusedError](err); !ok {
		t.Errorf("a socket file: got %v, want a refusal", err)
	}
}
