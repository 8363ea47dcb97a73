package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/doctor/inside"
	"github.com/sallyport-dev/sallyport/internal/doctor/outside"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/ownfile"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// doctorFlags are those of the command.
type doctorFlags struct {
	process.Flags     // of serve, as far as files and limits go: they are part of a deployment
	manifests         manifest.Reader
	tokenFile, output string
	quick             bool
	replicas          []string
}

// tokenVariable is where a token for the doctor is looked for, so that none stands on a
// command line.
const tokenVariable = "SALLYPORT_TOKEN"

// watched is how long a stream is: a little longer than most proxies wait for one that is silent.
const watched = 65 * time.Second

func doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [flags] URL | doctor -f FILE-OR-FOLDER … [flags] [URL]",
		Short: "Say what is wrong with a deployment, and what to change",
		Long: "Looks at a gateway through its public URL, as clients do, and with -f at its manifests and at all that they name.\n" +
			"It says of each thing whether it is as it should be, what it means if not, and which line of which file,\n" +
			"or which setting, to change. It changes nothing, and signs nobody in.\n" +
			"With a token in the variable " + tokenVariable + " it looks at what callers get, too.\n" +
			"Exit code 0: nothing is wrong, but for warnings; 1: something fails; 2: wrong usage.",
		Example: "  sallyport doctor https://gw.example.com/servers/docs/mcp\n" +
			"  sallyport doctor -f manifests https://gw.example.com/servers/docs/mcp",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			look, err := f.looks(args)
			if err != nil {
				return process.UsageError{Err: err}
			}
			return f.examine(cmd, look)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	manifestFlags(cmd, &f.manifests)
	fs.StringVar(&f.tokenFile, "token-file", "", "file with a token that lets a caller in, in place of the variable "+tokenVariable)
	fs.BoolVar(&f.quick, "quick", false, "leave out what takes a minute: whether streams stay open")
	fs.StringArrayVar(&f.replicas, "replica", nil, "with -f: URL of the endpoint at one replica, or of its admin address; may be repeated, to compare them")
	outputFlag(cmd, &f.output)
	process.Group(fs, "What to look at")
	var serve pflag.FlagSet
	f.Register(&serve)
	for _, name := range []string{"public-url", "max-body-bytes", "max-in-flight", "store", "store-key-file", "session-key-file", "admin-token-file", "audit-key-file", "tls-key"} {
		flag := *serve.Lookup(name)
		flag.Annotations = nil
		fs.AddFlag(&flag)
	}
	process.Group(fs, "As the gateway is started")
	return cmd
}

// looks is what there is to look at.
func (f *doctorFlags) looks(args []string) (func(context.Context, *doctor.Report), error) {
	var u *url.URL
	var err error
	switch {
	case len(args) == 1:
		if u, err = endpointURL(args[0]); err != nil {
			return nil, err
		}
	case len(args) > 1 || len(f.manifests.Paths) == 0:
		return nil, errors.New("say which gateway to look at, by the URL that clients have, like https://gw.example.com/servers/docs/mcp, or by its manifests with -f FILE-OR-FOLDER")
	}
	if len(f.replicas) > 0 && len(f.manifests.Paths) == 0 {
		return nil, errors.New("--replica needs the manifests, with -f FILE-OR-FOLDER")
	}
	for _, path := range f.manifests.Paths {
		if _, err := os.Stat(path); path != "-" && err != nil {
			return nil, fmt.Errorf("-f: %w", err)
		}
	}
	from, err := f.outside(u)
	if err != nil {
		return nil, err
	}
	in, err := f.inside(u)
	if err != nil {
		return nil, err
	}
	in.Token = from.Token
	return func(ctx context.Context, r *doctor.Report) {
		if len(f.manifests.Paths) > 0 {
			set, plans, problems, _ := check(&f.manifests)
			problems, advice := split(problems, false)
			for _, p := range plans {
				advice = append(advice, p.Advice...)
			}
			advice = append(advice, strict.Advice(set)...)
			inside.Examine(ctx, set, problems, advice, in, r)
			if u != nil && len(problems) == 0 {
				from.Known = inside.Known(set, u)
			}
		}
		if u != nil && ctx.Err() == nil {
			outside.Examine(ctx, from, r)
		}
	}, nil
}

// endpointURL reads the address of an endpoint, as clients have it.
func endpointURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not a URL; write it like https://gw.example.com/servers/docs/mcp", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s must have no user, query or fragment; write it as clients have it", netguard.Place(u))
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// outside is how the gateway at a URL is looked at.
func (f *doctorFlags) outside(u *url.URL) (outside.Options, error) {
	o := outside.Options{URL: u, Alive: watched}
	o.MaxBody, _ = f.Limits()
	if f.quick {
		o.Alive = 0
	}
	token := os.Getenv(tokenVariable)
	if f.tokenFile != "" {
		if err := ownfile.Check(f.tokenFile, ownfile.Unchanged); err != nil {
			return o, fmt.Errorf("--token-file: %w", err)
		}
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return o, fmt.Errorf("--token-file: %w", err)
		}
		token = string(text)
	}
	if token = strings.TrimSpace(token); strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return o, errors.New("the token has characters that no token has")
	}
	if token != "" {
		o.Token = secret.New(token)
	}
	var err error
	o.Proxies, err = netguard.ReadProxies(os.LookupEnv)
	return o, err
}

// inside is how manifests, and what they name, are looked at.
func (f *doctorFlags) inside(u *url.URL) (inside.Options, error) {
	o := inside.Options{URL: u, PublicURL: f.PublicURL(), SecretFiles: f.SecretFiles(), StoreFile: f.StoreFile(), Secrets: f.manifests.Secrets}
	_, o.MaxInFlight = f.Limits()
	for _, text := range f.replicas {
		replica, err := endpointURL(text)
		if err != nil {
			return o, fmt.Errorf("--replica: %w", err)
		}
		o.Replicas = append(o.Replicas, replica)
	}
	var err error
	if o.Redis, o.StoreKeys, err = f.Redis(os.LookupEnv); err != nil {
		return o, err
	}
	if len(f.replicas) > 0 {
		if o.AdminToken, err = f.AdminToken(os.LookupEnv); err != nil {
			return o, err
		}
	}
	o.Asking, err = asking()
	return o, err
}

// examine has a report made, and writes it as it grows.
func (f *doctorFlags) examine(cmd *cobra.Command, look func(context.Context, *doctor.Report)) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := &doctor.Report{Working: func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "sallyport:", text) }}
	if f.output == "text" {
		r.Told = func(found doctor.Finding) { fmt.Fprint(cmd.OutOrStdout(), found) }
	}
	look(ctx, r)
	if ctx.Err() != nil {
		return errors.New("interrupted before everything was looked at")
	}
	if f.output == "json" {
		if err := r.WriteJSON(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	switch {
	case r.Count(doctor.Failure) > 0:
		return errors.New(r.Summary())
	case f.output == "text":
		fmt.Fprintln(cmd.OutOrStdout(), r.Summary())
	}
	return nil
}
