package token

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// Answer is what an issuer's endpoint answered with 200.
type Answer struct {
	Body []byte
	TLS  *tls.ConnectionState // nil without TLS
}

// StatusError means that an endpoint answered, but not with 200.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("it answered %d, not 200", e.Status) }

// Fetch asks an issuer's endpoint for something of at most limit bytes. Errors name
// the endpoint without its query, and nothing of what was sent or answered.
func Fetch(client *http.Client, req *http.Request, limit int) (*Answer, error) {
	answer, err := fetch(client, req, limit)
	if err != nil {
		at := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}
		return nil, fmt.Errorf("fetch %s: %w", at.String(), err)
	}
	return answer, nil
}

func fetch(client *http.Client, req *http.Request, limit int) (*Answer, error) {
	resp, err := client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return nil, outer.Err // the outer one prints the whole URL
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{resp.StatusCode}
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return nil, errors.New("it answered a web page; is the URL right?")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > limit {
		return nil, fmt.Errorf("its answer has more than %d bytes", limit)
	}
	return &Answer{Body: body, TLS: resp.TLS}, nil
}
