package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// runFlags are what a manifest would say.
type runFlags struct {
	process.Flags
	name        string
	transport   string
	headers     []string
	passthrough []string
	env         []string
	audit       bool
	oauth       oauthFlags
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] URL | run [flags] -- COMMAND ARGS…",
		Short: "Serve one backend without a manifest: a remote URL, or a local stdio command",
		Example: "  sallyport run https://mcp.example.com/mcp\n" +
			"  sallyport run -- npx -y @modelcontextprotocol/server-everything",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := f.manifest(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			if err := f.oauth.ask(&f.Flags, cmd.ErrOrStderr()); err != nil {
				return err
			}
			src := process.Source{Load: func() (*manifest.Set, error) { return set, nil }}
			return process.Serve(&f.Flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(at string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "\n  MCP endpoint: %s/mcp\n\n", at)
			})
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false) // what follows URL or -- belongs to the command
	f.Register(fs)
	fs.StringVar(&f.name, "name", "", "name of the server in paths, log and metrics (default from the URL or command)")
	fs.StringVar(&f.transport, "transport", "streamable-http", "how the URL speaks: streamable-http or sse")
	fs.StringArrayVar(&f.headers, "header", nil, "NAME=VALUE sent to the URL's server; NAME alone takes the value from the environment variable of that name, hyphens as underscores")
	fs.StringSliceVar(&f.passthrough, "passthrough-header", nil, "name of a client header to pass to the URL's server")
	fs.StringArrayVar(&f.env, "env", nil, "NAME=VALUE for the command's environment; NAME alone takes it from this one")
	f.oauth.register(cmd)
	fs.BoolVar(&f.audit, "audit", false, "write audit events; --audit-file and --audit-otlp-endpoint ask for them, too")
	return cmd
}

// manifest is what a person would have written for the same, validated by the same
// rules.
func (f *runFlags) manifest(args []string, dash int) (*manifest.Set, error) {
	var set *manifest.Set
	var err error
	switch {
	case len(args) == 0:
		return nil, process.UsageError{Err: errors.New("say what to run: a URL, or -- and a command; see sallyport run --help")}
	case dash == 0:
		set, err = f.local(args)
	case len(args) == 1 && dash < 0 && strings.Contains(args[0], "://"):
		set, err = f.remote(args[0])
	default:
		return nil, process.UsageError{Err: fmt.Errorf("%q is not a URL; put -- before a command: sallyport run -- %s", args[0], strings.Join(args, " "))}
	}
	if err != nil {
		return nil, process.UsageError{Err: err}
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		return nil, problems
	}
	return set, nil
}

func (f *runFlags) remote(address string) (*manifest.Set, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL; write it like https://mcp.example.com/mcp", address)
	}
	if len(f.env) > 0 {
		return nil, errors.New("--env is for a command; the server at a URL takes --header")
	}
	p := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: f.named(u.Hostname())}}
	p.Spec = v1alpha1.MCPRemoteProxySpec{
		RemoteURL:            v1alpha1.RemoteURL(address),
		Transport:            f.transport,
		AllowPrivateEndpoint: isLocalName(u.Hostname()), // a person typed it
		Audit:                &v1alpha1.Audit{Enabled: f.audit || f.Audited()},
	}
	for _, h := range f.passthrough {
		p.Spec.PassthroughHeaders = append(p.Spec.PassthroughHeaders, v1alpha1.PassthroughHeader(h))
	}
	values, err := nameValues(f.headers, "--header", func(name string) string {
		return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	})
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if p.Spec.HeaderForward == nil {
			p.Spec.HeaderForward = &v1alpha1.HeaderForward{}
		}
		p.Spec.HeaderForward.AddHeadersFromSecret = append(p.Spec.HeaderForward.AddHeadersFromSecret, v1alpha1.HeaderFromSecret{
			HeaderName:     v1alpha1.SetHeader(name),
			ValueSecretRef: v1alpha1.SecretKeyRef{Name: typedSecret, Key: v1alpha1.DataKey(name)},
		})
	}
	if err := f.oauth.account(&p.Spec, values); err != nil {
		return nil, err
	}
	return withSecret(p, values)
}

// typedSecret is the Secret that holds what flags say: what is typed as a header
// or a variable is taken for a secret.
const typedSecret = "flags"

func withSecret(o runtime.Object, values map[string]secret.Value) (*manifest.Set, error) {
	set, err := manifest.FromObjects(o)
	if err == nil && len(values) > 0 {
		err = set.AddSecret(typedSecret, values)
	}
	return set, err
}

func (f *runFlags) local(command []string) (*manifest.Set, error) {
	if len(f.headers) > 0 || len(f.passthrough) > 0 {
		return nil, errors.New("--header and --passthrough-header are for a URL; a command takes --env")
	}
	if f.oauth.asked() {
		return nil, errors.New("the --oauth flags are for a URL; a command signs in by itself")
	}
	values, err := nameValues(f.env, "--env", func(name string) string { return name })
	if err != nil {
		return nil, err
	}
	s := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Name: f.named(filepath.Base(command[0]))}}
	s.Spec = v1alpha1.MCPServerSpec{Transport: "stdio", Audit: &v1alpha1.Audit{Enabled: f.audit || f.Audited()}}
	for _, arg := range command {
		s.Spec.Command = append(s.Spec.Command, v1alpha1.Argument(arg))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.Spec.Secrets = append(s.Spec.Secrets, v1alpha1.SecretEnv{Name: typedSecret, Key: v1alpha1.DataKey(name), TargetEnvName: v1alpha1.EnvName(name)})
	}
	return withSecret(s, values)
}

// nameValues splits NAME=VALUE arguments. A name alone takes the value from the
// environment, so that a secret need not stand on the command line.
func nameValues(args []string, flag string, envName func(string) string) (map[string]secret.Value, error) {
	out := map[string]secret.Value{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			if value, ok = os.LookupEnv(envName(name)); !ok {
				return nil, fmt.Errorf("%s %s: the environment has no %s; set it, or write %s %s=VALUE", flag, name, envName(name), flag, name)
			}
		}
		out[name] = secret.New(value)
	}
	return out, nil
}

// named is the name of the one resource: given, or made from what is run.
func (f *runFlags) named(from string) string {
	if f.name != "" {
		return f.name
	}
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(from), "-"), "-")
	if name == "" {
		return "server"
	}
	return name[:min(len(name), 63)]
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// isLocalName reports whether a host is spelled as a loopback or private address.
func isLocalName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate())
}
