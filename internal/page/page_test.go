package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// A stranger's word stays a word, wherever it stands; and the one style sheet is the one
// that the browser is told to expect.
func TestWrite(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>'&`
	site := page.Site{Name: evil, LogoURL: "https://cdn.example.com/a?b=" + evil, SupportURL: "mailto:" + evil}
	w := httptest.NewRecorder()
	site.Write(w, 418, evil, evil, func(p *page.Page) {
		p.Field(evil, evil)
		p.Quiet(evil)
		p.Warning(evil)
		p.Form(evil, [][2]string{{evil, evil}}, func() { p.Choice(evil, evil, evil, evil, true) }, page.Button{Name: evil, Value: evil, Label: evil, Primary: true})
	})
	body := w.Body.String()
	if strings.Contains(body, "<script") || w.Code != 418 {
		t.Errorf("%d: %s", w.Code, body)
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	sum := sha256.Sum256([]byte(style[1]))
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "img-src data: https://cdn.example.com;", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy does not say %s: %s", want, policy)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	got := page.Scopes([]string{"openid", "email", "docs:read", "write.calendar_events", "https://example.com/auth/drive", "admin"})
	want := []string{
		"know that it is you", "see your e-mail address", "read docs (docs:read)", "write calendar events (write.calendar_events)",
		"use https://example.com/auth/drive", "use admin",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"act as you"}, page.Scopes(nil)); diff != "" {
		t.Error(diff)
	}
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                        "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1":     "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": "Edge on Windows",
		"curl/8": "A browser",
	} {
		if got := page.Browser(agent); got != want {
			t.Errorf("%s is %q, want %q", agent, got, want)
		}
	}
	for uri, want := range map[string]string{"https://a.example:8443/cb": "a.example:8443", "cursor://x/cb": "the application that opens cursor: links"} {
		if got := page.Host(uri); got != want {
			t.Errorf("%s leads to %q, want %q", uri, got, want)
		}
	}
}
