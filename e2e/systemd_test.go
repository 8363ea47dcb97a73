package e2e_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ G-11: systemd is told when clients are served, and when the end begins.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	told := func() string {
		if err := conn.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	backend := testkit.Record(t, ok)
	g := testkit.StartWith(t, testkit.Options{Env: []string{"NOTIFY_SOCKET=" + at}}, "serve", "-f", manifests(t, remote("docs", backend.URL)))
	if got := told(); got != "READY=1" {
		t.Errorf("at the start: %q", got)
	}
	call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if got := told(); got != "STOPPING=1" {
		t.Errorf("at the end: %q", got)
	}
}
