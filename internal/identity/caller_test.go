package identity_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

func TestAnonymous(t *testing.T) {
	t.Parallel()
	// REQ A-1
	a := identity.Anonymous()
	if a.Subject != "anonymous" || a.Source != "anonymous" {
		t.Fatalf("Anonymous() = %+v", *a)
	}
	if a.Key() != identity.Anonymous().Key() {
		t.Fatal("two anonymous callers have different keys")
	}
}

func TestKeyTellsCallersApart(t *testing.T) {
	t.Parallel()
	callers := []identity.Caller{
		{Subject: "anonymous", Source: "anonymous"},
		{Subject: "anonymous", Source: "proxy"},
		{Subject: "xy", Source: "prox"},
		{Subject: "y", Source: "proxx"},
		{Subject: "", Source: "proxy"},
		{Subject: "a\x00b", Source: "proxy"},
		{Subject: "b", Source: "proxy"},
	}
	seen := map[string]identity.Caller{}
	for _, c := range callers {
		if other, ok := seen[c.Key()]; ok {
			t.Errorf("%+v and %+v share a key", c, other)
		}
		seen[c.Key()] = c
	}
}
