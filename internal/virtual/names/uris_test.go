package names_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

func TestURIs(t *testing.T) {
	t.Parallel()
	type own = names.Own
	u := names.MakeURIs([]string{"a", "b"},
		[]own{{0, "docs://readme"}, {1, "docs://readme"}, {0, "ui://app/main.html"}, {1, "ui://app/main.html"}, {1, "file://only"}},
		[]own{{0, "data://{id}{?format}"}, {1, "file://docs/{+path}"}, {0, "x://{id}"}, {1, "x://{id}"}, {0, "broken://{"}})
	for _, tt := range []struct {
		own    own
		public string
	}{
		{own{0, "docs://readme"}, "sallyport+a:docs://readme"},
		{own{1, "docs://readme"}, "sallyport+b:docs://readme"},
		{own{0, "ui://app/main.html"}, "ui://sallyport+a/app/main.html"}, // REPORT 21
		{own{1, "ui://app/main.html"}, "ui://sallyport+b/app/main.html"},
		{own{1, "file://only"}, "file://only"},
		{own{0, "data://123?format=xml"}, "data://123?format=xml"}, // REPORT 20
		{own{1, "file://docs/a/b/c%2Fd.txt"}, "file://docs/a/b/c%2Fd.txt"},
		{own{0, "x://1"}, "sallyport+a:x://1"},
		{own{1, "data://123"}, "sallyport+b:data://123"}, // which by itself would lead to a
	} {
		if got, listed := u.Public(tt.own); got != tt.public || !listed {
			t.Errorf("%v is %q for clients, %v, want %q", tt.own, got, listed, tt.public)
		}
		if got, ok := u.Own(tt.public); !ok || got != tt.own {
			t.Errorf("%q leads to %v, %v, want %v", tt.public, got, ok, tt.own)
		}
	}
	for _, uri := range []string{"docs://readme", "file://elsewhere", "x://1", "sallyport+c:docs://readme", "broken://", ""} {
		if got, ok := u.Own(uri); ok {
			t.Errorf("%q leads to %v, want nowhere", uri, got)
		}
	}
	if got, listed := u.Public(own{1, "link://of/a/result"}); got != "link://of/a/result" || listed {
		t.Errorf("a link that stands in no list is %q, %v", got, listed)
	}
	if got := u.PublicTemplate(own{0, "x://{id}"}); got != "sallyport+a:x://{id}" {
		t.Errorf("a template that two have is %q", got)
	}
	if got := u.PublicTemplate(own{0, "data://{id}{?format}"}); got != "data://{id}{?format}" {
		t.Errorf("a template that one has is %q", got)
	}
}
