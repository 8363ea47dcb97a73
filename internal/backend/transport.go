package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// dialer makes guarded connections and can close all of them at once.
type dialer struct {
	net *net.Dialer

	mu     sync.Mutex
	open   map[*guardedConn]struct{} // nil when closed
	closed bool
}

func newDialer(p netguard.Policy, timeout time.Duration) *dialer {
	return &dialer{net: p.Dialer(timeout), open: make(map[*guardedConn]struct{})}
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	g := &guardedConn{Conn: c, dialer: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = c.Close()
		return nil, errClosed
	}
	d.open[g] = struct{}{}
	return g, nil
}

func (d *dialer) close() {
	d.mu.Lock()
	open := d.open
	d.open, d.closed = nil, true
	d.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close()
	}
}

// guardedConn is a connection that its dialer knows of.
type guardedConn struct {
	net.Conn
	dialer *dialer
}

func (c *guardedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

// secure sends https hops by net/http's own transport, HTTP/2 included.
type secure struct {
	transport *http.Transport
	idle      time.Duration // BodyTimeout
}

func newSecure(d *dialer, roots *x509.CertPool, l Limits) *secure {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &secure{idle: l.BodyTimeout, transport: &http.Transport{
		// No Proxy: the guard sees the address that is really dialled.
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    l.ConnectTimeout,
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHead,
	}}
}

func (s *secure) closeIdle() { s.transport.CloseIdleConnections() }

func (s *secure) send(ctx context.Context, h *hop) (*http.Response, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	req, err := h.request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	patience := time.AfterFunc(time.Until(h.deadline), func() { cancel(errNoAnswer) })
	resp, err := s.transport.RoundTrip(req.WithContext(ctx))
	if !patience.Stop() && err == nil {
		closeBody(resp.Body)
		err = errNoAnswer
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	body := &secureBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel}
	if !isEventStream(resp.Header) {
		body.patience, body.idle = patience, s.idle
	}
	resp.Body = body
	return resp, nil
}

// request is the hop as net/http wants it.
func (h *hop) request() (*http.Request, error) {
	u, err := url.ParseRequestURI(h.to.uri)
	if err != nil {
		return nil, errors.New("request line: the URL cannot be parsed") // the cause would quote it
	}
	u.Scheme, u.Host = h.to.scheme, h.to.authority
	req := &http.Request{
		Method: h.method, URL: u, Host: h.to.authority,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(h.public)+len(h.private)+3),
	}
	for name, v := range h.fields() {
		req.Header.Add(name, v)
	}
	if h.body != nil {
		req.ContentLength = int64(len(h.body))
		// GetBody lets the transport send again what provably was not sent at all.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(h.body)), nil }
		req.Body, _ = req.GetBody()
	}
	return req, nil
}

// secureBody ends an answer that stops coming, and reports it as an error.
type secureBody struct {
	io.ReadCloser
	ctx      context.Context // of the exchange; ending it ends the exchange
	cancel   context.CancelCauseFunc
	patience *time.Timer // nil for a stream
	idle     time.Duration
}

func (b *secureBody) Read(p []byte) (int, error) {
	if b.patience != nil {
		b.patience.Reset(b.idle)
		defer b.patience.Stop()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx) // why, and not just that
	}
	return n, err
}

func (b *secureBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(errBodyDone)
	return err
}
