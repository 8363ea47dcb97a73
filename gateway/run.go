package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Process is what a running gateway needs besides its Options: where it listens,
// where its manifests come from, and how long it may take to end.
type Process struct {
	Listen      string
	TLS         *tls.Config   // for clients; nil for plain HTTP
	AdminListen string        // "" for none
	Drain       time.Duration // for requests under way after ctx has ended
	Profiling   bool

	// Load reads and validates the manifests. It is called at start, where an error
	// ends Run, and for every reload, where the old configuration goes on.
	Load func() (*manifest.Set, error)
	// Watch calls changed whenever Load would bring something else than the last
	// time, beginning with the set of digest since, until ctx ends. Nil when the
	// manifests cannot change.
	Watch func(ctx context.Context, since string, changed func())
	// Reload asks for a reload at once; SIGHUP sends here.
	Reload <-chan os.Signal
	// Serving is called with the addresses once clients are served.
	Serving func(mcp, admin net.Addr)
}

// Run serves until ctx ends, then drains: new requests are refused, those under
// way may end within p.Drain. A manifest that is wrong at start is returned as
// [manifest.Problems].
func Run(ctx context.Context, opts Options, p Process) error {
	server, err := NewServer(opts)
	if err != nil {
		return err
	}
	defer server.Close()
	set, err := p.Load()
	if err != nil {
		return err
	}
	if err := server.Apply(set); err != nil {
		return err
	}
	opts.Metrics.Reloaded(true)

	main := newHTTPServer(server, opts.Log)
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	main.BaseContext = func(net.Listener) context.Context { return base }
	listeners := []*http.Server{main}
	ln, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	defer ln.Close()
	failed := make(chan error, 2)
	var adminAddr net.Addr
	if p.AdminListen != "" {
		adminLn, err := net.Listen("tcp", p.AdminListen)
		if err != nil {
			return fmt.Errorf("listen for administration: %w", err)
		}
		defer adminLn.Close()
		adminAddr = adminLn.Addr()
		admin := newHTTPServer(server.AdminHandler(p.Profiling), opts.Log)
		listeners = append(listeners, admin)
		go func() { failed <- admin.Serve(adminLn) }()
	}
	go func() { failed <- serve(main, ln, p.TLS) }()
	if p.Serving != nil {
		p.Serving(ln.Addr(), adminAddr)
	}

	reloads := startReloads(ctx, server, p, set.Digest())
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	gone := server.BeginDrain()
	<-reloads
	return errors.Join(ignoreClosed(err), drain(listeners, gone, p.Drain, opts.Log))
}

// serve serves a listener, over TLS if there are settings for it.
func serve(s *http.Server, ln net.Listener, over *tls.Config) error {
	if over == nil {
		return s.Serve(ln)
	}
	s.TLSConfig = over
	return s.ServeTLS(ln, "", "")
}

// drain ends the servers: the first one, of clients, within limit; then the rest.
// gone is closed when nobody listens any more: the first server does not know of
// connections that have become WebSockets.
func drain(servers []*http.Server, gone <-chan struct{}, limit time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	late := servers[0].Shutdown(ctx)
	select {
	case <-gone:
	case <-ctx.Done():
		late = ctx.Err()
	}
	if late != nil {
		log.Warn("requests were still under way at the end of the drain time and are cut off", "limit", limit)
	}
	var err error
	for _, s := range servers {
		err = errors.Join(err, ignoreClosed(s.Close()))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// newHTTPServer has the limits that every listener has. Reading a body and writing
// an answer have their own, per request: a stream may stay open for ever.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// startReloads reloads whenever the manifests change or a reload is asked for,
// one at a time, until ctx ends; then the returned channel is closed. since is the
// digest of what is served.
func startReloads(ctx context.Context, server *Server, p Process, since string) <-chan struct{} {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting already, and will see the newest state
		}
	}
	var running sync.WaitGroup
	if p.Watch != nil {
		running.Go(func() { p.Watch(ctx, since, note) })
	}
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.Reload:
			case <-changed:
			}
			server.reload(p.Load)
		}
	})
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	return done
}

// reload loads and applies. When something is wrong it says every reason why and
// the old configuration goes on.
func (s *Server) reload(load func() (*manifest.Set, error)) {
	set, err := load()
	if err == nil {
		err = s.Apply(set)
	}
	s.opts.Metrics.Reloaded(err == nil)
	if err == nil {
		s.opts.Log.Info("configuration reloaded", "endpoints", s.current.Load().Endpoints())
		return
	}
	const text = "configuration not reloaded, the old one goes on"
	problems, ok := errors.AsType[manifest.Problems](err)
	if !ok {
		s.opts.Log.Error(text, "error", err)
		return
	}
	for _, p := range problems {
		s.opts.Log.Error(text, "problem", p.String())
	}
}
