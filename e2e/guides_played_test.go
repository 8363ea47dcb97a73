package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Proxies that are not to be had for a test are played: they do with a request what their documentation says of the
// configuration that a guide shows, which they read out of it.

// playProxy starts one before the gateway, which it connects to from an address. admit does with a request what the proxy
// does, or has answered it, and then says no.
func playProxy(t *testing.T, gateway, address string, admit func(w http.ResponseWriter, r *http.Request) bool) (front string) {
	t.Helper()
	to, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     from(t, address).Transport,
		FlushInterval: -1,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if admit(w, r) {
			through.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// decode reads a configuration in YAML.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

// traefik is as much of a dynamic configuration as is played.
type traefik struct {
	HTTP struct {
		Routers     map[string]struct{ Middlewares []string }
		Middlewares map[string]struct {
			ForwardAuth struct {
				Address             string
				TrustForwardHeader  *bool
				AuthResponseHeaders []string
			}
		}
	}
}

// play does what forwardAuth of Traefik 3.7 does, where trustForwardHeader is false: the service is asked with the request's
// headers, and its answer is the client's unless it is 2xx; then the headers that are listed are taken away and replaced by
// the service's, and no others.
func (c traefik) play(t *testing.T, gateway, address string) (front string) {
	t.Helper()
	auth := c.HTTP.Middlewares[c.HTTP.Routers["gateway"].Middlewares[0]].ForwardAuth
	if auth.Address == "" || auth.TrustForwardHeader == nil || *auth.TrustForwardHeader {
		t.Fatalf("the guide's forwardAuth is %+v", auth)
	}
	return playProxy(t, gateway, address, func(w http.ResponseWriter, r *http.Request) bool {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Forwarded-") {
				r.Header.Del(name)
			}
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, auth.Address, nil)
		if err != nil {
			panic(err) // the guide's own mistake
		}
		ask.Header = r.Header.Clone()
		for _, hop := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length"} {
			ask.Header.Del(hop)
		}
		peer, _, _ := net.SplitHostPort(r.RemoteAddr)
		for name, value := range map[string]string{"Method": r.Method, "Proto": "https", "Host": r.Host, "Uri": r.URL.RequestURI(), "For": peer} {
			ask.Header.Set("X-Forwarded-"+name, value)
		}
		answer, err := client.Do(ask)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}
		defer answer.Body.Close()
		if answer.StatusCode/100 != 2 {
			maps.Copy(w.Header(), answer.Header)
			w.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(w, answer.Body)
			return false
		}
		for _, name := range auth.AuthResponseHeaders {
			r.Header.Del(name)
			if values := answer.Header.Values(name); len(values) > 0 {
				r.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		return true
	})
}

// playAuthelia answers as Authelia's forward-auth does for one person, alice, with Basic.
func playAuthelia(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Method", "Proto", "Host", "Uri"} { // without them it answers 400
			if r.Header.Get("X-Forwarded-"+name) == "" || r.URL.Path != "/api/authz/forward-auth" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		if name, password, _ := r.BasicAuth(); name != "alice" || password != "correct" {
			w.Header().Set("WWW-Authenticate", `Basic realm="Authorization Required"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for name, value := range map[string]string{"User": "alice", "Groups": "staff,dev", "Name": "Alice Liddell", "Email": "alice@example.com"} {
			w.Header().Set("Remote-"+name, value)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// checker checks tokens, as proxies do.
func checker(t *testing.T, jwks []byte, issuer string, audiences []string) func(r *http.Request) (claims token.Claims, there bool) {
	t.Helper()
	keys, err := token.NewFixedKeys(jwks)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(keys, token.Expectations{Issuer: issuer, Audiences: audiences})
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) (token.Claims, bool) {
		raw, there := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims, _, err := verifier.Verify(context.WithoutCancel(r.Context()), raw, time.Now())
		if err != nil {
			return nil, there
		}
		return claims, there
	}
}

// keysOf is a provider's key set.
func keysOf(t *testing.T, idp *testkit.IdP) []byte {
	t.Helper()
	return []byte(request{method: http.MethodGet, url: idp.Issuer + "/jwks"}.do(t).Body)
}

// istio is as much of a RequestAuthentication as is played.
type istio struct {
	Spec struct {
		JWTRules []struct {
			Issuer               string
			Audiences            []string
			ForwardOriginalToken bool
			OutputClaimToHeaders []struct{ Header, Claim string }
		}
	}
}

// play does what a sidecar does with a RequestAuthentication and, where principals are demanded, an AuthorizationPolicy:
// a bad token is refused, the headers for claims are nobody else's, and a token goes no further unless that is said.
func (c istio) play(t *testing.T, gateway string, idp *testkit.IdP, demanded bool) (front string) {
	t.Helper()
	rule := c.Spec.JWTRules[0]
	check := checker(t, keysOf(t, idp), rule.Issuer, rule.Audiences)
	return playProxy(t, gateway, "127.0.0.6", func(w http.ResponseWriter, r *http.Request) bool {
		for _, h := range rule.OutputClaimToHeaders {
			r.Header.Del(h.Header)
		}
		claims, there := check(r)
		switch {
		case there && claims == nil:
			http.Error(w, "Jwt verification fails", http.StatusUnauthorized)
			return false
		case claims == nil && demanded:
			http.Error(w, "RBAC: access denied", http.StatusForbidden)
			return false
		case claims == nil:
			return true
		}
		for _, h := range rule.OutputClaimToHeaders {
			switch v := claims[h.Claim].(type) {
			case nil:
			case string:
				r.Header.Set(h.Header, v)
			default:
				text, _ := json.Marshal(v)
				r.Header.Set(h.Header, base64.RawURLEncoding.EncodeToString(text))
			}
		}
		if !rule.ForwardOriginalToken {
			r.Header.Del("Authorization")
		}
		return true
	})
}

// kong is as much of a configuration as is played.
type kong struct {
	Services []struct {
		Plugins []struct {
			Name   string
			Config struct {
				Access                []string
				Issuer                string
				AudienceRequired      []string `json:"audience_required"`
				UpstreamHeadersClaims []string `json:"upstream_headers_claims"`
				UpstreamHeadersNames  []string `json:"upstream_headers_names"`
				Remove, Add           struct{ Headers []string }
			}
		}
	}
}

var cleared = regexp.MustCompile(`^kong\.service\.request\.clear_header\("([\w-]+)"\)$`)

// play does what the plugins do, in the order of their priorities, which is the guide's own.
func (c kong) play(t *testing.T, gateway string, idp *testkit.IdP) (front string) {
	t.Helper()
	var check func(r *http.Request) (token.Claims, bool)
	order := ""
	for _, p := range c.Services[0].Plugins {
		order += p.Name + " "
		if p.Name == "openid-connect" {
			check = checker(t, keysOf(t, idp), p.Config.Issuer, p.Config.AudienceRequired)
		}
	}
	if order != "pre-function openid-connect request-transformer " {
		t.Fatalf("the guide's plugins are %s", order)
	}
	return playProxy(t, gateway, "127.0.0.7", func(w http.ResponseWriter, r *http.Request) bool {
		for _, p := range c.Services[0].Plugins {
			for _, line := range p.Config.Access {
				r.Header.Del(cleared.FindStringSubmatch(line)[1])
			}
			if p.Name == "openid-connect" {
				claims, _ := check(r)
				if claims == nil {
					http.Error(w, "Unauthorized", http.StatusUnauthorized)
					return false
				}
				for i, claim := range p.Config.UpstreamHeadersClaims {
					if v := claims.Text(claim); v != "" {
						r.Header.Set(p.Config.UpstreamHeadersNames[i], v)
					}
				}
			}
			for _, name := range p.Config.Remove.Headers {
				r.Header.Del(name)
			}
			for _, pair := range p.Config.Add.Headers {
				if name, value, _ := strings.Cut(pair, ":"); r.Header.Get(name) == "" {
					r.Header.Set(name, value)
				}
			}
		}
		return true
	})
}

// apim is as much of a policy as is played.
type apim struct {
	Inbound struct {
		Validate struct {
			Tenant    string   `xml:"tenant-id,attr"`
			Audiences []string `xml:"audiences>audience"`
		} `xml:"validate-azure-ad-token"`
		Set []struct {
			Name   string `xml:"name,attr"`
			Exists string `xml:"exists-action,attr"`
			Value  string `xml:"value"`
		} `xml:"set-header"`
	} `xml:"inbound"`
}

// playAPIM does what the policies do, with tokens of the tenant that an issuer signs for it.
func playAPIM(t *testing.T, gateway, policy string, i *testkit.Issuer) (front string) {
	t.Helper()
	var c apim
	if err := xml.Unmarshal([]byte(policy), &c); err != nil {
		t.Fatal(err)
	}
	check := checker(t, i.JWKS(), entraIssuer(c.Inbound.Validate.Tenant), c.Inbound.Validate.Audiences)
	return playProxy(t, gateway, "127.0.0.8", func(w http.ResponseWriter, r *http.Request) bool {
		claims, _ := check(r)
		if claims == nil {
			http.Error(w, `{"statusCode":401,"message":"Unauthorized"}`, http.StatusUnauthorized)
			return false
		}
		for _, set := range c.Inbound.Set {
			switch value := strings.TrimSpace(set.Value); {
			case set.Exists == "delete":
				r.Header.Del(set.Name)
			case set.Exists != "override":
				panic("the guide adds to what a client wrote: " + set.Name)
			case value == `@(((Jwt)context.Variables["jwt"]).Subject)`:
				r.Header.Set(set.Name, claims.Text("sub"))
			default:
				r.Header.Set(set.Name, strings.NewReplacer("{{proxy-key}}", "from-a-vault").Replace(value))
			}
		}
		return true
	})
}

func entraIssuer(tenant string) string {
	return fmt.Sprintf("https://login.microsoftonline.com/%s/v2.0", tenant)
}

// playSigner starts a proxy that knows people by a cookie, and says who they are in a signed header alone.
func playSigner(t *testing.T, gateway, header string, sign func() string) (front string) {
	t.Helper()
	return playProxy(t, gateway, "127.0.0.9", func(w http.ResponseWriter, r *http.Request) bool {
		r.Header.Del(header)
		if c, err := r.Cookie("session"); err != nil || c.Value != "alice" {
			http.Redirect(w, r, "https://sign-in.example.com/", http.StatusFound)
			return false
		}
		r.Header.Set(header, sign())
		return true
	})
}
