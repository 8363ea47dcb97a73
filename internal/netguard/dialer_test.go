package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
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
	c, err := netguard.Policy{AllowPrivate: true}.Dialer(time.Second).DialContext(t.Context(), "tcp", l.Addr().String())
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
		_, err := netguard.Policy{}.Dialer(time.Second).DialContext(t.Context(), "tcp", net.JoinHostPort(host, l.port))
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
		d := netguard.Policy{}.Dialer(time.Second)
		d.Resolver = resolver(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
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
	d := netguard.Policy{}.Dialer(time.Second)
	d.Resolver = resolver(t, func() netip.Addr {
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
	_, err := netguard.Policy{AllowPrivate: true}.Dialer(time.Second).DialContext(t.Context(), "unix", t.TempDir()+"/s")
	if _, ok := errors.AsType[*netguard.RefusedError](err); !ok {
		t.Errorf("a socket file: got %v, want a refusal", err)
	}
}

// resolver asks a name server of the test's own, which has the same answer for
// every name.
func resolver(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1<<10)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], answer); reply != nil {
				_, _ = pc.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// dnsReply answers an A question, and every other one with no records (RFC 1035 §4).
func dnsReply(query []byte, answer func() netip.Addr) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 { // the name's labels
		end += int(query[end]) + 1
	}
	end += 1 + 4 // its end, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte(nil), query[:end]...)
	reply[2], reply[3] = 0x81, 0x80 // a response, recursion available
	clear(reply[6:header])          // no answers yet, and no additional records
	if isA := query[end-4] == 0 && query[end-3] == 1; isA {
		ip := answer().As4()
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // name as asked, A, IN, TTL 0, 4 bytes
		reply = append(reply, ip[:]...)
	}
	return reply
}
