package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// status is what /status says, as far as tests look.
type status struct {
	SessionKeys []string
	Config      struct {
		Hash, Error string
		LoadedAt    time.Time
	}
	Servers []struct {
		Name, Kind string
		Backends   []struct {
			Name, Status, Message string
			LastCheck             time.Time
		}
		TokenExchange *struct {
			Ready   *bool
			Message string
		}
	}
}

// The admin listener tells whether backends are there, which it finds out without
// anybody's call, and which configuration is served.
func TestStatus(t *testing.T) {
	t.Parallel()
	here := newBackend(t, "here")
	closed := make(chan struct{})
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { here.ServeHTTP(w, r) }))
	t.Cleanup(locked.Close)
	server, err := url.Parse(testkit.StartBackend(t, testkit.Sessions).URL)
	if err != nil {
		t.Fatal(err)
	}
	old := httptest.NewServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: server.Scheme, Host: server.Host})) // which the bridge remembers
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.PostFormValue("client_id") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("the token endpoint was asked by %s for %v", r.Method, r.PostForm)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request"}`)
	}))
	t.Cleanup(issuer.Close)
	docs := proxy("here", here.URL) + proxy("locked", locked.URL) + proxy("gone", gone.URL) + proxy("old", old.URL+"/mcp") +
		proxy("exchanging", here.URL+"/x", "externalAuthConfigRef: {name: exchange}",
			"oidcConfig: {type: inline, inline: {issuer: https://idp.example.com, jwksUrl: https://idp.example.com/keys, audience: gateway}}") +
		object("MCPExternalAuthConfig", "exchange", "type: tokenExchange", fmt.Sprintf("tokenExchange: {tokenUrl: %q, clientId: gw, allowPrivateIPs: true}", issuer.URL))
	sets := make(chan *manifest.Set, 1)
	sets <- load(t, docs)
	reload := make(chan os.Signal, 1)
	admin := make(chan string, 1)
	opts := gateway.DefaultOptions()
	opts.Metrics, opts.HealthEvery = telemetry.NewMetrics("test"), 20*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(closed)
		err := gateway.Run(ctx, opts, gateway.Process{
			Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Reload: reload,
			Load: func() (*manifest.Set, error) {
				select {
				case set := <-sets:
					return set, nil
				default:
					return nil, errors.New("it is broken")
				}
			},
			Serving: func(_, a net.Addr) { admin <- "http://" + a.String() + "/status" },
		})
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-closed })
	at := <-admin
	st := waitStatus(t, at, "here ready, locked unauthenticated, gone and old ready, exchanging able to", func(st *status) bool {
		return st.of("here") == "ready" && st.of("locked") == "unauthenticated" && st.of("gone") == "ready" && st.of("old") == "ready" && st.exchanges("exchanging") == "true"
	})
	if st.Config.Hash == "" || st.Config.LoadedAt.IsZero() || st.Config.Error != "" || st.Servers[0].Backends[0].LastCheck.IsZero() || len(st.SessionKeys) != 1 {
		t.Errorf("got %+v", st)
	}
	for _, s := range st.Servers {
		if s.TokenExchange != nil && s.Name != "exchanging" {
			t.Errorf("%s exchanges nothing", s.Name)
		}
	}
	for _, s := range []*httptest.Server{gone, old, issuer} {
		s.CloseClientConnections()
		s.Close()
	}
	st = waitStatus(t, at, "gone and old unavailable, exchanging unable", func(st *status) bool {
		return st.of("gone") == "unavailable" && st.of("old") == "unavailable" && st.of("here") == "ready" && strings.HasPrefix(st.exchanges("exchanging"), "false: reach ")
	})
	for _, s := range st.Servers {
		if s.Name == "gone" && !strings.Contains(s.Backends[0].Message, "connection refused") {
			t.Errorf("gone: %+v", s.Backends[0])
		}
	}
	reload <- os.Interrupt
	waitStatus(t, at, "the error of the reload", func(st *status) bool {
		return strings.Contains(st.Config.Error, "it is broken") && st.of("here") == "ready"
	})
	sets <- load(t, docs)
	reload <- os.Interrupt
	waitStatus(t, at, "no error", func(st *status) bool { return st.Config.Error == "" })
}

// of is the status of the backend of a server.
func (st *status) of(name string) string {
	for _, s := range st.Servers {
		if s.Name == name && len(s.Backends) == 1 {
			return s.Backends[0].Status
		}
	}
	return ""
}

// exchanges says whether the token exchange of a server can work, and why not.
func (st *status) exchanges(name string) string {
	for _, s := range st.Servers {
		switch x := s.TokenExchange; {
		case s.Name != name || x == nil || x.Ready == nil:
		case *x.Ready:
			return "true"
		default:
			return "false: " + x.Message
		}
	}
	return ""
}

// waitStatus asks until the answer is as it should be.
func waitStatus(t *testing.T, at, what string, good func(*status) bool) *status {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	st := &status{}
	testkit.Eventually(t, what, func() bool {
		resp, err := client.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		*st = status{}
		if err := json.NewDecoder(resp.Body).Decode(st); err != nil {
			t.Fatal(err)
		}
		return good(st)
	})
	return st
}
