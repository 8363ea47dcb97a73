package listen

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Where all places are taken, a newcomer gets that of the connection that has been idle for longest; one that is being
// served keeps its own.
//
// FINDING R6, REQ G-15
func TestConnections(t *testing.T) {
	t.Parallel()
	var said testkit.Output
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clients := New(ln, 2, slog.New(slog.NewTextHandler(&said, nil)))
	begun, finish := make(chan struct{}), make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Minute, ConnState: clients.Note, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-finish
		}
	})}
	served := make(chan error)
	go func() { served <- server.Serve(clients) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn, bufio.NewReader(conn)
	}
	ask := func(conn net.Conn, path string) { fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path) }
	answered := func(who string, r *bufio.Reader) {
		t.Helper()
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v, %v", who, resp, err)
		}
	}
	busy, busyAnswer := dial()
	ask(busy, "/slow")
	<-begun
	idle, idleAnswer := dial()
	ask(idle, "/")
	answered("the second", idleAnswer)
	third, thirdAnswer := dial()
	ask(third, "/")
	answered("the third", thirdAnswer)
	if _, err := idleAnswer.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	quiet, _ := dial() // which says nothing, and gives way too
	_ = quiet
	fifth, fifthAnswer := dial()
	ask(fifth, "/")
	answered("the fifth", fifthAnswer)
	close(finish)
	answered("the first", busyAnswer)
	if n := strings.Count(said.String(), "idle connections are closed for new ones"); n == 0 {
		t.Errorf("log: %s", said.String())
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		files  uint64
		limit  int64
		want   int64
		warned bool
	}{
		{1 << 62, 10_000, 10_000, false},
		{1 << 20, 10_000, 10_000, false},
		{20_000, 10_000, 10_000, false},
		{16_000, 10_000, 8964, false}, // nearly
		{1024, 10_000, 540, true},
		{256, 10_000, 108, true},
		{256, 50, 50, false},
		{3, 10, 1, true},
	} {
		var said testkit.Output
		got := placesOf(tt.files).Admit(tt.limit, slog.New(slog.NewTextHandler(&said, nil)))
		if got != tt.want || (said.String() != "") != tt.warned {
			t.Errorf("%d files, %d requests: %d, want %d; log %q", tt.files, tt.limit, got, tt.want, said.String())
		}
	}
}

// What net/http has to say of strangers is for who debugs; what it says of us is not.
func TestServerLog(t *testing.T) {
	t.Parallel()
	var said testkit.Output
	log := ServerLog(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	log.Print("http: Accept error: accept tcp 127.0.0.1:1: accept4: too many open files; retrying in 5ms")
	log.Print("http: panic serving 127.0.0.1:1: oh")
	text := said.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, `ERROR msg="connections cannot be accepted" cause="accept tcp`) || !strings.Contains(text, `ERROR msg="panic while serving a request"`) {
		t.Error(text)
	}
}
