package backend

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

// FuzzLocation: whatever a backend puts into Location, the request that would
// follow is one request, to a host that was checked, without userinfo.
func FuzzLocation(f *testing.F) {
	for _, s := range []string{
		"/next", "next?a=b c", "//other.example/x", "https://u:p@h/", "http://[::1]:80/", "\r\nX: y", "http://h/\r\n", "?", "#f",
		"http:///x", "http://h:99999", "HTTP://EXAMPLE.com", "http://example.com\\@evil/", "/%0d%0aX: y", "/a b", "/é", "http:%2f%2fevil",
	} {
		f.Add(s)
	}
	u, err := url.Parse("https://example.com/mcp/?q=1")
	if err != nil {
		f.Fatal(err)
	}
	base, err := newTarget(u)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, location string) {
		next, err := base.parseTarget(location)
		if err != nil {
			return
		}
		h := &hop{method: http.MethodPost, to: next, agent: "a", body: []byte("x")}
		var wire bytes.Buffer
		sent := h.request(t.Context())
		if err := sent.Write(&wire); err != nil {
			t.Fatalf("%q: no request: %v", location, err)
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire.Bytes())))
		if err != nil {
			t.Fatalf("%q: the request is not one: %v\n%q", location, err, wire.Bytes())
		}
		if req.Host != next.authority || len(req.Header) != 3 || req.ContentLength != 1 || req.RequestURI != next.uri {
			t.Fatalf("%q: the request became %q, %v, %q", location, req.Host, req.Header, req.RequestURI)
		}
		// Whoever reads the target as a URL again comes to the same place.
		again, err := url.Parse(next.scheme + "://" + next.authority + next.uri)
		if err != nil {
			t.Fatalf("%q: %v", location, err)
		}
		if same, err := newTarget(again); err != nil || same.origin != next.origin || same.uri != next.uri || same.authority != next.authority {
			t.Fatalf("%q: %+v became %+v, %v", location, next, same, err)
		}
		if strings.ContainsAny(next.host, "@/\\?#% ") || next.scheme != "http" && next.scheme != "https" {
			t.Fatalf("%q: host %q, scheme %q", location, next.host, next.scheme)
		}
	})
}

// FINDING R6: who may open no more connections says so, and does not speak of the backend.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	b := &HTTP{name: "docs"}
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE} {
		f := b.sendFailure(t.Context(), &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", cause)})
		if f.Reason != ReasonOpenFiles || f.Public.Status != http.StatusServiceUnavailable || !strings.Contains(f.Public.Message, "limit of open files") {
			t.Errorf("%v: %s %d %s", cause, f.Reason, f.Public.Status, f.Public.Message)
		}
	}
}
