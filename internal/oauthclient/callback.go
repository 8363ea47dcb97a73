package oauthclient

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// callback is where the browser comes back to, once.
type callback struct {
	redirect string
	host     string
	server   *http.Server
	answers  chan url.Values
	result   chan ending // the page for the browser that brought the answer

	mu    sync.Mutex
	state string // "" while none is waited for, and after it came
}

func newCallback(l net.Listener) *callback {
	c := &callback{host: l.Addr().String(), answers: make(chan url.Values, 1), result: make(chan ending, 1)}
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
	case c.result <- ending{http.StatusOK, title, text}:
	default:
	}
}

func (c *callback) serve(w http.ResponseWriter, r *http.Request) {
	// A name that was rebound to loopback is somebody else's page (DNS rebinding).
	if r.Host != c.host || r.URL.Path != callbackPath || r.Method != http.MethodGet {
		ending{http.StatusNotFound, "Nothing here", "This is where a browser comes back to after a sign-in."}.show(w)
		return
	}
	if !c.claim(r.URL.Query()) {
		ending{http.StatusBadRequest, "Not the sign-in that is waited for", "Begin again with the address that the gateway prints."}.show(w)
		return
	}
	select {
	case end := <-c.result:
		end.show(w)
	case <-r.Context().Done():
	case <-time.After(machineTime):
		ending{http.StatusOK, "Signing in", "The gateway's log says how it ends."}.show(w)
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

// ending is the page of how a sign-in ended.
type ending struct {
	status      int
	title, text string
}

func (e ending) show(w http.ResponseWriter) {
	site := page.Site{Name: "Sallyport"}
	site.Write(w, e.status, e.title, "", func(p *page.Page) { p.Element("p", e.text) })
}
