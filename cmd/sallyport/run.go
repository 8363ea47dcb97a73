package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// runFlags are what a manifest would say.
type runFlags struct {
	process.Flags
	name         string
	transport    string
	allowPrivate bool
	headers      []string
	passthrough  []string
	env          []string
	audit        bool
	oauth        oauthFlags
}

func newRunFlags() *runFlags {
	return &runFlags{Flags: process.Flags{Local: true}, transport: "streamable-http"}
}

func (f *runFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] URL | run [flags] -- COMMAND ARGS…",
		Short: "Serve one backend without a manifest: a remote URL, or a local stdio command",
		Example: "  sallyport run https://mcp.example.com/mcp\n" +
			"  sallyport run -- npx -y @modelcontextprotocol/server-everything",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := f.manifest(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			if err := f.oauth.ask(&f.Flags, cmd.ErrOrStderr()); err != nil {
				return err
			}
			f.TakeFreePort(cmd.Flags(), cmd.ErrOrStderr())
			src := process.Source{Load: func() (*manifest.Set, error) { return set, nil }}
			return inFlags(process.Serve(cmd.Context(), &f.Flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(at string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "\n  MCP endpoint: %s/mcp\n", at)
				if f.AdminListen == "" {
					fmt.Fprint(cmd.ErrOrStderr(), "  For metrics, add --admin-listen 127.0.0.1:9090\n")
				}
				fmt.Fprintln(cmd.ErrOrStderr())
			}))
		},
	}
	f.register(cmd)
	return cmd
}

func (f *runFlags) register(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if args := cmd.Flags().Args(); len(args) > 0 && cmd.ArgsLenAtDash() < 0 && !isURL(args[0]) { // the flag may be the command's
			return process.UsageError{Err: notURL(args)}
		}
		return process.FlagError(cmd.Flags(), err)
	})
	fs := cmd.Flags()
	f.Register(fs)
	f.oauth.register(cmd)
	process.Group(fs, "Signing in to the URL's server")
	fs.StringVar(&f.name, "name", "", "name of the server in paths, log and metrics (default from the URL or command)")
	f.registerRemote(fs)
	fs.StringSliceVar(&f.passthrough, "passthrough-header", nil, "name of a client header to pass to the URL's server")
	fs.StringArrayVar(&f.env, "env", nil, "NAME=VALUE for the command's environment; NAME alone takes it from this one")
	fs.BoolVar(&f.audit, "audit", false, "write audit events; --audit-file and --audit-otlp-endpoint ask for them, too")
}

// registerRemote adds the flags about the URL's server.
func (f *runFlags) registerRemote(fs *pflag.FlagSet) {
	process.ChoiceVar(fs, &f.transport, "transport", "", "how the URL speaks: streamable-http or sse", "streamable-http", "sse")
	fs.BoolVar(&f.allowPrivate, "allow-private-endpoint", false, "let the URL be on a private address of your network, plain http included; a loopback address needs no leave")
	fs.StringArrayVar(&f.headers, "header", nil, "NAME=VALUE sent to the URL's server; NAME alone takes the value from the environment variable of that name, hyphens as underscores")
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
	case dash > 0:
		err = fmt.Errorf("run takes a URL or a command, and not both; leave out %q or what is behind --", args[0])
	case !isURL(args[0]):
		err = notURL(args)
	case len(args) > 1:
		err = fmt.Errorf("run takes one URL, and no argument %q; for several servers write manifests: sallyport serve -f FOLDER", args[1])
	default:
		set, err = f.remote(args[0])
	}
	if err != nil {
		return nil, process.UsageError{Err: inFlags(err)}
	}
	return set, inFlags(strict.Validate(set).Err())
}

func (f *runFlags) remote(address string) (*manifest.Set, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("%q is not a URL; write it like https://mcp.example.com/mcp", address)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q must begin with https:// or http://", address)
	case len(f.env) > 0:
		return nil, errors.New("--env is for a command; the server at a URL takes --header")
	}
	u.Host = strings.ToLower(u.Host)
	local := netguard.IsLocalName(u.Hostname()) // a person typed it
	if u.Scheme == "http" && !local && !f.allowPrivate {
		return nil, fmt.Errorf("%s is plain http: use https://, or, for a private address of your network, --allow-private-endpoint", u.Redacted())
	}
	p := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: cmp.Or(f.name, nameOfHost(u))}}
	p.Spec = v1alpha1.MCPRemoteProxySpec{
		Remote:    v1alpha1.Remote{RemoteURL: v1alpha1.RemoteURL(u.String()), AllowPrivateEndpoint: local || f.allowPrivate},
		Transport: f.transport,
		Serving:   v1alpha1.Serving{Audit: &v1alpha1.Audit{Enabled: f.audit || f.Audited()}},
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
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fmt.Errorf("%s cannot be run: %w; is it installed, and spelled like this?", command[0], errors.Unwrap(err))
	}
	s := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Name: cmp.Or(f.name, nameOfCommand(command))}}
	s.Spec = v1alpha1.MCPServerSpec{Transport: "stdio", Serving: v1alpha1.Serving{Audit: &v1alpha1.Audit{Enabled: f.audit || f.Audited()}}}
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
