package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// userAgent is what a test calls itself, so that it can be told from those it looks at.
const userAgent = "testkit"

// client asks the API server, as one user.
type client struct {
	url, token string
	http       *http.Client
}

func newClient(url, token string, ca []byte) (*client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the API server's certificate is not written yet")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	return &client{url, token, &http.Client{Transport: transport}}, nil
}

// do sends one request. An answer that is no success is a [*Refusal].
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	answer, _, err := c.send(ctx, method, path, contentType, body)
	return answer, err
}

// send sends one request, and returns what its answer has in the header, too.
func (c *client) send(ctx context.Context, method, path, contentType string, body []byte) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		refusal := &Refusal{Code: resp.StatusCode}
		if json.Unmarshal(answer, refusal) != nil {
			refusal.Message = string(answer)
		}
		return nil, resp.Header, refusal
	}
	return answer, resp.Header, nil
}

// Refusal is an answer of the API server that is no success (meta/v1 Status).
type Refusal struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Details struct {
		Causes []Cause `json:"causes"`
	} `json:"details"`
}

// Cause is one thing that was wrong with an object.
type Cause struct {
	Field   string `json:"field"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the API server answers %d %s: %s", r.Code, r.Reason, r.Message)
}

// IsNotFound tells whether an error says that there is no such object.
func IsNotFound(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Code == http.StatusNotFound
}
