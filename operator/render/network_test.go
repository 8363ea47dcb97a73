package render

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// What a policy cannot say is told in a few words, however many addresses there are, and always in the same ones.
func TestUnsaid(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		addresses []string
		redirects []string
		want      string
	}{
		{"nothing", nil, nil, ""},
		{"an address", []string{"https://10.1.2.3:8443/mcp", "http://[2001:db8::1]/mcp"}, nil, ""},
		{"names", []string{"https://b.example.com/x", "http://a.example.com/", "https://b.example.com/y"}, nil, "for a.example.com:80, b.example.com:443 any address"},
		{"a Service", []string{"http://docs.team.svc:8080/mcp"}, nil, "docs.team.svc:8080 is admitted at that port of every pod"},
		{"redirects", nil, []string{"two.example.com", "one.example.com"}, "redirects to one.example.com, two.example.com are"},
	} {
		gw := &Gateway{RedirectHosts: row.redirects}
		for _, text := range row.addresses {
			gw.Addresses = append(gw.Addresses, parse(t, text))
		}
		if got := gw.Unsaid(); !strings.Contains(got, row.want) || (row.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	many := &Gateway{RedirectHosts: []string{"elsewhere.example.com"}}
	for i := range 1000 {
		many.Addresses = append(many.Addresses, parse(t, fmt.Sprintf("https://%03d.example.com/mcp", i)))
	}
	if got := many.Unsaid(); !strings.Contains(got, "007.example.com:443 and 992 more any address") || !strings.Contains(got, "elsewhere.example.com") || len(got) > 1024 {
		t.Errorf("of a thousand: %s", got)
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
