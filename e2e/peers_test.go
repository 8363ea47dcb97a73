package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// This file holds scripted backends, for what no real server would do.

// answer answers the request that r's body holds.
func answer(w http.ResponseWriter, r *http.Request, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, rpcResult(r, result))
}

// rpcResult is the answer to the request in r's body.
func rpcResult(r *http.Request, result string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, bodyOf(r).ID, result)
}

type rpcRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
	} `json:"params"`
}

// bodyOf reads the message in r's body, any number of times.
func bodyOf(r *http.Request) (m rpcRequest) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = json.Unmarshal(body, &m)
	return m
}

// events sets w up for an event stream and returns what writes to it at once.
func events(w http.ResponseWriter) (send func(text string)) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	return func(text string) {
		_, _ = io.WriteString(w, text)
		_ = rc.Flush()
	}
}

// sessionBackend plays a server of 2025-11-25: it gives the session id, answers
// each request with {"ok":true}, takes notifications and DELETE, and serves a GET
// stream with one event that stays open until its client leaves.
func sessionBackend(id string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := bodyOf(r)
		switch {
		case r.Method == http.MethodGet:
			events(w)("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
			<-r.Context().Done()
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case m.ID == nil || m.Method == "":
			w.WriteHeader(http.StatusAccepted)
		default:
			if m.Method == "initialize" {
				w.Header().Set("Mcp-Session-Id", id)
			}
			answer(w, r, sessionBackendResult(m))
		}
	}
}

func sessionBackendResult(m rpcRequest) string {
	if m.Method == "initialize" {
		return `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}`
	}
	return `{"ok":true}`
}

// sseServer plays a server of HTTP+SSE, 2024-11-05, for any number of clients.
type sseServer struct {
	mu      sync.Mutex
	streams []chan string // events, by the number in the stream's message address
}

// stream serves the SSE endpoint. The address it gives for messages is /messages
// with the query, which is the session's secret.
func (s *sseServer) stream(w http.ResponseWriter, r *http.Request, query string) {
	out := make(chan string, 16)
	s.mu.Lock()
	s.streams = append(s.streams, out)
	n := len(s.streams) - 1
	s.mu.Unlock()
	send := events(w)
	send(fmt.Sprintf("event: endpoint\ndata: /messages?n=%d&%s\n\n", n, query))
	for {
		select {
		case event, open := <-out:
			if !open {
				panic(http.ErrAbortHandler)
			}
			send(event)
		case <-r.Context().Done():
			return
		}
	}
}

// end breaks the streams that are open.
func (s *sseServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.streams {
		close(out)
	}
	s.streams = nil
}

// message serves the address for messages: 202, and the answer down the stream.
func (s *sseServer) message(w http.ResponseWriter, r *http.Request, result func(rpcRequest) string) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || n >= len(s.streams) {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if m := bodyOf(r); m.ID != nil && m.Method != "" {
		s.streams[n] <- "event: message\ndata: " + rpcResult(r, result(m)) + "\n\n"
	}
}

// ok answers every request with {"ok":true}.
func ok(w http.ResponseWriter, r *http.Request) { answer(w, r, `{"ok":true}`) }

// hijack takes the connection over and writes raw bytes as the answer.
func hijack(w http.ResponseWriter, raw string) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, raw)
	return conn
}

// await is how a handler waits for its test: not longer than for the gateway, so
// that a test that failed can end.
func await[T any](r *http.Request, ch <-chan T) (v T) {
	select {
	case v = <-ch:
	case <-r.Context().Done():
	}
	return v
}
