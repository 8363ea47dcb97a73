package duplex_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// logs is a log at debug level that a test can read.
type logs struct{ testkit.Output }

func (l *logs) into(cfg *backend.HTTPConfig) {
	cfg.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func serve(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s
}

func redirectTo(location string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}
}

func answerJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
}

// onLocalhost names a server by another host name: same machine, other host.
func onLocalhost(t *testing.T, address string) string {
	t.Helper()
	if _, err := net.LookupHost("localhost"); err != nil {
		t.Skip("no localhost here")
	}
	return strings.Replace(address, "127.0.0.1", "localhost", 1)
}

func asFailure(t *testing.T, resp *backend.Response, err error) *backend.Failure {
	t.Helper()
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("Do: got an answer with status %d, want a failure", resp.Status)
	}
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		t.Fatalf("Do: error is a %T, want *backend.Failure", err)
	}
	return f
}
