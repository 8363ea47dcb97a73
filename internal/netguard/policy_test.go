package netguard_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	// REQ A-5: the address guard, over every special range and its disguises. Of
	// each range the first and the last address, and their neighbours outside.
	const never, private, public = "never", "private", "public"
	ranges := map[string][]string{
		public: {
			"1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.215.14", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
			"168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
			"198.17.255.255", "198.20.0.0", "223.255.255.255",
			"::ffff:93.184.215.14", "::ffff:5db8:d70e",
			"2000::1", "2001:200::1", "2606:2800:21f:cb07::1", "2a00:1450:4001::1", "3ffe::1", "3fff:1000::1",
			"64:ff9b::5db8:d70e", "64:ff9b::1.1.1.1",
		},
		private: {
			"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1", "::1%lo", "::ffff:127.0.0.1", "::ffff:7f00:1",
			"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "::ffff:10.0.0.1",
			"fc00::1", "fd12:3456::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00:ec1::254", "fd00:ec3::254",
		},
		never: {
			// metadata and link-local, in every spelling
			"169.254.169.254", "169.254.0.0", "169.254.170.2", "169.254.255.255", "100.100.100.200", "192.0.0.192", "168.63.129.16",
			"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:100.100.100.200", "::ffff:192.0.0.192", "::ffff:168.63.129.16",
			"fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::254%eth0", "fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe", "fe80::1%eth0",
			"febf:ffff::1",
			// no host's
			"0.0.0.0", "::", "224.0.0.0", "239.255.255.255", "255.255.255.255", "ff00::1", "ff02::1", "ff0e::1", "::ffff:0.0.0.0", "::ffff:224.0.0.1",
			// IANA special-purpose registries
			"0.0.0.1", "0.255.255.255", "100.64.0.0", "100.127.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.31.196.1",
			"192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0",
			"203.0.113.255", "240.0.0.0", "255.255.255.254", "::ffff:100.64.0.1", "::ffff:198.18.0.1",
			"100::1", "2001::1", "2001:1::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1", "2620:4f:8000::1", "3fff::1", "3fff:fff:ffff::1",
			"4000::1", "5f00::1", "8000::1", "fec0::1", "fe00::1", "::2", "1::1",
			// NAT64 to what is not public
			"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::c0a8:1", "64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "64:ff9b::", "64:ff9b::e000:1", "64:ff9b::a83f:8110",
			"64:ff9b:0:0:0:1::1",
			// the local NAT64 prefix, with the address at the end and right after the prefix
			"64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00:0101:0101", "64:ff9b:1::5db8:d70e",
			// 6to4, Teredo, IPv4-compatible, IPv4-translated; also of public addresses
			"2002::", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:5db8:d70e::1", "2001:0:4136:e378:8000:63bf:5601:5601", "2001:0:5db8:d70e::a247:28f1",
			"::127.0.0.1", "::10.0.0.1", "::169.254.169.254", "::93.184.215.14", "::ffff:0:7f00:1", "::ffff:0:a9fe:a9fe",
		},
	}
	policies := map[netguard.Policy][]string{
		{}:                   {public},
		{AllowPrivate: true}: {public, private},
		{AllowPrivate: true, PlainOnlyPrivate: true}: {private},
		{PlainOnlyPrivate: true}:                     {},
	}
	for kind, addrs := range ranges {
		for _, text := range addrs {
			addr := netip.MustParseAddr(text)
			for policy, admitted := range policies {
				err := policy.Check(addr)
				if want := slices.Contains(admitted, kind); (err == nil) != want {
					t.Errorf("%s with %+v: got %v, want admitted %v", addr, policy, err, want)
				}
				if refused, ok := errors.AsType[*netguard.RefusedError](err); err != nil && (!ok || refused.Addr != addr) {
					t.Errorf("%s: %v is not a *RefusedError for it", addr, err)
				}
			}
		}
	}
	if (netguard.Policy{AllowPrivate: true}).Check(netip.Addr{}) == nil {
		t.Error("no address at all is admitted")
	}
}

func TestTheRefusalNamesTheSetting(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{"10.0.0.1": true, "::1": true, "169.254.169.254": false, "64:ff9b::a00:1": false} {
		err := netguard.Policy{}.Check(netip.MustParseAddr(addr))
		if err == nil || strings.Contains(err.Error(), "allowPrivateEndpoint: true") != want {
			t.Errorf("%s: %v; it names the setting where that helps: %v", addr, err, want)
		}
	}
}
