package e2e_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	typeIDToken = "urn:ietf:params:oauth:token-type:id_token"
	typeIDJAG   = "urn:ietf:params:oauth:token-type:id-jag"
)

// workforce is an enterprise's identity provider: it vouches for people with ID tokens,
// and at /token decides what they may use. It needs no test around it, for the driver.
type workforce struct {
	*httptest.Server
	signer *token.Signer
}

// startWorkforce starts one on loopback; decide answers an exchange, whose form has
// been read.
func startWorkforce(decide http.HandlerFunc) (*workforce, error) {
	pem, err := token.GenerateKey()
	if err != nil {
		return nil, err
	}
	w := &workforce{}
	if w.signer, err = token.NewSigner(pem); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		answerJSON(rw, http.StatusOK, map[string]any{"issuer": w.URL, "jwks_uri": w.URL + "/keys", "token_endpoint": w.URL + "/token"})
	})
	mux.HandleFunc("GET /keys", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = rw.Write(w.signer.JWKS())
	})
	mux.HandleFunc("POST /token", func(rw http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			answerJSON(rw, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
			return
		}
		decide(rw, r)
	})
	w.Server = httptest.NewServer(mux)
	return w, nil
}

// sign makes a token of that type; claims are laid over those that all have.
func (w *workforce) sign(typ string, claims map[string]any) (string, error) {
	all := map[string]any{"iss": w.URL, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
	maps.Copy(all, claims)
	signed, err := w.signer.Sign(typ, all)
	return signed.Reveal(), err
}

// assertion is an ID-JAG, by what an exchange asks for, for a client at the resource's
// authorization server.
func (w *workforce) assertion(asked url.Values, person, client string) (string, error) {
	if asked.Get("requested_token_type") != typeIDJAG || asked.Get("subject_token_type") != typeIDToken {
		return "", errors.New("the exchange is not that of an ID token for an ID-JAG")
	}
	return w.sign("oauth-id-jag+jwt", map[string]any{
		"sub": person, "aud": asked.Get("audience"), "resource": asked.Get("resource"), "client_id": client, "scope": asked.Get("scope"), "jti": oauth.NewVerifier(),
	})
}

func answerJSON(w http.ResponseWriter, status int, fields map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields)
}
