package listing_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// request is what a backend got.
type request struct {
	Method string // of the message, or of HTTP where there is none
	Params struct {
		Cursor string
		Meta   struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	}
	session, version string
}

// server answers as say says, and keeps what it got.
type server struct {
	say func(w http.ResponseWriter, r request)

	mu  sync.Mutex
	got []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := request{Method: r.Method, session: r.Header.Get("Mcp-Session-Id"), version: r.Header.Get("Mcp-Protocol-Version")}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &m)
	s.mu.Lock()
	s.got = append(s.got, strings.TrimSpace(m.Method+" "+m.version+" "+m.session+" "+m.Params.Cursor))
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case m.Method == "notifications/initialized":
		w.WriteHeader(http.StatusAccepted)
	default:
		s.say(w, m)
	}
}

// client starts the server and makes a client of it.
func (s *server) client(t *testing.T, limits listing.Limits) *client {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	u, err := url.Parse(h.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := backend.NewHTTP(backend.HTTPConfig{Name: "docs", URL: u, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if limits.MaxBytes == 0 {
		limits.MaxBytes, limits.MaxPageBytes = 1<<20, 1<<20
	}
	return newClient("docs", b, limits)
}

// client is a client of one backend, with what it was found to speak.
type client struct {
	*listing.Client
	backend backend.Backend
	mu      sync.Mutex
	speaks  mcp.Revision
}

func newClient(name string, b backend.Backend, limits listing.Limits) *client {
	return &client{Client: listing.New(name, limits), backend: b}
}

func (c *client) all(ctx context.Context, method string) ([][]byte, error) {
	c.mu.Lock()
	speaks := c.speaks
	c.mu.Unlock()
	found := func(rev mcp.Revision) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.speaks = rev
	}
	return c.All(ctx, listing.Query{Method: method, Speaks: speaks, Found: found, Do: c.backend.Do, Change: asIs})
}

func result(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, text)
}

func refuse(w http.ResponseWriter, status, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"no"}}`, code)
}

// pages are two pages of tools.
func pages(w http.ResponseWriter, r request) {
	if r.Params.Cursor == "" {
		result(w, `{"tools":[{"name":"a","x":9007199254740993},{"name":"b"}],"nextCursor":"two"}`)
		return
	}
	result(w, `{"tools":[{"name":"c"}],"nextCursor":null}`)
}

// withSessions is a server of an older revision, which refuses what comes before initialize.
func withSessions(no func(w http.ResponseWriter), then func(w http.ResponseWriter, r request)) func(w http.ResponseWriter, r request) {
	return func(w http.ResponseWriter, r request) {
		switch {
		case r.Method == "initialize":
			w.Header().Set("Mcp-Session-Id", "s")
			result(w, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`)
		case r.session == "":
			no(w)
		default:
			then(w, r)
		}
	}
}

var abc = []string{`{"name":"a","x":9007199254740993}`, `{"name":"b"}`, `{"name":"c"}`}

var inSession = []string{
	"initialize", "notifications/initialized 2025-06-18 s", "tools/list 2025-06-18 s", "tools/list 2025-06-18 s two", "DELETE 2025-06-18 s",
}

// REQ C-5, REQ F-3: all pages of a server of any revision, as they came; the session ends.
func TestAll(t *testing.T) {
	t.Parallel()
	unsupported := func(w http.ResponseWriter) { refuse(w, http.StatusBadRequest, -32022) }
	for _, tt := range []struct {
		name         string
		say          func(w http.ResponseWriter, r request)
		want         []string
		first, again []string // what the server gets; the second time, if it differs
	}{
		{"modern", pages, abc, []string{"tools/list 2026-07-28", "tools/list 2026-07-28  two"}, nil},
		{"modern, as a stream", func(w http.ResponseWriter, _ request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[{\"name\":\"a\"}]}}\n\n")
		}, abc[:0:0], nil, nil},
		{"modern, without tools", func(w http.ResponseWriter, _ request) { refuse(w, http.StatusNotFound, -32601) }, nil, nil, nil},
		{"sessions", withSessions(unsupported, pages), abc, append([]string{"tools/list 2026-07-28"}, inSession...), inSession},
		{"sessions, refused by status", withSessions(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) }, pages), abc, nil, inSession},
		{"sessions, refused in a 200", withSessions(func(w http.ResponseWriter) { refuse(w, http.StatusOK, -32600) }, pages), abc, nil, inSession},
		{"sessions, refused as unknown", withSessions(func(w http.ResponseWriter) { refuse(w, http.StatusOK, -32601) }, pages), abc, nil, inSession},
		{"sessions, without tools", withSessions(unsupported, func(w http.ResponseWriter, _ request) { refuse(w, http.StatusOK, -32601) }), nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &server{say: tt.say}
			c := s.client(t, listing.Limits{})
			for turn, gets := range [][]string{tt.first, tt.again} {
				s.got = nil
				items, err := c.all(t.Context(), "tools/list")
				if err != nil {
					t.Fatal(err)
				}
				want := tt.want
				if want != nil && len(want) == 0 {
					want = []string{`{"name":"a"}`}
				}
				if diff := cmp.Diff(want, texts(items)); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
				if gets == nil {
					continue
				}
				if diff := cmp.Diff(gets, s.got); diff != "" {
					t.Errorf("turn %d: what the server got (-want +got):\n%s", turn, diff)
				}
			}
		})
	}
}

func asIs(page []byte) ([]byte, error) { return page, nil }

func texts(items [][]byte) (all []string) {
	for _, it := range items {
		all = append(all, string(it))
	}
	return all
}

// Lists that are endless, too large or no lists are failures with the backend's name, and no items.
func TestBadLists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		say  func(w http.ResponseWriter, r request)
		want string
	}{
		"endless": {func(w http.ResponseWriter, _ request) { result(w, `{"tools":[],"nextCursor":"`+rand.Text()+`"}`) }, "docs: the backend's list has too many pages"},
		"large page": {func(w http.ResponseWriter, _ request) {
			result(w, `{"tools":[{"name":"`+strings.Repeat("a", 2000)+`"}]}`)
		}, "docs: the backend's list is larger"},
		"large": {func(w http.ResponseWriter, _ request) {
			result(w, `{"tools":[{"name":"`+strings.Repeat("a", 500)+`"}],"nextCursor":"`+rand.Text()+`"}`)
		}, "docs: the backend's list is larger"},
		"no list":   {func(w http.ResponseWriter, _ request) { result(w, `{"tools":{}}`) }, "docs: the backend's list cannot be read"},
		"ambiguous": {func(w http.ResponseWriter, _ request) { result(w, `{"tools":[{"name":"a","name":"b"}]}`) }, "docs: the backend's list cannot be read"},
		"refused": {withSessions(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
			func(w http.ResponseWriter, _ request) { refuse(w, http.StatusOK, -32000) }), "docs: the backend's list was refused"},
		"nobody": {func(w http.ResponseWriter, _ request) { panic(http.ErrAbortHandler) }, "docs: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := (&server{say: tt.say}).client(t, listing.Limits{MaxPages: 10, MaxBytes: 2000, MaxPageBytes: 1000})
			items, err := c.all(t.Context(), "tools/list")
			f, ok := errors.AsType[*backend.Failure](err)
			if !ok || items != nil || !strings.HasPrefix(f.Public.Message, tt.want) {
				t.Errorf("%d items, %v, want %q", len(items), err, tt.want)
			}
		})
	}
}

// REQ F-3: real servers, over each transport.
func TestRealServers(t *testing.T) {
	t.Parallel()
	for era, b := range map[string]*testkit.Backend{
		"sessions": testkit.StartBackend(t, testkit.Sessions), "stateless": testkit.StartBackend(t, testkit.Stateless), "dual": testkit.StartBackend(t, testkit.Dual),
	} {
		u, err := url.Parse(b.URL)
		if err != nil {
			t.Fatal(err)
		}
		h, err := backend.NewHTTP(backend.HTTPConfig{Name: era, URL: u, AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		c := newClient(era, h, listing.Limits{MaxBytes: 1 << 20, MaxPageBytes: 1 << 20})
		for method, n := range map[string]int{"tools/list": 11, "prompts/list": 1, "resources/list": 1} {
			items, err := c.all(t.Context(), method)
			if err != nil || len(items) != n {
				t.Errorf("%s %s: %d items, %v, want %d", era, method, len(items), err, n)
			}
		}
	}
}

// FuzzAll has a server answer with any text: what comes of it are items that are JSON objects, or a Failure.
func FuzzAll(f *testing.F) {
	for _, page := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}],"nextCursor":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","name":"b"}],"nextCursor":"\ud800"}}`,
		`{"result":{"capabilities":{"tools":{}},"protocolVersion":"2025-11-25"}}`, `[]`, ``,
	} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		c := newClient("docs", says(page), listing.Limits{MaxPages: 3, MaxBytes: 1 << 20, MaxPageBytes: 1 << 19})
		items, err := c.all(t.Context(), "tools/list")
		if _, ok := errors.AsType[*backend.Failure](err); err != nil && !ok {
			t.Errorf("%v is no Failure", err)
		}
		for _, it := range items {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(it, &object); err != nil {
				t.Errorf("item %q: %v", it, err)
			}
		}
	})
}

// says is a backend that answers everything alike.
type says []byte

func (s says) Do(context.Context, *backend.Request) (*backend.Response, error) {
	return &backend.Response{Status: http.StatusOK, Body: io.NopCloser(bytes.NewReader(s)), ContentLength: int64(len(s))}, nil
}

func (says) Close() error { return nil }
