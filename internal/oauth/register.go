package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

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
		return nil, errors.New("the registration endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if !initial.Empty() {
		req.Header.Set("Authorization", "Bearer "+initial.Reveal())
	}
	resp, err := client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return nil, outer.Err // the outer one prints the whole URL
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	if refused := ParseError(resp.StatusCode, answer); refused != nil {
		return nil, refused
	}
	return parseRegistration(answer)
}

func parseRegistration(answer []byte) (*Registration, error) {
	var a struct {
		ID      string `json:"client_id"`
		Secret  string `json:"client_secret"`
		Method  string `json:"token_endpoint_auth_method"`
		Expires int64  `json:"client_secret_expires_at"`
	}
	if json.Unmarshal(answer, &a) != nil || a.ID == "" {
		return nil, errors.New("the registration endpoint's answer has no client_id")
	}
	r := &Registration{ID: a.ID, Secret: secret.New(a.Secret), Method: a.Method}
	if a.Expires > 0 {
		r.Expires = time.Unix(a.Expires, 0)
	}
	return r, nil
}
