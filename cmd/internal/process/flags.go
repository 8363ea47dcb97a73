package process

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/gateway"
)

// Flags are the flags of every command that serves.
type Flags struct {
	Listen      string
	AdminListen string
	LogLevel    string
	LogFormat   string

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
	fs.StringVar(&f.Listen, "listen", "127.0.0.1:8080", "address for MCP clients")
	fs.StringVar(&f.AdminListen, "admin-listen", "127.0.0.1:9090", "address for /healthz, /readyz and /metrics; empty for none")
	fs.StringVar(&f.adminTokenFile, "admin-token-file", "", "file of tokens, one a line, any of which the admin address then asks for, except at /healthz and /readyz")
	f.tls.register(fs)
	f.RegisterLog(fs)
	fs.DurationVar(&f.drain, "drain-timeout", 30*time.Second, "time for running calls to end after SIGTERM")
	fs.DurationVar(&f.options.CallTimeout, "call-timeout", f.options.CallTimeout, "time for a backend to begin its answer")
	fs.DurationVar(&f.options.Heartbeat, "heartbeat", f.options.Heartbeat, "time between comments on an idle event stream; 0 for none")
	fs.Int64Var(&f.options.MaxBodyBytes, "max-body-bytes", f.options.MaxBodyBytes, "largest message a client may send")
	fs.Int64Var(&f.options.MaxAnswer, "max-answer-bytes", f.options.MaxAnswer, "largest answer of a backend that is no stream")
	fs.IntVar(&f.options.MaxEventBytes, "max-event-bytes", f.options.MaxEventBytes, "largest single event or stdio message of a backend")
	fs.Int64Var(&f.options.MaxInFlight, "max-in-flight", f.options.MaxInFlight, "requests and streams open at a time")
	fs.StringSliceVar(&f.options.AllowedHosts, "allowed-hosts", nil, "host names, besides loopback ones, that a loopback address answers to")
	fs.StringSliceVar(&f.options.AllowedOrigins, "allowed-origins", nil, "web origins (scheme://host[:port]), besides the gateway's own, that may send requests")
	fs.StringVar(&f.options.PublicURL, "public-url", "", "how clients reach the gateway (scheme://host[:port][/prefix]), if requests do not say so themselves")
	fs.StringVar(&f.sessionKeyFile, "session-key-file", "", "file of base64 keys of 32 bytes, one a line, that seal session ids (the first seals, all open); without it sessions end with the process")
	f.store.register(fs)
	f.audit.register(fs)
	fs.BoolVar(&f.profiling, "debug-pprof", false, "serve Go profiles on the admin address")
}

// Accounts says where the gateway's own accounts at remotes are kept, and how a person
// is asked to sign in.
func (f *Flags) Accounts(a gateway.Accounts) { f.options.Accounts = a }

// RegisterLog adds the flags for the log alone.
func (f *Flags) RegisterLog(fs *pflag.FlagSet) {
	fs.StringVar(&f.LogLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&f.LogFormat, "log-format", "text", "text or json")
}

// proxyTrust reads the settings about authenticating proxies from the environment
// (REQ C-1). What is not set is left to the manifests.
func proxyTrust(getenv func(string) (string, bool)) (gateway.ProxyTrust, error) {
	var t gateway.ProxyTrust
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
	text, err := os.ReadFile(path)
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
