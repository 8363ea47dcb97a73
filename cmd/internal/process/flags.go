package process

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/ownfile"
	"github.com/sallyport-dev/sallyport/internal/registry"
)

// Flags are the flags of every command that serves.
type Flags struct {
	// Local says, before Register, that a person runs the command on the own machine:
	// it takes a free port, has no admin address unless asked, and ends without delay.
	Local       bool
	Listen      string
	Listener    net.Listener // in place of Listen, if there is one; only the process itself reaches it
	AdminListen string
	LogLevel    string
	LogFormat   string

	delay          time.Duration
	drain          time.Duration
	profiling      bool
	sessionKeyFile string
	adminTokenFile string
	tls            tlsFlags
	audit          auditFlags
	store          storeFlags
	options        gateway.Options
}

// Register adds the flags to fs.
func (f *Flags) Register(fs *pflag.FlagSet) {
	f.options = gateway.DefaultOptions()
	fs.SortFlags = false
	f.Listen, f.AdminListen, f.delay, f.drain = "127.0.0.1:8080", "127.0.0.1:9090", 5*time.Second, 15*time.Second
	listen := "address for MCP clients"
	if f.Local {
		f.delay = 0 // no balancer has to notice, and the person waits
		f.AdminListen, listen = "", listen+"; by default the next free port, if this one is taken"
	}
	AddressVar(fs, &f.Listen, "listen", false, listen)
	AddressVar(fs, &f.AdminListen, "admin-listen", true, "address for /healthz, /readyz, /metrics and the console, a page at /console; off, or empty, for none")
	fs.StringVar(&f.adminTokenFile, "admin-token-file", "", "file of tokens, one a line, any of which the admin address then asks for, except at /healthz and /readyz")
	fs.Var(&value[string]{&f.options.PublicURL, "url", readPublicURL, verbatim}, "public-url", "how clients reach the gateway (scheme://host[:port][/prefix]), if requests do not say so themselves")
	listVar(fs, &f.options.AllowedHosts, "allowed-hosts", "hosts", readHost, "host names, besides loopback ones, that loopback addresses, and open endpoints on private ones, answer to")
	listVar(fs, &f.options.AllowedOrigins, "allowed-origins", "origins", readOrigin, "web origins (scheme://host[:port]), besides the gateway's own, that may send requests")
	ChoiceVar(fs, (*string)(&f.options.Registry), "registry", "", "who may read the servers as an MCP registry at /v0.1/servers: off, callers (those that let them in) or everybody",
		string(registry.Off), string(registry.Callers), string(registry.Everybody))
	f.tls.register(fs)
	Group(fs, "Addresses and TLS")
	DurationVar(fs, &f.options.CallTimeout, "call-timeout", positive, "time for a backend to begin its answer")
	DurationVar(fs, &f.delay, "shutdown-delay", 0, "time to go on serving after SIGTERM, while /readyz says no, so that load balancers notice")
	DurationVar(fs, &f.drain, "drain-timeout", 0, "time for running calls to end after SIGTERM and --shutdown-delay")
	DurationVar(fs, &f.options.HealthEvery, "health-interval", 0, "time between questions to a backend whether it is there, which /status tells; 0 for none")
	DurationVar(fs, &f.options.Heartbeat, "heartbeat", 0, "time between comments on an idle event stream; 0 for none")
	sizeVar(fs, &f.options.MaxBodyBytes, "max-body-bytes", leastMessage, "largest message a client may send")
	sizeVar(fs, &f.options.MaxAnswer, "max-answer-bytes", leastMessage, "largest answer of a backend that is no stream")
	sizeVar(fs, &f.options.MaxEventBytes, "max-event-bytes", leastMessage, "largest single event or stdio message of a backend")
	NumberVar(fs, &f.options.MaxInFlight, "max-in-flight", 1, math.MaxInt32, "requests and streams open at a time")
	Group(fs, "Limits")
	f.store.register(fs)
	fs.StringVar(&f.sessionKeyFile, "session-key-file", "", "file of base64 keys of 32 bytes, one a line, that seal session ids (the first seals, all open); without it sessions end with the process")
	Group(fs, "What is kept")
	f.audit.register(fs)
	Group(fs, "Audit")
	f.RegisterLog(fs)
	fs.BoolVar(&f.profiling, "debug-pprof", false, "serve Go profiles on the admin address")
	Group(fs, "Log and debugging")
}

const (
	positive     = time.Nanosecond // the least time that is more than none
	leastMessage = 256             // bytes; no exchange of MCP fits into fewer
)

// TakeFreePort chooses where a local command listens, if nobody has: the default, or
// what is free next to it. It says so on w.
func (f *Flags) TakeFreePort(fs *pflag.FlagSet, w io.Writer) {
	if !f.Local || fs.Changed("listen") {
		return
	}
	host, first, _ := net.SplitHostPort(f.Listen)
	port, _ := strconv.Atoi(first) // the default is well-formed
	for next := port; next < port+20; next++ {
		at := net.JoinHostPort(host, strconv.Itoa(next))
		ln, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		_ = ln.Close() // only to be opened again
		if next != port {
			fmt.Fprintf(w, "sallyport: %s is taken; listening at %s\n", f.Listen, at)
		}
		f.Listen = at
		return
	}
}

// reach is who can reach the address, or the listener in its place.
func (f *Flags) reach() plan.Reach {
	switch {
	case f.Listener != nil:
		return plan.ThisProcess
	case onLoopback(f.Listen):
		return plan.ThisMachine
	}
	return plan.Network
}

// onLoopback reports whether only this machine reaches an address to listen at.
func onLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Accounts says where the gateway's own accounts at remotes are kept, and how a person
// is asked to sign in.
func (f *Flags) Accounts(a compile.Accounts) { f.options.Accounts = a }

// KeptKey says where a key is that outlasts the process.
func (f *Flags) KeptKey(key func() ([]byte, error)) { f.options.KeptKey = key }

// RegisterLog adds the flags for the log alone.
func (f *Flags) RegisterLog(fs *pflag.FlagSet) {
	f.LogLevel, f.LogFormat = "info", "text"
	ChoiceVar(fs, &f.LogLevel, "log-level", "", "debug, info, warn or error", "debug", "info", "warn", "error")
	ChoiceVar(fs, &f.LogFormat, "log-format", "", "text or json", "text", "json")
}

// proxyTrust reads the settings about authenticating proxies from the environment
// (REQ C-1). What is not set is left to the manifests.
func proxyTrust(getenv func(string) (string, bool)) (plan.ProxyTrust, error) {
	var t plan.ProxyTrust
	var err error
	if t.ClientAuthEnabled, err = boolean(getenv, "MCP_CLIENT_AUTH_ENABLED"); err != nil {
		return t, err
	}
	if t.TrustProxyAuth, err = boolean(getenv, "TRUST_PROXY_AUTH"); err != nil {
		return t, err
	}
	if name, ok := getenv("PROXY_USER_HEADER"); ok && name != "" {
		if !headerName.MatchString(name) {
			return t, fmt.Errorf("environment variable PROXY_USER_HEADER: %q is no header name", name)
		}
		t.UserHeader = name
	}
	return t, nil
}

var headerName = regexp.MustCompile(`^[0-9A-Za-z-]{1,128}$`)

// ReadKeys reads the keys in the file that the flag names, if it names one. Nothing of
// a key is in an error.
func ReadKeys(flag, path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	var keys [][]byte
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("%s: %s line %d: want 32 bytes in base64, as from `openssl rand -base64 32`", flag, path, i+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %s holds no key", flag, path)
	}
	return keys, nil
}

// readSecret reads a file that somebody made for this process. Nobody else may be able
// to change it; whether others can read it is said by [Flags.warnOfReaders].
func readSecret(path string) ([]byte, error) {
	if err := ownfile.Check(path, ownfile.Unchanged); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// warnOfReaders warns of key files that other users of the machine can read.
func (f *Flags) warnOfReaders(log *slog.Logger) {
	for flag, path := range f.SecretFiles() {
		if err := ownfile.Check(path, ownfile.Private); err != nil {
			log.Warn("a file of secrets is open to others", "flag", flag, "problem", err)
		}
	}
}

// SecretFiles are the files of secrets that the flags name, by the flag.
func (f *Flags) SecretFiles() map[string]string {
	files := map[string]string{
		"--session-key-file": f.sessionKeyFile, "--store-key-file": f.store.keyFile, "--audit-key-file": f.audit.keyFile,
		"--admin-token-file": f.adminTokenFile, "--tls-key": f.tls.files.Key,
	}
	maps.DeleteFunc(files, func(_, path string) bool { return path == "" })
	return files
}

// StoreFile is the file or folder that state is kept in; "" where it is kept elsewhere.
func (f *Flags) StoreFile() string {
	path, _ := strings.CutPrefix(f.store.where, "file:")
	if path == f.store.where {
		return ""
	}
	return path
}

// PublicURL is how clients reach the gateway, if the flags say so.
func (f *Flags) PublicURL() string { return f.options.PublicURL }

// Limits are the largest message that clients may send, and how many requests may be open
// at a time.
func (f *Flags) Limits() (maxBody, maxInFlight int64) {
	return f.options.MaxBodyBytes, f.options.MaxInFlight
}
