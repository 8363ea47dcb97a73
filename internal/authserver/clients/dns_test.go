package clients_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
)

// nameServer answers every question for an IPv4 address with what it is told.
func nameServer(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(reply4(question[:n], answer()), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// reply4 is a DNS answer (RFC 1035 §4.1) with one address, or none for other types.
func reply4(question []byte, addr netip.Addr) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root label, type and class
	out := append([]byte(nil), question[:end]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // an answer, no error
	isA := binary.BigEndian.Uint16(question[end-4:]) == 1
	binary.BigEndian.PutUint16(out[6:], 0)
	binary.BigEndian.PutUint32(out[8:], 0)
	if !isA {
		return out
	}
	binary.BigEndian.PutUint16(out[6:], 1)
	out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	four := addr.As4()
	return append(out, four[:]...)
}
