package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-dev/sallyport/internal/lines"
)

// patience is how long calls under way may take to end once the client has said all that it will.
const patience = 5 * time.Second

// Client is where messages come from and where they go.
type Client struct {
	In  io.Reader // a message a line; its end is the client's end (MCP 2025-11-25 lifecycle, shutdown)
	Out io.Writer
	// MaxLine is the size of the largest message, in bytes. A larger one ends the session, since nobody can
	// be told which request it was.
	MaxLine int
}

// Serve carries the client's messages to the gateway's WebSocket at a URL, and back, until the client ends, ctx does,
// or the gateway hangs up.
func Serve(ctx context.Context, to *Link, url string, c Client) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return to.Dial(ctx) }
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}, Subprotocols: []string{"mcp"},
	})
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return fmt.Errorf("reach the gateway in this process: %w", err)
	}
	defer func() { _ = conn.CloseNow() }() // the gateway sees it, however
	conn.SetReadLimit(-1)                  // the gateway has limits of its own
	s := &session{Client: c, conn: conn, waiting: map[string]int{}, idle: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- s.send(ctx) }() // it may read for ever: a process's standard input cannot be given up
	answered := make(chan error, 1)
	go func() { answered <- s.receive(ctx) }()
	select {
	case err = <-ended:
	case err = <-answered:
		return err
	case <-ctx.Done():
		return nil
	}
	if err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for s.unanswered() > 0 {
		select {
		case <-s.idle:
		case err := <-answered:
			return err
		case <-ctx.Done():
			return nil
		case <-late.C:
			return nil
		}
	}
	return nil
}

// session is a client and its connection.
type session struct {
	Client
	conn *websocket.Conn

	mu      sync.Mutex
	waiting map[string]int // requests without an answer, by id
	idle    chan struct{}  // 1: a request was answered
}

// send takes the client's messages to the gateway until they end.
func (s *session) send(ctx context.Context) error {
	in := lines.NewReader(s.In, s.MaxLine)
	for {
		line, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the client's messages: %w", err)
		case len(bytes.TrimSpace(line)) == 0:
			continue
		}
		if m := look(line); m.Method != "" && m.known() {
			s.mu.Lock()
			s.waiting[string(m.ID)]++
			s.mu.Unlock()
		}
		if err := s.conn.Write(ctx, websocket.MessageText, line); err != nil {
			return s.hungUp(ctx, err)
		}
	}
}

// receive brings the gateway's messages to the client.
func (s *session) receive(ctx context.Context) error {
	for {
		_, message, err := s.conn.Read(ctx)
		if err != nil {
			return s.hungUp(ctx, err)
		}
		// A line's end in a message is white space: strings have it escaped.
		for i, b := range message {
			if b == '\n' || b == '\r' {
				message[i] = ' '
			}
		}
		if _, err := s.Out.Write(append(message, '\n')); err != nil {
			return fmt.Errorf("write to the client: %w", err)
		}
		if m := look(message); m.Method == "" && m.known() {
			s.mu.Lock()
			if s.waiting[string(m.ID)]--; s.waiting[string(m.ID)] <= 0 {
				delete(s.waiting, string(m.ID))
			}
			s.mu.Unlock()
			select {
			case s.idle <- struct{}{}:
			default:
			}
		}
	}
}

// hungUp is why the connection ended, as the gateway said it.
func (s *session) hungUp(ctx context.Context, err error) error {
	closed, ok := errors.AsType[websocket.CloseError](err)
	switch {
	case ctx.Err() != nil:
		return nil
	case ok:
		return fmt.Errorf("the gateway ended the session: %s", closed.Reason)
	default:
		return fmt.Errorf("the gateway ended the session: %w", err)
	}
}

func (s *session) unanswered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// message is what tells requests from answers.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
}

func (m *message) known() bool { return len(m.ID) > 0 && string(m.ID) != "null" }

// look reads as much of a message as is needed here. What is wrong with it is the gateway's to say.
func look(text []byte) (m message) {
	if json.Unmarshal(text, &m) != nil {
		return message{}
	}
	return m
}
