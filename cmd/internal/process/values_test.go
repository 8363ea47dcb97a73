package process_test

import (
	"net"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
)

func flagSet(local bool) *pflag.FlagSet {
	f := process.Flags{Local: local}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Register(fs)
	return fs
}

// A value is judged when it is set, by a flag and by its variable alike: what can work
// has its usual spelling afterwards, and what cannot is refused with the remedy.
//
// FINDING N3, FINDING N9, REQ G-6
func TestValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flag, value string
		want        string // what it is afterwards, or, after "!", part of what is wrong
	}{
		{"public-url", "https://gw.example.com", "https://gw.example.com"},
		{"public-url", "HTTPS://GW.example.com:443/a/", "https://gw.example.com/a"},
		{"public-url", "http://[::1]:8080", "http://[::1]:8080"},
		{"public-url", "gw.example.com", "!must begin with https:// or http://; write https://gw.example.com"},
		{"public-url", "gw.example.com:8443/mcp", "!write https://gw.example.com:8443/mcp"},
		{"public-url", "ftp://gw.example.com", "!not with ftp://"},
		{"public-url", "https://gw.example.com/?a=b", "!no user, query or fragment"},
		{"public-url", "https://me:pw@gw.example.com", "!no user, query or fragment"},
		{"public-url", "https://gw.example.com/a/../b", "!plain path"},
		{"public-url", "https://gw.example.com/%2e", "!plain path"},
		{"public-url", "https://gw.example.com//a", "!plain path"},
		{"public-url", "https://gw.example.com:99999", "!port"},
		{"public-url", "https://", "!invalid URL"},
		{"public-url", "https://a b", "!invalid URL"},
		{"allowed-origins", "https://app.example.com,HTTP://App.example.org:80", "https://app.example.com,http://app.example.org"},
		{"allowed-origins", "app.example.com", "!write https://app.example.com"},
		{"allowed-origins", "https://app.example.com/", "!not even a slash; write https://app.example.com"},
		{"allowed-origins", "*", "!everybody"},
		{"allowed-origins", "null", "!everybody"},
		{"allowed-hosts", "MCP.example.com, other.example.com:8443, ::1, [::1]:80", "mcp.example.com,other.example.com,::1,::1"},
		{"allowed-hosts", "https://mcp.example.com/x", "!write mcp.example.com"},
		{"allowed-hosts", "*.example.com", "!wildcard"},
		{"allowed-hosts", "a b", "!not the name of a host"},
		{"max-in-flight", "7", "7"},
		{"max-in-flight", "0", "!at least 1"},
		{"max-in-flight", "many", "!whole number"},
		{"max-in-flight", "99999999999999999999", "!whole number"},
		{"max-body-bytes", "8MiB", "8MiB"},
		{"max-body-bytes", "8388608", "8MiB"},
		{"max-body-bytes", "1.5 kib", "1536"},
		{"max-body-bytes", "2Mi", "2MiB"},
		{"max-body-bytes", "2MB", "2000000"},
		{"max-body-bytes", "-1", "!number of bytes"},
		{"max-body-bytes", "0", "!at least 256 bytes"},
		{"max-body-bytes", "8 parsecs", "!8388608 or 8MiB"},
		{"max-body-bytes", "999999999999GiB", "!number of bytes"},
		{"max-body-bytes", "0.3", "!number of bytes"},
		{"max-event-bytes", "1GiB", "1GiB"},
		{"call-timeout", "90s", "1m30s"},
		{"call-timeout", "0", "!more than 0"},
		{"call-timeout", "-1s", "!negative"},
		{"call-timeout", "30", "!write it like 30s"},
		{"call-timeout", "soon", "!must be a time"},
		{"drain-timeout", "0", "0"},
		{"drain-timeout", "-1s", "!negative"},
		{"heartbeat", "0", "0"},
		{"audit-max-size", "0", "0"},
		{"audit-max-size", "-5", "!number of bytes"},
		{"audit-max-age", "-1h", "!negative"},
		{"audit-max-files", "-1", "!at least 0"},
		{"audit-overflow", "drops", "!did you mean drop?"},
		{"log-level", "debug", "debug"},
		{"log-level", "wran", "!did you mean warn?"},
		{"log-format", "yaml", "!text, json"},
		{"listen", ":0", ":0"},
		{"admin-listen", "off", ""},
		{"listen", "off", "!address and a port"},
		{"listen", "localhost:8080", "localhost:8080"},
		{"listen", "8080", "!write it like 127.0.0.1:8080"},
		{"listen", "127.0.0.1:http", "!address and a port"},
		{"listen", "127.0.0.1:70000", "!address and a port"},
		{"debug-pprof", "perhaps", "!true or false"},
	} {
		t.Run(tt.flag+" "+tt.value, func(t *testing.T) {
			t.Parallel()
			check := func(fs *pflag.FlagSet, err error, where string) {
				t.Helper()
				problem, refused := strings.CutPrefix(tt.want, "!")
				switch {
				case refused && (err == nil || process.ExitCode(err) != process.ExitRefused || !strings.HasPrefix(err.Error(), where+": ") || !strings.Contains(err.Error(), problem)):
					t.Errorf("%s: error %v, want %q", where, err, problem)
				case !refused && err != nil:
					t.Errorf("%s: %v", where, err)
				case !refused && fs.Lookup(tt.flag).Value.String() != tt.want:
					t.Errorf("%s is %q, want %q", where, fs.Lookup(tt.flag).Value, tt.want)
				}
			}
			fs := flagSet(false)
			err := fs.Parse([]string{"--" + tt.flag + "=" + tt.value})
			if err != nil {
				err = process.FlagError(fs, err)
			}
			check(fs, err, "--"+tt.flag)

			fs = flagSet(false)
			err = process.FromEnvironment(fs, func(name string) (string, bool) {
				return tt.value, name == process.Variable(tt.flag)
			})
			check(fs, err, "environment variable "+process.Variable(tt.flag))
		})
	}
}

// REQ G-6
func TestAFlagWinsOverItsVariable(t *testing.T) {
	t.Parallel()
	fs := flagSet(false)
	var files []string
	fs.StringArrayVar(&files, "file", nil, "")
	if err := fs.Parse([]string{"--max-in-flight", "5", "--log-level", "debug"}); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{
		"SALLYPORT_MAX_IN_FLIGHT": "0", "SALLYPORT_LOG_LEVEL": "", "SALLYPORT_HEARTBEAT": "5s", "SALLYPORT_FILE": "a\nb,c\n", "SALLYPORT_DEBUG_PPROF": "true",
	}
	if err := process.FromEnvironment(fs, func(name string) (string, bool) { v, ok := vars[name]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"max-in-flight": "5", "log-level": "debug", "heartbeat": "5s", "file": "[a,\"b,c\"]", "debug-pprof": "true", "drain-timeout": "15s"} {
		if got := fs.Lookup(flag).Value.String(); got != want {
			t.Errorf("--%s is %q, want %q", flag, got, want)
		}
	}
}

func TestUnknownFlags(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--listn=x":  "unknown flag --listn; did you mean --listen?",
		"--zzzzzzzz": "unknown flag --zzzzzzzz",
		"-z":         "unknown flag -z",
		"--listen":   "--listen: needs a value",
	} {
		fs := flagSet(false)
		if err := process.FlagError(fs, fs.Parse([]string{arg})); err.Error() != want {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}

// Every flag stands in the help once, under a title.
func TestHelpHasEveryFlagOnce(t *testing.T) {
	t.Parallel()
	fs := flagSet(true)
	help, _, _ := strings.Cut(process.Usages(fs), "\nEvery flag")
	fs.VisitAll(func(f *pflag.Flag) {
		if n := strings.Count(help, "  --"+f.Name+" "); n != 1 {
			t.Errorf("--%s is %d times in the help", f.Name, n)
		}
	})
	if strings.HasPrefix(help, "Flags:") || strings.Count(help, ":\n") < 5 {
		t.Errorf("the help has no groups:\n%s", help)
	}
}

// FINDING N9, REQ G-10: a second demo finds a port by itself, and says which; one that
// was asked for is never changed.
func TestNextFreePort(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	f := process.Flags{Local: true}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.Register(fs)
	f.Listen = busy.Addr().String()
	var said strings.Builder
	f.TakeFreePort(fs, &said)
	if f.Listen == busy.Addr().String() || !strings.Contains(said.String(), "is taken; listening at "+f.Listen) {
		t.Errorf("it listens at %s, and said %q", f.Listen, said.String())
	}
	if f.AdminListen != "" {
		t.Errorf("the admin address is %s", f.AdminListen)
	}
	if err := fs.Parse([]string{"--listen", busy.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	f.TakeFreePort(fs, &said)
	if f.Listen != busy.Addr().String() {
		t.Errorf("it listens at %s in place of what was asked for", f.Listen)
	}
}
