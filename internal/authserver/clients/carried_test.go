package clients_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// REQ G-10, FINDING 2.13, 2.14: a client's id carries what was registered. The same
// client gets it again, and it is good where the store has forgotten everything.
func TestCarried(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*clients.Config)) *clients.Registry {
		return registry(func(c *clients.Config) {
			c.Ring = ring
			if change != nil {
				change(c)
			}
		})
	}
	public := map[string]any{"token_endpoint_auth_method": "none", "client_name": "App", "scope": "a b", "client_uri": "https://app.example.com", "redirect_uris": []string{"http://localhost:4711/callback"}, "grant_types": []string{"authorization_code", "refresh_token"}}
	before := with(nil)
	first, again := register(t, before, public), register(t, before, public)
	id := first.get("client_id")
	if id != again.get("client_id") || first.get("registration_access_token") != "" || first.get("registration_client_uri") != "" {
		t.Errorf("the same client again: %s, then %s", first.text, again.text)
	}
	if len(id) > 256 {
		t.Errorf("the id of an ordinary client has %d characters", len(id))
	}
	want, err := before.Find(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := with(nil).Find(t.Context(), id, "")
	if err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(clients.Client{})); diff != "" || got.Name != "App" || !got.May("refresh_token") || !got.Public() || got.ApplicationType != clients.Native || got.URI != "https://app.example.com" {
		t.Errorf("%+v %s", got, diff)
	}
	secretive := register(t, before, map[string]any{"client_name": "App"})
	after := with(nil)
	if _, refused := authenticate(t, after, url.Values{}, basic(secretive.get("client_id"), secretive.get("client_secret"))); refused != nil {
		t.Errorf("a client with a secret, after a restart: %v", refused)
	}
	if _, refused := authenticate(t, after, url.Values{}, basic(secretive.get("client_id"), "x")); refused == nil {
		t.Error("another secret is good")
	}
	if got := call(t, after, "DELETE", "/"+id, first.get("registration_access_token"), nil); got.status != 401 {
		t.Errorf("somebody removed a client that is everybody's: %d", got.status)
	}
	for name, r := range map[string]*clients.Registry{
		"another issuer's":      with(func(c *clients.Config) { c.Issuer = "https://other.example" }),
		"with another key":      registry(nil),
		"where nobody may":      with(func(c *clients.Config) { c.Registration.Disabled = true }),
		"made up":               nil,
		"that leads elsewhere":  with(func(c *clients.Config) { c.Registration.RedirectHosts = []string{"b.example"} }),
		"on one's own computer": with(func(c *clients.Config) { c.Registration.RedirectHosts = []string{"b.example"} }),
	} {
		asked := secretive.get("client_id")
		switch name {
		case "made up":
			r, asked = before, asked[:len(asked)-2]+"xx"
		case "on one's own computer":
			asked = id
		}
		if _, err := r.Find(t.Context(), asked, ""); (err == nil) != (name == "on one's own computer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only the hosts that the manifest admits get answers of clients that register
// themselves, and the person's own machine.
func TestRedirectHosts(t *testing.T) {
	t.Parallel()
	r := registry(func(c *clients.Config) { c.Registration.RedirectHosts = []string{"claude.ai", "*.example.com"} })
	for uri, admitted := range map[string]bool{
		"https://claude.ai/cb": true, "https://a.example.com:8443/cb": true, "http://127.0.0.1:1/": true, "cursor://a/cb": true,
		"https://evil.example/cb": false, "https://example.com/cb": false, "https://claude.ai.evil.example/cb": false,
	} {
		a := call(t, r, "POST", "", "", map[string]any{"redirect_uris": []string{"http://localhost/", uri}})
		if (a.status == 201) != admitted || !admitted && (a.get("error") != "invalid_redirect_uri" || !strings.Contains(a.text, "registration.redirectHosts")) {
			t.Errorf("%s: %d %s", uri, a.status, a.text)
		}
	}
}
