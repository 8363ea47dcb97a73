package clients_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
)

func TestRedirect(t *testing.T) {
	t.Parallel()
	c := &clients.Client{RedirectURIs: []string{
		"https://app.example.com/cb?x=1", "http://127.0.0.1/cb", "http://[::1]:3000/cb", "http://localhost:33418", "com.example.app:/cb",
	}}
	for uri, good := range map[string]bool{
		"https://app.example.com/cb?x=1":      true,
		"https://app.example.com/cb":          false,
		"https://app.example.com/cb?x=1&y=2":  false,
		"https://app.example.com:443/cb?x=1":  false,
		"https://APP.example.com/cb?x=1":      false,
		"https://app.example.com/cb/?x=1":     false,
		"https://app.example.com/a/../cb?x=1": false,
		"https://app.example.com/%63b?x=1":    false,
		"http://app.example.com/cb?x=1":       false,

		"http://127.0.0.1/cb":            true,
		"http://127.0.0.1:1/cb":          true,
		"http://127.0.0.1:65535/cb":      true,
		"http://127.0.0.1:0/cb":          false,
		"http://127.0.0.1:65536/cb":      false,
		"http://127.0.0.1:08080/cb":      false,
		"http://127.0.0.1:+80/cb":        false,
		"http://127.0.0.1:/cb":           false,
		"http://127.0.0.2:80/cb":         false,
		"http://127.0.0.1:80/cb?x":       false,
		"http://127.0.0.1:80/cb#x":       false,
		"http://127.0.0.1:80/cb/":        false,
		"https://127.0.0.1:80/cb":        false,
		"HTTP://127.0.0.1:80/cb":         false,
		"http://localhost:80/cb":         false, // registered without a path
		"http://127.0.0.1:80@evil/cb":    false,
		"http://127.0.0.1@evil:80/cb":    false,
		"http://127.0.0.1:80\\@evil/cb":  false,
		"http://127.0.0.1.evil.com/cb":   false,
		"http://127.0.0.1:80.evil.cm/cb": false,
		"http://[::1]/cb":                true,
		"http://[::1]:9/cb":              true,
		"http://[::1%25eth0]:9/cb":       false,
		"http://[::ffff:127.0.0.1]:9/cb": false,
		"http://localhost:1024":          true,
		"http://localhost":               true,
		"http://localhost:1024/":         true, // FINDING 2.17
		"http://localhost:1024/x":        false,
		"http://localhost:1024?":         false,
		"http://localhost.:1024":         false,
		"com.example.app:/cb":            true,
		"com.example.app:/cb2":           false,
		"com.example.app://cb":           false,
		"javascript:alert(1)":            false,
		"":                               false, // there are several
	} {
		got, err := c.Redirect(uri)
		if (err == nil) != good || good && got != uri {
			t.Errorf("%q gives %q, %v; good should be %v", uri, got, err, good)
		}
	}
	one := &clients.Client{RedirectURIs: []string{"https://a.example/cb"}}
	if got, err := one.Redirect(""); got != "https://a.example/cb" || err != nil {
		t.Errorf("the only one, left out: %q, %v", got, err)
	}
	if _, err := (&clients.Client{}).Redirect(""); err == nil {
		t.Error("a client without redirect URIs has one")
	}
}

// FuzzRedirect holds the one property that matters: what comes out is a registered
// URI, or one that leads to the same place on the person's own machine.
func FuzzRedirect(f *testing.F) {
	for _, uri := range []string{
		"https://a.example/cb", "http://127.0.0.1/cb", "http://[::1]:1/", "http://localhost:3/x?y", "http://127.0.0.1:1@evil/", "app.x:/cb",
		"http://127.0.0.1:80\t/cb", "http://[::1]evil/", "http://127.0.0.1#@evil/",
	} {
		f.Add(uri, uri)
		f.Add("http://127.0.0.1/cb", uri)
	}
	f.Fuzz(func(t *testing.T, registered, asked string) {
		c := &clients.Client{RedirectURIs: []string{registered, "http://127.0.0.1/cb", "https://a.example/cb"}}
		got, err := c.Redirect(asked)
		if err != nil || got == "" && asked == "" {
			return
		}
		if got != asked {
			t.Fatalf("%q became %q", asked, got)
		}
		if slices.Contains(c.RedirectURIs, got) {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "http" || u.User != nil {
			t.Fatalf("%q is not registered, and %v", got, err)
		}
		if h := u.Hostname(); h != "localhost" && h != "::1" && !strings.HasPrefix(h, "127.") && !strings.HasSuffix(h, ":1") {
			t.Fatalf("%q is not registered and leads to %q", got, h)
		}
		bare := strings.Replace(got, ":"+u.Port(), "", 1)
		if !slices.ContainsFunc(c.RedirectURIs, func(r string) bool {
			at, err := url.Parse(r)
			return err == nil && (r == bare || at.Port() != "" && strings.Replace(r, ":"+at.Port(), "", 1) == bare || r == bare)
		}) && u.Port() != "" {
			t.Fatalf("%q differs from what is registered in more than its port", got)
		}
	})
}

// FuzzRegister holds what is true of every client that registered, whatever it said:
// its redirect URIs run nothing, read nothing, and lead where they seem to.
func FuzzRegister(f *testing.F) {
	f.Add(rfcRegistration)
	for _, uri := range []string{"javascript:alert(1)", "cursor://a/b", "http://127.0.0.1:1/", "https://a\\\\@b/", "https://a#", "com.app:/x", "data:text/html,x"} {
		f.Add(`{"redirect_uris":["` + uri + `"],"token_endpoint_auth_method":"none"}`)
	}
	f.Fuzz(func(t *testing.T, body string) {
		req := httptest.NewRequestWithContext(t.Context(), "POST", issuer+"/oauth/register", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		registry(nil).ServeRegistration(rec, req)
		var a struct {
			RedirectURIs []string `json:"redirect_uris"`
			Error        string   `json:"error"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || (rec.Code == 201) != (a.Error == "") {
			t.Fatalf("answered %d %q", rec.Code, rec.Body)
		}
		for _, uri := range a.RedirectURIs {
			u, err := url.Parse(uri)
			if err != nil || u.User != nil || u.Fragment != "" || strings.ContainsAny(uri, "#*\\ \t\r\n<>\"") {
				t.Fatalf("%q was registered", uri)
			}
			scheme, rest, _ := strings.Cut(uri, ":")
			if slices.Contains([]string{"javascript", "data", "file", "vbscript", "blob", "about"}, strings.ToLower(scheme)) {
				t.Fatalf("%q was registered", uri)
			}
			// What a browser takes for the host: between // and the next / or ?.
			host := strings.TrimPrefix(rest, "//")
			if i := strings.IndexAny(host, "/?"); i >= 0 {
				host = host[:i]
			}
			if scheme == "http" || scheme == "https" {
				if u.Host != host || scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "::1" && !strings.HasPrefix(u.Hostname(), "127.") && !strings.HasSuffix(u.Hostname(), ":1") {
					t.Fatalf("%q was registered and leads to %q", uri, u.Host)
				}
			}
		}
	})
}
