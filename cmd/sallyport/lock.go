package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/toollock"
)

func lockCommand() *cobra.Command {
	var r manifest.Reader
	var out string
	var compare bool
	cmd := &cobra.Command{
		Use:   "lock -f FILE-OR-FOLDER …",
		Short: "Write down what the tools of the servers are, so that changes are noticed",
		Long: "Asks the servers of the manifests for their tools, as the gateway would that serves them, and writes\n" +
			"a ConfigMap with a hash of each tool. spec.toolLock names it. Who reviews a change of it reviews the tools.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(r.Paths) == 0 {
				return process.NoFiles()
			}
			set, err := load(&r)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			all, err := listTools(ctx, set)
			if err != nil {
				return err
			}
			if compare {
				return compareLocks(cmd.OutOrStdout(), cmd.ErrOrStderr(), all)
			}
			return writeLocks(cmd.OutOrStdout(), cmd.ErrOrStderr(), all, out)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	manifestFlags(cmd, &r)
	fs.StringVar(&out, "out", "", "file to write; standard output if left out")
	fs.BoolVar(&compare, "compare", false, "say how the tools differ from the lock that there is instead, and fail if they do")
	return cmd
}

// listTools asks the servers, with what this machine has of the gateway's own accounts.
func listTools(ctx context.Context, set *manifest.Set) ([]compile.Locked, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	opts, err := asking()
	if err != nil {
		return nil, err
	}
	return compile.ListTools(ctx, set, opts)
}

// asking are the options of who asks servers and serves nobody.
func asking() (compile.Options, error) {
	ring, err := seal.NewRing()
	if err != nil {
		return compile.Options{}, err
	}
	usual := gateway.DefaultOptions()
	opts := compile.Options{
		Limits:  backend.Limits{AnswerTimeout: 20 * time.Second, MaxAnswerBytes: usual.MaxAnswer, MaxEventBytes: usual.MaxEventBytes},
		Message: usual.Message, Ring: ring, Store: store.NewMemory(), Audit: audit.Discard{}, Metrics: telemetry.NewMetrics(""),
		Log: slog.New(slog.DiscardHandler), Checking: true,
		Resource:  func(compile.Name) func(string) (string, bool) { return nil },
		Address:   func(compile.Name) func(*http.Request) string { return nil },
		Endpoints: func(compile.Name) func() []authserver.Endpoint { return nil },
		Events:    func(compile.Name) audit.Sink { return audit.Discard{} },
	}
	if vault, err := signIns(); err == nil {
		opts.Accounts.Vault = vault
	}
	opts.Proxies, err = netguard.ReadProxies(os.LookupEnv)
	return opts, err
}

// notListed tells of servers that could not be asked, or not as a caller would.
func notListed(w io.Writer, all []compile.Locked) (failed []string) {
	for _, l := range all {
		switch {
		case l.Err != nil && l.Callers:
			fmt.Fprintf(w, "sallyport: %s shows its tools to callers only, whose credential a lock has not: %v\n", l.Server, l.Err)
		case l.Err != nil:
			fmt.Fprintf(w, "sallyport: %s cannot be asked for its tools: %v\n", l.Server, l.Err)
		case l.Callers:
			fmt.Fprintf(w, "sallyport: %s was asked without a caller; tools that it shows to some callers alone are not in the lock\n", l.Server)
		}
		if l.Err != nil {
			failed = append(failed, l.Server)
		}
	}
	return failed
}

func notAsked(failed []string) error {
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("not asked: %s; what was locked of them before stays", strings.Join(failed, ", "))
}

// compareLocks says how tools differ from what was locked.
func compareLocks(w, errs io.Writer, all []compile.Locked) error {
	failed := notListed(errs, all)
	differ := 0
	say := func(server, tool, change string) {
		differ++
		fmt.Fprintln(w, server, tool, change)
	}
	for _, l := range all {
		if l.Err != nil || l.Lock == nil {
			continue
		}
		names := slices.Collect(maps.Keys(l.Was))
		for name := range l.Tools {
			if _, ok := l.Was[name]; !ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			was, before := l.Was[name]
			now, there := l.Tools[name]
			switch {
			case !there:
				say(l.Server, name, toollock.Gone)
			case !before:
				say(l.Server, name, toollock.Added(&now))
			default:
				if change := was.Changes(&now); change != "" {
					say(l.Server, name, change)
				}
			}
		}
	}
	if differ > 0 {
		return fmt.Errorf("%s; look at them, and run sallyport lock to accept them", count(differ, "difference"))
	}
	return notAsked(failed)
}

// writeLocks writes a ConfigMap for each that the manifests name; one for all servers
// where they name none.
func writeLocks(w, errs io.Writer, all []compile.Locked, out string) error {
	failed := notListed(errs, all)
	type place struct{ name, key string }
	locks := map[place]toollock.Lock{}
	named := slices.ContainsFunc(all, func(l compile.Locked) bool { return l.Lock != nil })
	n := 0
	for _, l := range all {
		at := place{"tool-lock", "tools.lock"}
		if l.Lock != nil {
			at = place{l.Lock.Name, l.Lock.Key}
		} else if named {
			continue
		}
		tools := l.Tools
		if l.Err != nil {
			if tools = l.Was; tools == nil {
				continue
			}
		}
		if locks[at] == nil {
			locks[at] = toollock.Lock{}
		}
		locks[at][l.Server], n = tools, n+len(tools)
	}
	if len(locks) == 0 {
		return errors.Join(errors.New("no tools to lock"), notAsked(failed))
	}
	places := slices.SortedFunc(maps.Keys(locks), func(a, b place) int { return strings.Compare(a.name+"\x00"+a.key, b.name+"\x00"+b.key) })
	var b strings.Builder
	for i, at := range places {
		if i == 0 || at.name != places[i-1].name {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n", at.name)
		}
		fmt.Fprintf(&b, "  %s: |\n", at.key)
		for line := range strings.Lines(locks[at].Format()) {
			b.WriteString("    " + line)
		}
	}
	text := strings.TrimPrefix(b.String(), "---\n")
	if out == "" {
		_, err := io.WriteString(w, text)
		return errors.Join(err, notAsked(failed))
	}
	if err := replaceFile(out, text); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s locked in %s\n", count(n, "tool"), out)
	if !named {
		fmt.Fprintf(w, "to hold them to it, add to their resources: spec: {toolLock: {configMapRef: {name: %s}}}\n", places[0].name)
	}
	return notAsked(failed)
}

// replaceFile writes a file such that nobody who watches it reads half of it.
func replaceFile(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".sallyport-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
