package e2e_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file holds what the tests of the outer door share: every way into an
// endpoint, and who came through it.

// surface is one way into an endpoint.
type surface struct {
	name    string
	request func(t *testing.T, admitted ...string) request // admitted are headers of somebody who may in, for what needs a session
	ok      int                                            // status for who may in
}

// surfaces are all of them, with the names that have a resource of their own.
func surfaces(g *testkit.Gateway) []surface {
	session := func(t *testing.T, admitted []string) []string {
		t.Helper()
		return []string{"Mcp-Session-Id", initialize(t, at(g, "docs"), admitted...)}
	}
	return []surface{
		{"modern POST", func(*testing.T, ...string) request { return call(at(g, "docs"), "tool", "") }, 200},
		{"modern POST of the alias", func(*testing.T, ...string) request { return call(g.MCP(), "tool", "") }, 200},
		{"initialize", func(*testing.T, ...string) request { return initialization(at(g, "docs")) }, 200},
		{"POST in a session", func(t *testing.T, admitted ...string) request {
			return legacy(at(g, "docs"), "tools/list", "").with(session(t, admitted)...)
		}, 200},
		{"GET", func(t *testing.T, admitted ...string) request {
			return listen(at(g, "docs")).with(session(t, admitted)...)
		}, 200},
		{"DELETE", func(t *testing.T, admitted ...string) request {
			return request{method: http.MethodDelete, url: at(g, "docs")}.with("Mcp-Protocol-Version", "2025-11-25").with(session(t, admitted)...)
		}, 204},
		{"/sse", func(*testing.T, ...string) request {
			return request{method: http.MethodGet, url: g.URL + "/servers/docs/sse"}.with("Accept", "text/event-stream")
		}, 200},
		{"/messages", func(t *testing.T, admitted ...string) request {
			t.Helper()
			f := openFront(t, g.URL, "/servers/docs/sse", admitted...)
			t.Cleanup(func() { _ = f.close() })
			return message(f.post, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`) // that nobody answers
		}, 202},
	}
}

// try sends a request and returns the answer, of which a stream is not read.
func (r request) try(t *testing.T) reply {
	t.Helper()
	resp := r.open(t.Context(), t)
	defer resp.Body.Close()
	got := reply{Status: resp.StatusCode, Header: resp.Header}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, err := io.ReadAll(resp.Body)
		got.Body, got.Err = string(body), err
	}
	return got
}

// from is a client at another address of loopback.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// who are the callers in the audit so far, as "source subject outcome", each once
// and sorted.
func who(t *testing.T, g *testkit.Gateway) (callers []string) {
	t.Helper()
	for line := range strings.Lines(g.Stdout.String()) {
		var event struct{ Source, Subject, Outcome string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in audit event %s", err, line)
		}
		callers = append(callers, strings.TrimSpace(event.Source+" "+event.Subject+" "+event.Outcome))
	}
	slices.Sort(callers)
	return slices.Compact(callers)
}
