package netguard

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Options are what a client has besides its policy. Zero values are the usual.
type Options struct {
	Roots *x509.CertPool // nil for the system's
	Whole time.Duration  // of an exchange; 0 for 15 s
}

// NewClient makes the client for everything but backends: guarded at every dial,
// following no redirect, with short limits. What is asked for comes from where a
// manifest, or a document that was checked, says, and what is sent is good for nobody
// else (REQ A-5).
func NewClient(p Policy, o Options) *http.Client {
	const dial = 5 * time.Second
	transport := func(d *Dialer) *http.Transport {
		return &http.Transport{
			// No Proxy: the dialer knows proxies, and the guard sees what is dialled.
			DialContext:         d.DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: dial, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	t := &bySchemes{plain: transport(p.PlainDialer(dial))}
	p.PlainOnlyPrivate = false // that is about http
	t.secure = transport(p.Dialer(dial))
	return &http.Client{
		Transport: t, Timeout: cmp.Or(o.Whole, 15*time.Second),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bySchemes is a transport for http and one for https.
type bySchemes struct{ plain, secure *http.Transport }

// RoundTrip sends a request.
func (t *bySchemes) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" {
		return t.plain.RoundTrip(req)
	}
	return t.secure.RoundTrip(req)
}

// CloseIdleConnections is what http.Client calls.
func (t *bySchemes) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.secure.CloseIdleConnections()
}

// Answer is what an endpoint answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	TLS    *tls.ConnectionState // nil without TLS
}

// StatusError means that an endpoint answered, but not with 200.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("it answered %d, not 200", e.Status) }

// Unreachable means that there was no answer.
type Unreachable struct{ Cause error }

func (e *Unreachable) Error() string { return e.Cause.Error() }
func (e *Unreachable) Unwrap() error { return e.Cause }

// ErrPage means that an endpoint for programs answered a web page.
var ErrPage = errors.New("it answered a web page; is the URL right?")

// Send sends a request, and reads an answer of at most limit bytes, whatever its status.
// The error is an *Unreachable where there was none. It holds no URL, and nothing of
// what was sent or answered.
func Send(client *http.Client, req *http.Request, limit int) (*Answer, error) {
	resp, err := client.Do(req)
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // the outer one prints the whole URL
	}
	if err != nil {
		return nil, &Unreachable{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return nil, &Unreachable{fmt.Errorf("read the answer: %w", err)}
	}
	if len(body) > limit {
		return nil, fmt.Errorf("its answer has more than %d bytes", limit)
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // JSON has no byte order mark, and some write one (RFC 8259 §8.1)
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, TLS: resp.TLS}, nil
}

// Fetch is Send for documents: the status is 200, and no page is one. An error names
// the endpoint without its query; it may be a *StatusError or ErrPage too.
func Fetch(client *http.Client, req *http.Request, limit int) (*Answer, error) {
	a, err := Send(client, req, limit)
	if err == nil && a.Status != http.StatusOK {
		err = &StatusError{a.Status}
	}
	if err == nil && a.IsPage() {
		err = ErrPage
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", Place(req.URL), err)
	}
	return a, nil
}

// IsPage reports whether an answer is for people.
func (a *Answer) IsPage() bool {
	t, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return t == "text/html"
}

// Place is an address without what may be secret in it.
func Place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
