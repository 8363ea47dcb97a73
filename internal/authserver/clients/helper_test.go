package clients_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const issuer = "https://gw.example.com/auth"

// registry makes a registry with a store in memory.
func registry(change func(*clients.Config)) *clients.Registry {
	cfg := clients.Config{Issuer: issuer, Store: store.NewMemory()}
	if change != nil {
		change(&cfg)
	}
	return clients.New(cfg)
}

func logTo(o *testkit.Output) *slog.Logger {
	return slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// reply is an answer of the registration endpoint.
type reply struct {
	status int
	header http.Header
	fields map[string]any
	text   string
}

func (a *reply) get(name string) string { s, _ := a.fields[name].(string); return s }

// call asks the registration endpoint.
func call(t *testing.T, r *clients.Registry, method, path, bearer string, body any) *reply {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, issuer+"/oauth/register"+path, strings.NewReader(text))
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	rec := httptest.NewRecorder()
	r.ServeRegistration(rec, req)
	a := &reply{status: rec.Code, header: rec.Header(), text: rec.Body.String()}
	if a.text != "" {
		if err := json.Unmarshal(rec.Body.Bytes(), &a.fields); err != nil {
			t.Fatalf("%s %s answered %d with %q", method, path, a.status, a.text)
		}
	}
	return a
}

// register registers a client that is expected to be good.
func register(t *testing.T, r *clients.Registry, fields map[string]any) *reply {
	t.Helper()
	a := call(t, r, "POST", "", "", merged(map[string]any{"redirect_uris": []string{"https://app.example.com/cb"}}, fields))
	if a.status != http.StatusCreated {
		t.Fatalf("registration answered %d: %s", a.status, a.text)
	}
	return a
}

func merged(base, more map[string]any) map[string]any {
	out := maps.Clone(base)
	for name, v := range more {
		if v == nil {
			delete(out, name)
		} else {
			out[name] = v
		}
	}
	return out
}

// authenticate authenticates at the token endpoint, by what change does to the
// request beside the form.
func authenticate(t *testing.T, r *clients.Registry, form url.Values, change func(*http.Request)) (*clients.Client, *oauth.Error) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), "POST", issuer+"/oauth/token", nil)
	if change != nil {
		change(req)
	}
	c, err := r.Authenticate(t.Context(), req, form)
	return c, refusal(t, err)
}

// refusal is the error as what it must be.
func refusal(t *testing.T, err error) *oauth.Error {
	t.Helper()
	if err == nil {
		return nil
	}
	refused, ok := err.(*oauth.Error) //nolint:errorlint // the callers may rely on it
	if !ok {
		t.Fatalf("%v is no OAuth error", err)
	}
	return refused
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// signer is a client's key.
func signer(t *testing.T) *token.Signer {
	t.Helper()
	pem, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := token.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asserted is a form with a client assertion; change nil values delete claims.
func asserted(t *testing.T, s *token.Signer, typ, id, jti string, change map[string]any) url.Values {
	t.Helper()
	claims := merged(map[string]any{
		"iss": id, "sub": id, "aud": issuer + "/oauth/token", "jti": jti,
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}, change)
	jwt, err := s.Sign(typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {jwt.Reveal()},
	}
}
