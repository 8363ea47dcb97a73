package netguard

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Proxies are the HTTP proxies through which connections leave; nil for none.
type Proxies struct {
	forURL func(*url.URL) (*url.URL, error)
}

// ReadProxies reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the same in lower case. An
// error names the variable and nothing of its value, which may hold a password.
func ReadProxies(lookup func(string) (string, bool)) (*Proxies, error) {
	value := func(name string) string {
		v, _ := lookup(name)
		if v == "" {
			v, _ = lookup(strings.ToLower(name))
		}
		return v
	}
	cfg := httpproxy.Config{HTTPSProxy: value("HTTPS_PROXY"), HTTPProxy: value("HTTP_PROXY"), NoProxy: value("NO_PROXY")}
	if cfg.HTTPSProxy == "" && cfg.HTTPProxy == "" {
		return nil, nil
	}
	every := httpproxy.Config{HTTPSProxy: cfg.HTTPSProxy, HTTPProxy: cfg.HTTPProxy}
	p := &Proxies{every.ProxyFunc()}
	for name, scheme := range map[string]string{"HTTPS_PROXY": "https", "HTTP_PROXY": "http"} {
		if err := p.usable(scheme); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.forURL = cfg.ProxyFunc()
	return p, nil
}

// ProxyAt is one proxy for everything; with "direct" none is used at all.
func ProxyAt(address string) (*Proxies, error) {
	if address == "direct" {
		return nil, nil
	}
	p := &Proxies{func(*url.URL) (*url.URL, error) { return url.Parse(address) }}
	return p, p.usable("https")
}

func (p *Proxies) usable(scheme string) error {
	proxy, err := p.forURL(&url.URL{Scheme: scheme, Host: "example.com"})
	if err != nil || proxy != nil && (proxy.Scheme != "http" && proxy.Scheme != "https" || proxy.Hostname() == "") {
		return errors.New("is no proxy that can be used; write it like http://proxy.example.com:3128")
	}
	return nil
}

// through is the proxy for a connection; nil for none.
func (p *Proxies) through(plain bool, address string) (*url.URL, error) {
	if p == nil {
		return nil, nil
	}
	scheme := "https"
	if plain {
		scheme = "http"
	}
	return p.forURL(&url.URL{Scheme: scheme, Host: address})
}

// For is the proxy of a request, as a [http.Transport] asks for it: for what goes to
// where the operator says, whoever is there.
func (p *Proxies) For(r *http.Request) (*url.URL, error) {
	if p == nil {
		return nil, nil
	}
	return p.forURL(r.URL)
}

// CheckName judges the host of a connection that a proxy makes, by its name alone: where
// a name leads is then the proxy's to find out, and to refuse.
func (p Policy) CheckName(host string) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(name); err == nil {
		return p.Check(addr)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	switch {
	case last == "localhost":
		return p.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	case err == nil: // 127.1, 0x7f000001: resolvers of old take it for an address
		return &RefusedError{Name: host, Reason: string(kindInvalid)}
	case name == "metadata.google.internal" || name == "metadata" || name == "instance-data" || strings.HasPrefix(name, "instance-data."):
		return &RefusedError{Name: host, Reason: string(kindMetadata)}
	case p.PlainOnlyPrivate:
		return &RefusedError{Name: host, Reason: "plain http is for loopback and private addresses only, and behind a proxy nobody here sees the address; use https, or NO_PROXY"}
	}
	return nil
}

// tunnel connects to an address through a proxy (RFC 9110 §9.3.6).
func (d *Dialer) tunnel(ctx context.Context, proxy *url.URL, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := d.policy.CheckName(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, network, proxyAddress(proxy)) // the operator's word
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn := raw
	if proxy.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
	}
	err = connect(ctx, conn, proxy, address)
	if !unwatch() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
	}
	return conn, nil
}

func connect(ctx context.Context, conn net.Conn, proxy *url.URL, address string) error {
	req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}).WithContext(ctx)
	req.Header.Set("User-Agent", "sallyport")
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	// What comes behind the head is the other end's: a byte at a time takes none of it.
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req) //nolint:bodyclose // the answer to CONNECT has none: what follows is the tunnel
	switch {
	case err != nil:
		return fmt.Errorf("read its answer: %w", err)
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return errors.New("it wants a user and a password, or other ones; they stand in the variable: http://USER:PASSWORD@HOST:PORT")
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it refused to connect: %d", resp.StatusCode)
	}
	return nil
}

// oneByte reads no byte ahead.
type oneByte struct{ net.Conn }

func (c oneByte) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

func proxyAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
