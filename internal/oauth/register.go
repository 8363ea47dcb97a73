package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Registration is what a server made of a request for a new client (RFC 7591 §3.2.1).
type Registration struct {
	ID      string
	Secret  secret.Value // empty for a public client
	Method  string       // of authentication at the token endpoint; "" where the server does not say
	Expires time.Time    // of the secret; zero for never
}

// Register asks a server for a new client (RFC 7591 §3.1). The initial token may be
// empty. The error is an *Error when the server refused; it may hold what the server
// said of the request.
func Register(ctx context.Context, client *http.Client, endpoint string, initial secret.Value, metadata map[string]any) (*Registration, error) {
	body, err := json.Marshal(metadata)
	if err != nil {
		return nil, fmt.Errorf("write the metadata: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("invalid URL of the registration endpoint")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if !initial.Empty() {
		req.Header.Set("Authorization", "Bearer "+initial.Reveal())
	}
	a, err := netguard.Send(client, req, maxAnswer)
	if err != nil {
		return nil, err
	}
	if refused := ParseError(a.Status, a.Body); refused != nil {
		return nil, refused
	}
	return parseRegistration(a.Body)
}

func parseRegistration(answer []byte) (*Registration, error) {
	var a struct {
		ID      string `json:"client_id"`
		Secret  string `json:"client_secret"`
		Method  string `json:"token_endpoint_auth_method"`
		Expires Number `json:"client_secret_expires_at"`
	}
	if Lenient(answer, &a) != nil || a.ID == "" {
		return nil, errors.New("the registration endpoint's answer has no client_id")
	}
	r := &Registration{ID: a.ID, Secret: secret.New(a.Secret), Method: a.Method}
	if a.Expires > 0 {
		r.Expires = time.Unix(int64(a.Expires), 0)
	}
	return r, nil
}
