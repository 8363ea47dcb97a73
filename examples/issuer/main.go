// Command issuer is an identity provider for trying things on one machine. It gives
// a token to whoever asks, for anybody, so it is for nothing else. Its keys are new
// with every start:
//
//	go run ./examples/issuer
//	curl 'http://127.0.0.1:9000/token?sub=alice&groups=engineering'
//
// It exchanges its tokens for others (POST /token, RFC 8693). As an authenticating
// proxy's helper (nginx auth_request) it answers at /check who
// the token in the cookie "session" is.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address to serve on")
	audience := flag.String("audience", "http://127.0.0.1:8080/servers/docs/mcp", "who tokens are for, unless they are asked for with another audience")
	flag.Parse()
	if err := serve(*listen, *audience); err != nil {
		fmt.Fprintln(os.Stderr, "issuer:", err)
		os.Exit(1)
	}
}

func serve(listen, audience string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	i := &issuer{url: "http://" + listen, audience: audience, key: jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: "ES256", Use: "sig"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /token", i.token)
	mux.HandleFunc("POST /token", i.exchange)
	mux.HandleFunc("GET /check", i.check)
	fmt.Fprintf(os.Stdout, "issuer %s\n", i.url)
	return (&http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
}

type issuer struct {
	url, audience string
	key           jose.JSONWebKey
}

// claims are those of an access token (RFC 9068).
type claims struct {
	jwt.Claims
	Scope  string   `json:"scope,omitempty"`
	Email  string   `json:"email,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

func (i *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	show(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys"})
}

func (i *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	show(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
}

func show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

// token signs what the query asks for: sub, groups, scope, audience and ttl.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	or := func(name, usual string) string {
		if q.Has(name) {
			return q.Get(name)
		}
		return usual
	}
	lifetime, err := time.ParseDuration(or("ttl", "10m"))
	if err != nil {
		http.Error(w, "ttl: "+err.Error(), http.StatusBadRequest)
		return
	}
	now, sub := time.Now(), or("sub", "alice")
	c := claims{
		Claims: jwt.Claims{
			Issuer: i.url, Subject: sub, Audience: jwt.Audience{or("audience", i.audience)}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(lifetime)),
		},
		Scope: or("scope", "mcp"), Email: sub + "@example.com",
	}
	if groups := q.Get("groups"); groups != "" {
		c.Groups = strings.Split(groups, ",")
	}
	text, err := i.sign(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(w, text)
}

func (i *issuer) sign(c claims) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(c).Serialize()
}

// exchange gives who has a token of this issuer another one, for the audience that
// is asked for (RFC 8693).
func (i *issuer) exchange(w http.ResponseWriter, r *http.Request) {
	c, err := i.verify(r.PostFormValue("subject_token"))
	if err != nil || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" {
		w.WriteHeader(http.StatusBadRequest)
		show(w, map[string]string{"error": "invalid_grant"})
		return
	}
	const life = 5 * time.Minute
	c.Audience, c.Scope, c.ID = jwt.Audience{r.PostFormValue("audience")}, r.PostFormValue("scope"), rand.Text()
	c.IssuedAt, c.Expiry = jwt.NewNumericDate(time.Now()), jwt.NewNumericDate(time.Now().Add(life))
	text, err := i.sign(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	show(w, map[string]any{ //nolint:gosec // the names of a type
		"access_token": text, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": life.Seconds(),
	})
}

// check answers 200 and who the session is, or 401.
func (i *issuer) check(w http.ResponseWriter, r *http.Request) {
	c, err := i.session(r)
	if err != nil {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Auth-Request-User", c.Subject)
	w.Header().Set("X-Auth-Request-Email", c.Email)
	w.Header().Set("X-Auth-Request-Groups", strings.Join(c.Groups, ","))
}

func (i *issuer) session(r *http.Request) (c claims, err error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return c, err
	}
	return i.verify(cookie.Value)
}

// verify reads a token of this issuer.
func (i *issuer) verify(text string) (c claims, err error) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return c, err
	}
	if err := token.Claims(i.key.Public(), &c); err != nil {
		return c, err
	}
	return c, c.Validate(jwt.Expected{Issuer: i.url, Time: time.Now()})
}
