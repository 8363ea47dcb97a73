package testkit

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

// Resolver asks a name server of the test's own, which answers every question for an
// IPv4 address with what answer says at that moment, and other questions with none.
func Resolver(t testing.TB, answer func() netip.Addr) *net.Resolver {
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
