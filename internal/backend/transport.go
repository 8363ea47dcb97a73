package backend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// dialer makes guarded connections and can close all of them at once.
type dialer struct {
	net *netguard.Dialer

	mu     sync.Mutex
	open   map[*guardedConn]struct{} // nil when closed
	closed bool
}

func newDialer(d *netguard.Dialer) *dialer {
	return &dialer{net: d, open: make(map[*guardedConn]struct{})}
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

// NetConn is the connection itself, for whoever reads and writes.
func (c *guardedConn) NetConn() net.Conn { return c.Conn }

// newPlain sends http hops.
func newPlain(d *dialer, l Limits) *h1.Transport {
	return h1.New(h1.Config{
		Dial: d.dial, HeadTimeout: l.AnswerTimeout, BodyTimeout: l.BodyTimeout,
		IdleTimeout: idleTimeout, MaxIdle: maxIdle,
	})
}

// newSecure sends https hops, HTTP/2 included.
func newSecure(d *dialer, roots *x509.CertPool, l Limits) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
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
	}
}
