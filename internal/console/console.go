package console

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Path is where the console is, on the admin listener.
const Path = "/console"

// Config is what a console looks at.
type Config struct {
	Now     func() Now
	Recent  *recent.Calls
	Metrics *telemetry.Metrics
	// Tokens are those of operators; none lets in whoever is on this machine.
	Tokens []secret.Value
	// Operator reports whether a request shows one of Tokens by itself, as programs do.
	Operator func(*http.Request) bool
	Log      *slog.Logger
}

// Now is the gateway at one moment. It is read, and never changed.
type Now struct {
	Servers  []*Server // by name
	Warnings []string  // about the configuration that is served
	Revision string    // of that
	Since    time.Time // that it is served; zero before the first one
	Refused  string    // why a newer one is not served; "" where there is none
	Leaving  bool      // the gateway is about to end
	Lacks    []string  // what it needs and has not, such as an issuer's keys, each with why

	PublicURL string // that the gateway is told it has; "" for none
	Listener  string // the address that clients reach it by on this machine, without a slash at the end

	Issuers  []Issuer                     // that people sign in at, of the gateway's own
	Accounts []Account                    // that the gateway has at remote servers, by the server's name
	Endpoint func(server string) Endpoint // of one of Servers
	Release  func()                       // gives the moment up, whose endpoints may close then
}

// Endpoint is what there is to ask of a server.
type Endpoint struct {
	Target upstream.Target
	Policy *policy.Set // nil where there are none
	Door   *authn.Resolver
	// CallerOf is who a token with these claims would belong to.
	CallerOf func(token.Claims) (*identity.Caller, error)

	Fingerprint string // of its settings
	// Tools are the raw tools that whoever shows a token is listed; nobody for an empty one.
	Tools func(r *http.Request, shown secret.Value) ([][]byte, error)
	// Send takes a message the way of a client's. Of the request that asks for it only the
	// address counts, and its life.
	Send func(r *http.Request, m *Message) (status int, head http.Header)
}

// Issuer is an authorization server that is the gateway's own.
type Issuer struct {
	Name string
	*authserver.Server
}

// Account is one that the gateway has at a remote server: every caller acts with it.
type Account struct {
	Server string
	State  func(context.Context) (oauthclient.State, error)
	// End forgets it, and has the audit say so, of whoever asks for it.
	End func(r *http.Request) error
}

// server finds one by its name; nil for none.
func (n *Now) server(name string) *Server {
	for _, s := range n.Servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Console serves the page. It is safe for use by many goroutines.
type Console struct {
	cfg      Config
	mux      *http.ServeMux
	forms    *http.CrossOriginProtection
	sessions sessions
	drafts   drafts
	streams  atomic.Int32 // that pages are kept up to date by

	mu      sync.Mutex
	history map[string]*track // by server
	why     map[*recent.Call]*explained
}

// New makes a console. Its history begins with [Console.Run].
func New(cfg Config) *Console {
	c := &Console{cfg: cfg, mux: http.NewServeMux(), forms: http.NewCrossOriginProtection(), history: map[string]*track{}}
	c.mux.Handle("GET /{$}", http.RedirectHandler(Path, http.StatusSeeOther))
	c.mux.HandleFunc("GET "+Path, c.servePage)
	c.mux.HandleFunc("GET "+Path+"/events", c.serveEvents)
	c.mux.HandleFunc("POST "+Path+"/try", c.serveTry)
	c.mux.HandleFunc("POST "+Path+"/send", c.serveSend)
	c.mux.Handle("GET "+Path+"/send", http.RedirectHandler(Path+"#try", http.StatusSeeOther))
	c.mux.Handle("GET "+Path+"/try", http.RedirectHandler(Path+"#try", http.StatusSeeOther)) // an address that was kept
	c.mux.HandleFunc("POST "+Path+"/end", c.serveEnd)
	c.mux.HandleFunc("POST "+Path+"/disconnect", c.serveDisconnect)
	c.mux.HandleFunc("POST "+Path+"/sign-in", c.signIn)
	c.mux.HandleFunc("POST "+Path+"/sign-out", c.signOut)
	return c
}

// Run keeps the history, until ctx ends.
func (c *Console) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		c.sample()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ServeHTTP serves what is at [Path] and below it, to operators. The Host and Origin of
// the request were looked at before.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := c.forms.Check(r); err != nil {
		c.refuse(w, http.StatusForbidden, "Another page sent this", "Nothing was done. Open the console, and begin there.")
		return
	}
	switch {
	case r.URL.Path == Path+"/sign-in" && r.Method == http.MethodPost && len(c.cfg.Tokens) > 0: // anybody may try
	case len(c.cfg.Tokens) == 0 && !onThisMachine(r):
		c.refuse(w, http.StatusForbidden, "The console is for this machine",
			"It names the people who call, so from elsewhere it asks for a token: start the gateway with --admin-token-file, and come again.")
		return
	case len(c.cfg.Tokens) > 0 && !c.cfg.Operator(r) && !c.sessions.known(r):
		// Basic would have the browser ask, with no way to sign out again.
		w.Header().Set("Www-Authenticate", `Bearer realm="sallyport admin"`)
		c.askToken(w, http.StatusUnauthorized, "")
		return
	}
	c.mux.ServeHTTP(w, r)
}

// onThisMachine reports whether a request comes from where the gateway runs, and has not
// passed a proxy there.
func onThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}

// site is whose the small pages are.
var site = page.Site{Name: "Sallyport"}

func (c *Console) refuse(w http.ResponseWriter, status int, title, text string) {
	site.Write(w, status, title, "", func(p *page.Page) { p.Element("p", text) })
}

// servePage serves the whole page.
func (c *Console) servePage(w http.ResponseWriter, r *http.Request) {
	now := c.cfg.Now()
	defer now.Release()
	v := c.lookAround(r, &now)
	v.write(w, http.StatusOK)
}

// write sends the whole page.
func (v *view) write(w http.ResponseWriter, status int) {
	doc := page.Document{Title: v.title(), Style: style, Script: script}
	doc.Write(w, status, v.show)
}
