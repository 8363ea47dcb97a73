package internet

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Provider is one that is played.
type Provider struct {
	Name    string // as in examples/providers
	Subject string // of the person who signs in, as the gateway is to know them

	shape  shape
	keys   *testkit.Issuer
	client Client

	mu         sync.Mutex
	codes      map[string]url.Values // and what was asked for
	gave       []string              // access tokens
	renewable  map[string]bool       // refresh tokens that are good
	complaints []string
}

// Client is what somebody has registered there.
type Client struct{ ID, Secret, Redirect string }

// shape is in what providers differ.
type shape struct {
	issuer                            string // "" for one that is no OpenID provider
	authorize, redeem, keys, userinfo string
	scopes                            string            // that are to be asked for
	params                            map[string]string // that are to be there, too
	methods                           []string          // of authentication at the token endpoint
	metadata                          map[string]any    // further ones
	tellsIssuer                       bool              // in the answer to the browser (RFC 9207)
	refresh                           string            // what asks for a refresh token: a scope, or a parameter; "" where there is none
	form                              bool              // the token endpoint answers with a form unless it is asked for JSON
	expiresIn                         int               // seconds; 0 for never
	subject                           string
	claims                            map[string]any // of the ID token, or of the answer of userinfo where there is none
}

// Play plays a provider at its own addresses.
func Play(t testing.TB, i *Net, name string, client Client) *Provider {
	t.Helper()
	s, ok := shapes[name]
	if !ok {
		t.Fatalf("nobody knows the provider %s", name)
	}
	p := &Provider{Name: name, Subject: s.subject, shape: s, keys: testkit.NewIssuer(t), client: client, codes: map[string]url.Values{}, renewable: map[string]bool{}}
	places := map[string]http.HandlerFunc{s.authorize: p.authorize, s.redeem: p.token, s.userinfo: p.userinfo}
	if s.issuer != "" {
		places[strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration"] = p.discovery
		places[s.keys] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(p.keys.JWKS())
		}
	}
	hosts := map[string]*http.ServeMux{}
	for place, h := range places {
		at, err := url.Parse(place)
		if err != nil {
			t.Fatal(err)
		}
		if hosts[at.Host] == nil {
			hosts[at.Host] = http.NewServeMux()
		}
		hosts[at.Host].HandleFunc(at.Path, h)
	}
	for host, mux := range hosts {
		i.Host(host, mux)
	}
	return p
}

// Complaints are what the provider would have refused, or been asked otherwise.
func (p *Provider) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.complaints)
}

// Gave tells whether an access token is one of this provider's.
func (p *Provider) Gave(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.gave, token)
}

// GaveAny tells whether anybody was given one.
func (p *Provider) GaveAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.gave) > 0
}

// refuse answers with an OAuth error (RFC 6749 §5.2), and writes it down.
func (p *Provider) refuse(w http.ResponseWriter, code, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.mu.Lock()
	p.complaints = append(p.complaints, code+": "+text)
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "error_description": text})
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	metadata := map[string]any{
		"issuer": p.shape.issuer, "authorization_endpoint": p.shape.authorize, "token_endpoint": p.shape.redeem, "jwks_uri": p.shape.keys,
		"userinfo_endpoint": p.shape.userinfo, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "token_endpoint_auth_methods_supported": p.shape.methods,
	}
	maps.Copy(metadata, p.shape.metadata)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(metadata)
}

// authorize sends the person back at once.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	want := map[string]string{
		"client_id": p.client.ID, "redirect_uri": p.client.Redirect, "response_type": "code", "code_challenge_method": "S256", "scope": p.shape.scopes, "resource": "",
	}
	maps.Copy(want, p.shape.params)
	for name, value := range want {
		if q.Get(name) != value {
			p.refuse(w, "invalid_request", "%s is %q, want %q", name, q.Get(name), value)
			return
		}
	}
	for _, name := range []string{"state", "code_challenge", "nonce"} {
		if q.Get(name) == "" && (name != "nonce" || p.shape.issuer != "") {
			p.refuse(w, "invalid_request", "there is no %s", name)
			return
		}
	}
	p.mu.Lock()
	code := fmt.Sprintf("code-of-%s-%d", p.Name, len(p.codes)+1)
	p.codes[code] = q
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}}
	if p.shape.tellsIssuer {
		back.Set("iss", p.shape.issuer)
	}
	http.Redirect(w, r, p.client.Redirect+"?"+back.Encode(), http.StatusFound)
}

// token exchanges a code, once, or a refresh token.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		p.refuse(w, "invalid_request", "%s %v", r.Method, err)
		return
	}
	id, secret, method := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), "client_secret_post"
	if name, password, ok := r.BasicAuth(); ok {
		id, secret, method = name, password, "client_secret_basic"
	}
	if id != p.client.ID || secret != p.client.Secret || !slices.Contains(p.shape.methods, method) {
		p.refuse(w, "invalid_client", "by %s", method)
		return
	}
	var asked url.Values
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "authorization_code":
		p.mu.Lock()
		asked = p.codes[r.PostForm.Get("code")]
		p.codes[r.PostForm.Get("code")] = nil // it stays counted
		p.mu.Unlock()
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if asked == nil || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || r.PostForm.Get("redirect_uri") != p.client.Redirect {
			p.refuse(w, "invalid_grant", "the code is not good, or not whose it was")
			return
		}
	case "refresh_token":
		p.mu.Lock()
		good := p.renewable[r.PostForm.Get("refresh_token")]
		p.mu.Unlock()
		if !good {
			p.refuse(w, "invalid_grant", "the refresh token is not good")
			return
		}
	default:
		p.refuse(w, "unsupported_grant_type", "%s", grant)
		return
	}
	p.give(w, r, asked)
}

// give answers with tokens.
func (p *Provider) give(w http.ResponseWriter, r *http.Request, asked url.Values) {
	p.mu.Lock()
	access := fmt.Sprintf("access-of-%s-%d", p.Name, len(p.gave)+1)
	p.gave = append(p.gave, access)
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "scope": p.shape.scopes}
	if asked != nil && p.shape.refresh != "" && (slices.Contains(strings.Fields(asked.Get("scope")), p.shape.refresh) || asked.Get("access_type") == p.shape.refresh) {
		answer["refresh_token"] = "refresh-for-" + access
		p.renewable["refresh-for-"+access] = true
	}
	p.mu.Unlock()
	if p.shape.expiresIn > 0 {
		answer["expires_in"] = p.shape.expiresIn
	}
	if p.shape.issuer != "" && asked != nil {
		claims := map[string]any{"iss": p.shape.issuer, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": asked.Get("nonce")}
		maps.Copy(claims, p.shape.claims)
		answer["id_token"] = p.keys.SignRSA(p.keys.Claims(p.client.ID, claims))
	}
	if p.shape.form && !strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		_, _ = fmt.Fprint(w, url.Values{"access_token": {access}, "token_type": {"bearer"}, "scope": {"read:user,user:email"}}.Encode())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// userinfo says who has a token.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !p.Gave(access) || r.Header.Get("User-Agent") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.shape.claims)
}
