package netguard_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// REQ A-5: the address guard, over every special range and its disguises.
func TestCheck(t *testing.T) {
	t.Parallel()
	const never, private, public = "never", "private", "public"
	tests := []struct{ addr, want string }{
		{"93.184.215.14", public}, {"2606:2800:21f:cb07::1", public}, {"::ffff:93.184.215.14", public}, {"64:ff9b::5db8:d70e", public},
		{"127.0.0.1", private}, {"127.255.255.254", private}, {"::1", private}, {"::ffff:127.0.0.1", private},
		{"10.0.0.1", private}, {"172.16.0.1", private}, {"172.31.255.255", private}, {"192.168.1.1", private}, {"fd12:3456::1", private},
		{"172.32.0.1", public}, {"11.0.0.1", public},
		{"64:ff9b::7f00:1", private}, {"2002:7f00:1::", private}, {"64:ff9b::a00:1", private}, {"::10.0.0.1", private},
		{"169.254.169.254", never}, {"169.254.0.1", never}, {"::ffff:169.254.169.254", never}, {"64:ff9b::a9fe:a9fe", never},
		{"64:ff9b:1::a9fe:a9fe", never}, {"2002:a9fe:a9fe::1", never}, {"2001:0:4136:e378:8000:63bf:5601:5601", never}, {"::169.254.169.254", never},
		{"fe80::1", never}, {"fe80::1%eth0", never}, {"fd00:ec2::254", never}, {"fd20:ce::254", never},
		{"100.100.100.200", never}, {"192.0.0.192", never}, {"168.63.129.16", never},
		{"0.0.0.0", never}, {"::", never}, {"0.1.2.3", never}, {"100.64.0.1", never}, {"198.18.0.1", never}, {"192.0.2.1", never},
		{"224.0.0.1", never}, {"ff02::1", never}, {"240.0.0.1", never}, {"255.255.255.255", never}, {"2001:db8::1", never}, {"100::1", never}, {"fec0::1", never},
	}
	for _, tt := range tests {
		addr := netip.MustParseAddr(tt.addr)
		for policy, admitted := range map[netguard.Policy][]string{
			{}:                   {public},
			{AllowPrivate: true}: {public, private},
			{AllowPrivate: true, PlainOnlyPrivate: true}: {private},
			{PlainOnlyPrivate: true}:                     {},
		} {
			err := policy.Check(addr)
			want := false
			for _, a := range admitted {
				want = want || a == tt.want
			}
			if (err == nil) != want {
				t.Errorf("%s with %+v: got %v, want admitted %v", tt.addr, policy, err, want)
			}
			if err != nil {
				if _, ok := errors.AsType[*netguard.RefusedError](err); !ok {
					t.Errorf("%s: %T is not a *RefusedError", tt.addr, err)
				}
			}
		}
	}
}

func TestTheRefusalNamesTheSetting(t *testing.T) {
	t.Parallel()
	err := netguard.Policy{}.Check(netip.MustParseAddr("10.0.0.1"))
	if err == nil || !strings.Contains(err.Error(), "allowPrivateEndpoint") {
		t.Errorf("got %v", err)
	}
}

// The check is on the address that a name resolves to, whatever its spelling, and
// a refused address gets no connection.
func TestDialer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan struct{}, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1"} {
		_, err := netguard.Policy{}.Dialer(time.Second).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if _, ok := errors.AsType[*netguard.RefusedError](err); !ok {
			t.Errorf("%s: got %v, want a refusal", host, err)
		}
	}
	c, err := netguard.Policy{AllowPrivate: true}.Dialer(time.Second).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-accepted // the admitted one
	ln.Close()
	<-ended
	if len(accepted) != 0 {
		t.Errorf("%d refused dials arrived", len(accepted))
	}
}
