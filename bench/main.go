// The bench programme measures what a call through Sallyport costs, beside nginx
// and a bare Go reverse proxy in the same run. README.md says how to read it.
//
//	go run ./bench                            # everything, some eight minutes
//	go run ./bench -targets nginx,sallyport -scenarios call-small -memory 0 -startup 0
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	// The bench starts itself again for the parts that need a process of their own.
	switch {
	case len(args) == 2 && args[0] == "stub":
		return on(args[1], func(l net.Listener) error { return serveStub(ctx, l) })
	case len(args) == 4 && args[0] == "stub":
		return on(args[1], func(l net.Listener) error {
			secure, err := certificate{args[2], args[3]}.serving(l)
			if err != nil {
				return err
			}
			return serveStub(ctx, secure)
		})
	case len(args) == 3 && args[0] == "proxy":
		return on(args[1], func(l net.Listener) error { return serveProxy(ctx, l, args[2]) })
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	return measure(ctx, o)
}

// on serves at an address.
func on(address string, serve func(net.Listener) error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return serve(l)
}

// options are the command line.
type options struct {
	targets   []string
	scenarios []scenario
	conc      []int
	rounds    int
	warm, dur time.Duration
	memory    int // sessions and streams to open; 0 leaves the table out
	startups  int // starts to time; 0 leaves the table out
	strangers int // connections without a token; 0 leaves the table out
	sallyport string
	out       string
	issuer    *issuer
	pair      certificate
	profiles  string // folder for profiles of sallyport; "" for none
}

func parseOptions(args []string) (*options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	targets := fs.String("targets", strings.Join(targetNames(), ","), "what to measure")
	scenarios := fs.String("scenarios", strings.Join(scenarioNames(), ","), "which calls to make")
	conc := fs.String("c", "16", "how many clients at a time; several numbers give a table each")
	fs.IntVar(&o.rounds, "rounds", 3, "how often each target has its turn; tables show medians")
	fs.DurationVar(&o.warm, "warm", 500*time.Millisecond, "load before each measurement")
	fs.DurationVar(&o.dur, "d", 2*time.Second, "length of each measurement")
	fs.IntVar(&o.memory, "memory", 1000, "sessions and streams to open for the memory table; 0: leave it out")
	fs.IntVar(&o.startups, "startup", 5, "starts to time; 0: leave it out")
	fs.IntVar(&o.strangers, "strangers", 60, "connections of strangers, who try to fill the memory; 0: leave it out")
	fs.StringVar(&o.sallyport, "sallyport", "bin/sallyport", "the binary to measure")
	fs.StringVar(&o.out, "out", "", "also append every measurement to this file, as JSON lines")
	fs.StringVar(&o.profiles, "profiles", "", "also write CPU and heap profiles of sallyport to this folder (they cost CPU themselves)")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	for name := range strings.SplitSeq(*targets, ",") {
		if !slices.Contains(targetNames(), name) {
			return nil, fmt.Errorf("unknown target %q: there are %s", name, strings.Join(targetNames(), ", "))
		}
		o.targets = append(o.targets, name)
	}
	for name := range strings.SplitSeq(*scenarios, ",") {
		s, ok := scenarioNamed(name)
		if !ok {
			return nil, fmt.Errorf("unknown scenario %q: there are %s", name, strings.Join(scenarioNames(), ", "))
		}
		o.scenarios = append(o.scenarios, s)
	}
	for text := range strings.SplitSeq(*conc, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-c %q: want positive numbers", text)
		}
		o.conc = append(o.conc, n)
	}
	if o.rounds < 1 || o.dur <= 0 {
		return nil, errors.New("-rounds and -d must be positive")
	}
	return &o, nil
}
