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
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/listen"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/recent"
)

// Process is what a running gateway needs besides its Options: where it listens,
// where its manifests come from, and how long it may take to end.
type Process struct {
	Listen      string
	Listener    net.Listener  // in place of Listen, if there is one
	TLS         *tls.Config   // for clients; nil for plain HTTP
	AdminListen string        // "" for none
	Delay       time.Duration // that serving goes on for after ctx has ended, though not ready
	Drain       time.Duration // for requests under way after that
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

// Run serves until ctx ends, and is not ready from then on. After p.Delay it drains: new
// requests are refused, those under way may end within p.Drain. A manifest that is wrong
// at start is returned as [manifest.Problems].
func Run(ctx context.Context, opts Options, p Process) error {
	places := listen.Available()
	opts.MaxInFlight = places.Admit(opts.MaxInFlight, opts.Log)
	if p.AdminListen != "" {
		opts.Recent = recent.New()
	}
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
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	main.BaseContext = func(net.Listener) context.Context { return base }
	ln := p.Listener
	if ln == nil {
		if ln, err = net.Listen("tcp", p.Listen); err != nil {
			return fmt.Errorf("listen for clients: %w", err)
		}
	}
	at := console.Address(ln.Addr(), p.TLS != nil)
	server.listener.Store(&at)
	clients := listen.New(ln, places, opts.Log)
	defer clients.Close()
	main.ConnState = clients.Note
	failed := make(chan error, 2)
	admin, adminAddr, err := server.administer(ctx, p, failed)
	if err != nil {
		return err
	}
	listeners := append([]*http.Server{main}, admin...)
	go func() { failed <- serve(main, clients, p.TLS) }()
	if p.Serving != nil {
		p.Serving(ln.Addr(), adminAddr)
	}

	go server.askBackends(ctx)
	reloads := startReloads(ctx, server, p, set.Digest())
	select {
	case <-ctx.Done():
		err = leave(server, p.Delay, failed, opts.Log)
	case err = <-failed:
	}
	gone := server.BeginDrain()
	<-reloads
	return errors.Join(ignoreClosed(err), drain(listeners, gone, p.Drain, cut, opts.Log))
}

// administer serves the admin listener, if there is to be one, and keeps the console's
// history until ctx ends.
func (s *Server) administer(ctx context.Context, p Process, failed chan<- error) ([]*http.Server, net.Addr, error) {
	if p.AdminListen == "" {
		return nil, nil, nil
	}
	ln, err := net.Listen("tcp", p.AdminListen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for administration: %w", err)
	}
	admin := newHTTPServer(s.AdminHandler(p.Profiling), s.opts.Log)
	go func() { failed <- admin.Serve(ln) }()
	go s.console.Run(ctx)
	return []*http.Server{admin}, ln.Addr(), nil
}

// serve serves a listener, over TLS if there are settings for it.
func serve(s *http.Server, ln net.Listener, over *tls.Config) error {
	if over == nil {
		return s.Serve(ln)
	}
	s.TLSConfig = over
	return s.ServeTLS(ln, "", "")
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
		// What is taken of bodies that nobody has read yet: 1 MiB a connection if left unsaid.
		HTTP2:    &http.HTTP2Config{MaxReceiveBufferPerConnection: 128 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ErrorLog: listen.ServerLog(log),
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
		for last := since; ; {
			asked := false
			select {
			case <-ctx.Done():
				return
			case <-p.Reload:
				asked = true
			case <-changed:
			}
			last = server.reload(p.Load, last, asked)
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
// the old configuration goes on. What was tried last is tried again only if somebody
// asked: a signal and the watch often tell of the same change. It returns the digest of
// what it loaded.
func (s *Server) reload(load func() (*manifest.Set, error), last string, asked bool) (digest string) {
	set, err := load()
	if set != nil {
		digest = set.Digest()
	}
	if !asked && digest != "" && digest == last {
		return digest
	}
	if err == nil {
		err = s.Apply(set)
	}
	s.noteRefused(err)
	s.opts.Metrics.Reloaded(err == nil)
	if err == nil {
		s.opts.Log.Info("configuration reloaded", "endpoints", s.current.Load().Endpoints())
		debug.FreeOSMemory() // what reading manifests needed is needed no more
		return digest
	}
	const text = "configuration not reloaded, the old one goes on"
	problems, ok := errors.AsType[manifest.Problems](err)
	if !ok {
		s.opts.Log.Error(text, "error", err)
		return digest
	}
	for _, p := range problems {
		s.opts.Log.Error(text, "problem", p.String())
	}
	return digest
}
