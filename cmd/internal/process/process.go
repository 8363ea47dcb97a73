package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// The exit codes of every command.
const (
	ExitOK      = 0
	ExitFailed  = 1 // it failed while running
	ExitRefused = 2 // wrong usage or manifests
)

// UsageError is an error in what the person asked for: exit code 2.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// ExitCode is the exit code that err asks for.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if _, ok := errors.AsType[UsageError](err); ok {
		return ExitRefused
	}
	if _, ok := errors.AsType[manifest.Problems](err); ok {
		return ExitRefused
	}
	return ExitFailed
}

// Source is where a serving process gets its manifests from.
type Source struct {
	Load   func() (*manifest.Set, error)
	Reader *manifest.Reader // that Load reads with, to watch; nil when nothing can change
}

// load says, too, what was left out, whenever that is something else.
func (s Source) load(log *slog.Logger) func() (*manifest.Set, error) {
	said := ""
	return func() (*manifest.Set, error) {
		set, err := s.Load()
		if err == nil && set.LeftOut() != said {
			if said = set.LeftOut(); said != "" {
				log.Info(said)
			}
		}
		return set, err
	}
}

// Serve serves until ctx ends, or SIGINT or SIGTERM come; a second one ends it at once.
// SIGHUP reloads. Audit events go to stdout unless the flags say otherwise, the log to
// stderr. Ready, if not nil, is called with the gateway's address, without a path,
// once clients are served.
func Serve(ctx context.Context, f *Flags, src Source, stdout, stderr io.Writer, ready func(at string)) error {
	opts, err := f.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer opts.Store.Close()
	stopTelemetry, err := startTelemetry(&opts, os.LookupEnv)
	if err != nil {
		return err
	}
	log := opts.Log
	tuneMemory(log)

	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ending := make(chan time.Time, 1)
	go func() { // after the first signal the next one has its usual effect
		<-ctx.Done()
		ending <- time.Now().Add(f.delay + f.drain)
		notify(log, "STOPPING=1")
		stop()
	}()
	signal.Ignore(syscall.SIGPIPE) // a reader of audit events that went away must not end the gateway
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	var scheme string
	p := gateway.Process{
		Listen: f.Listen, Listener: f.Listener, AdminListen: f.AdminListen, Delay: f.delay, Drain: f.drain, Profiling: f.profiling,
		Load: src.load(log), Reload: reload,
		Serving: func(mcp, admin net.Addr) {
			at := scheme + "://" + mcp.String()
			log.Info("serving", "mcp", at, "admin", adminURL(admin), "version", version.Version())
			notify(log, "READY=1")
			debug.FreeOSMemory() // what reading manifests needed is needed no more
			if ready != nil {
				ready(at)
			}
		},
	}
	scheme = f.tls.serve(ctx, &p)
	if src.Reader != nil {
		p.Watch = func(ctx context.Context, since string, changed func()) {
			src.Reader.Watch(ctx, since, log, changed)
		}
	}
	err = gateway.Run(ctx, opts, p)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w; end what is there, or choose another address with --listen and --admin-listen", err)
	case err == nil:
		log.Info("stopped")
	}
	var drained time.Time
	if ctx.Err() != nil { // else it ended by itself
		drained = <-ending
	}
	return errors.Join(err, closeOutputs(&opts, stopTelemetry, drained))
}

// open makes the gateway's options: what the flags say, and what they name opened.
// The store and the audit sink are the caller's to close.
func (f *Flags) open(stdout, stderr io.Writer) (opts gateway.Options, err error) {
	opts = f.options
	if opts.Log, err = telemetry.NewLogger(stderr, f.LogLevel, f.LogFormat); err != nil {
		return opts, UsageError{err}
	}
	if opts.SessionKeys, err = ReadKeys("--session-key-file", f.sessionKeyFile); err != nil {
		return opts, UsageError{err}
	}
	if opts.TrustedProxy, err = proxyTrust(os.LookupEnv); err != nil {
		return opts, UsageError{err}
	}
	if opts.Proxies, err = netguard.ReadProxies(os.LookupEnv); err != nil {
		return opts, UsageError{err}
	}
	if err = adminTokens(f.adminTokenFile, &opts, os.LookupEnv); err != nil {
		return opts, err
	}
	opts.Cluster = authn.Cluster{
		Host: os.Getenv("KUBERNETES_SERVICE_HOST"), Port: os.Getenv("KUBERNETES_SERVICE_PORT"), Folder: authn.PodFolder,
	}
	if err = f.tls.open(&opts); err != nil {
		return opts, err
	}
	opts.LookupEnv, opts.Reach = os.LookupEnv, f.reach()
	opts.Metrics = telemetry.NewMetrics(version.Version())
	if err = f.store.open(&opts, os.LookupEnv); err != nil {
		return opts, err
	}
	f.warnOfReaders(opts.Log)
	if opts.Audit, err = f.audit.open(stdout, opts.Log, opts.Metrics, os.LookupEnv); err != nil {
		return opts, errors.Join(err, opts.Store.Close())
	}
	return opts, nil
}

func adminURL(a net.Addr) string {
	if a == nil {
		return ""
	}
	return "http://" + a.String()
}

// tuneMemory trades a little memory for fewer collections: the live heap of a
// gateway is small, so that the default would collect it all the time under load. What
// the cgroup grants bounds that: near it, collections come sooner. GOGC, GOMEMLIMIT and
// AUTOMEMLIMIT (a share, or off) in the environment win.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare))
	switch {
	case err != nil:
		log.Debug("the memory that this process may use is not known", "cause", err)
	case limit != math.MaxInt64:
		log.Debug("memory is limited", "bytes", limit)
	}
}

// memoryShare is how much of the cgroup's memory Go's heap may grow to use: the rest is
// for local programs of stdio servers, which are in the same cgroup, and for what is no heap.
const memoryShare = 0.8
