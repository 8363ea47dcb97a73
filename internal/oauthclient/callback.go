package oauthclient

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// callback is where the browser comes back to, once.
type callback struct {
	redirect string
	host     string
	server   *http.Server
	answers  chan url.Values
	result   chan string // the page for the browser that brought the answer

	mu    sync.Mutex
	state string // "" while none is waited for, and after it came
}

func newCallback(l net.Listener) *callback {
	c := &callback{host: l.Addr().String(), answers: make(chan url.Values, 1), result: make(chan string, 1)}
	c.redirect = "http://" + c.host + callbackPath
	c.server = &http.Server{
		Handler:           http.HandlerFunc(c.serve),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	go func() { _ = c.server.Serve(l) }() // until close
	return c
}

// close lets the browser have its page, and ends.
func (c *callback) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close()
	}
}

// expect says which state a response has to have. It comes before anybody sees the
// address: a browser can be fast.
func (c *callback) expect(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

// wait returns the parameters of the response.
func (c *callback) wait(ctx context.Context) (url.Values, error) {
	select {
	case q := <-c.answers:
		return q, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errors.New("nobody signed in within the time for it; send the request again for a new address")
		}
		return nil, context.Cause(ctx)
	}
}

// finish tells the browser how it ended. The reason is in the gateway's log: a page
// is a stranger's to reach.
func (c *callback) finish(server string, err error) {
	title, text := "Signed in", "The gateway now has access to "+server+". You can close this page."
	if err != nil {
		title, text = "Not signed in", "The sign-in to "+server+" did not work. The gateway's log says why."
	}
	select {
	case c.result <- page(title, text):
	default:
	}
}

func (c *callback) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the code is in this page's address
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	// A name that was rebound to loopback is somebody else's page (DNS rebinding).
	if r.Host != c.host || r.URL.Path != callbackPath || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(page("Nothing here", "This is where a browser comes back to after a sign-in.")))
		return
	}
	if !c.claim(r.URL.Query()) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(page("Not the sign-in that is waited for", "Begin again with the address that the gateway prints.")))
		return
	}
	select {
	case text := <-c.result:
		_, _ = w.Write([]byte(text))
	case <-r.Context().Done():
	case <-time.After(machineTime):
		_, _ = w.Write([]byte(page("Signing in", "The gateway's log says how it ends.")))
	}
}

// claim takes the response if it is the one that is waited for. Any other does not end
// the wait: a page that guesses could otherwise cut a person off.
func (c *callback) claim(q url.Values) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(c.state)) != 1 {
		return false
	}
	c.state = ""
	c.answers <- q
	return true
}

func page(title, text string) string {
	return fmt.Sprintf(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%[1]s</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}</style>
<main><h1>%[1]s</h1><p>%[2]s</p></main></html>
`, html.EscapeString(title), html.EscapeString(text))
}
