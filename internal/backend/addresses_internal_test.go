package backend

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What DNS has said is good until it says something else, however long it fails; while it fails it is asked at the same
// pace as ever. A name that it denies has no addresses.
func TestAddressesOutliveDNS(t *testing.T) {
	t.Parallel()
	first, second := []netip.Addr{netip.MustParseAddr("10.0.0.1")}, []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	away, denied := &net.DNSError{Err: "server misbehaving", IsTemporary: true}, &net.DNSError{Err: "no such host", IsNotFound: true}
	for name, steps := range map[string][]struct {
		after time.Duration
		says  []netip.Addr
		fails error
		want  []netip.Addr
		err   error
		asked int // so far
	}{
		"away before anything was known": {
			{0, nil, away, nil, away, 1},
			{0, nil, away, nil, away, 2},
			{0, first, nil, first, nil, 3},
		},
		"away for a while": {
			{0, first, nil, first, nil, 1},
			{addressesKnown - 1, nil, away, first, nil, 1},
			{1, nil, away, first, nil, 2},
			{addressesKnown - 1, nil, away, first, nil, 2},
			{1, nil, away, first, nil, 3},
			{time.Hour, nil, away, first, nil, 4},
			{addressesKnown, second, nil, second, nil, 5},
		},
		"denied after it was away": {
			{0, first, nil, first, nil, 1},
			{addressesKnown, nil, away, first, nil, 2},
			{addressesKnown, nil, denied, nil, denied, 3},
			{0, nil, away, nil, away, 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				at, err := newTarget(&url.URL{Scheme: "http", Host: "pods.test:80", Path: "/"})
				if err != nil {
					t.Fatal(err)
				}
				var says []netip.Addr
				var fails error
				asked := 0
				a, err := newAddresses(at, func(context.Context, string, string) ([]netip.Addr, error) {
					asked++
					return says, fails
				})
				if err != nil {
					t.Fatal(err)
				}
				for i, step := range steps {
					<-time.After(step.after)
					says, fails = step.says, step.fails
					got, err := a.all(t.Context(), addressesKnown)
					if !slices.Equal(got, step.want) || !errors.Is(err, step.err) || asked != step.asked {
						t.Errorf("step %d: %v, %v, and DNS was asked %d times; want %v, %v, %d", i, got, err, asked, step.want, step.err, step.asked)
					}
				}
			})
		})
	}
}
