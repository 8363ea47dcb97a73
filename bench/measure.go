package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// measure runs everything that was asked for and prints tables as they are done.
func measure(ctx context.Context, o *options) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.issuer, err = newIssuer(); err != nil {
		return err
	}
	defer o.issuer.close()
	if o.pair, err = newCertificate(dir); err != nil {
		return err
	}
	stub, err := startStub(dir)
	if err != nil {
		return err
	}
	defer stub.stop()
	secure, err := startStub(dir, o.pair.cert, o.pair.key)
	if err != nil {
		return err
	}
	defer secure.stop()

	var targets []*target
	for _, name := range o.targets {
		t, err := newTarget(name, backends{newClient(stub.url).host, newClient(secure.url).host}, dir, o)
		if err != nil {
			return err
		}
		if t.argv == nil {
			t.pids = stub.pids
		}
		targets = append(targets, t)
	}
	if err := measureCalls(ctx, targets, stub, secure, o); err != nil {
		return err
	}
	if o.memory > 0 {
		if err := measureMemory(ctx, targets, o); err != nil {
			return err
		}
	}
	if o.strangers > 0 {
		if err := measureStrangers(ctx, targets, o); err != nil {
			return err
		}
	}
	if o.startups > 0 {
		return measureStarts(ctx, targets, o)
	}
	return nil
}

// startStub starts the backend; with a certificate and its key, one with TLS.
func startStub(dir string, pair ...string) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	stub := &target{
		name: "stub", url: "http://" + port + "/mcp",
		argv: append([]string{self, "stub", port}, pair...), log: filepath.Join(dir, "stub.log"),
	}
	if pair != nil {
		stub.url = "https://" + port + "/mcp"
	}
	_, err = stub.start(context.Background())
	return stub, err
}

// measureCalls gives every target its turn in every round, so that what else the
// machine does meets all of them alike.
func measureCalls(ctx context.Context, targets []*target, stub, secure *target, o *options) error {
	defer stopAll(targets)
	for _, t := range targets {
		if _, err := t.start(ctx); err != nil {
			return err
		}
	}
	var results []result
	for round := 1; round <= o.rounds; round++ {
		for _, s := range o.scenarios {
			for _, n := range o.conc {
				for i := range targets {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					t := targets[(i+round)%len(targets)]
					if !s.concerns(t) {
						continue
					}
					profiled := profileCPU(t, fmt.Sprintf("%s-%s-%d", t.name, s.name, n), o)
					r := load(t, stubOf(t, stub, secure), s, n, o)
					if err := profiled(); err != nil {
						return err
					}
					r.Round = round
					results = append(results, r)
					if err := note(o.out, r); err != nil {
						return err
					}
					fmt.Fprintf(os.Stderr, "round %d %-13s c=%-3d %-10s %7.1f us CPU %8.0f calls/s %s\n",
						round, s.name, n, t.name, r.CPU, r.CallsPerSecond, r.FirstError)
				}
			}
		}
	}
	reportCalls(results, o)
	return nil
}

// stubOf is the backend as a party of its own: for the direct target the two are
// one, and its time must not count twice.
func stubOf(t, stub, secure *target) *target {
	switch {
	case t.argv == nil:
		return t
	case t.tls:
		return secure
	}
	return stub
}

// concerns tells whether a target is measured with the scenario.
func (s scenario) concerns(t *target) bool {
	return s.tls == t.tls && (t.token == "" || s.guarded) && (s.members == 0 || s.members == t.members)
}

func stopAll(targets []*target) {
	for _, t := range targets {
		t.stop()
	}
}

// measureStarts times from starting the process to the first answer, and looks at
// its memory a moment later.
func measureStarts(ctx context.Context, targets []*target, o *options) error {
	var rows []startRow
	for _, t := range targets {
		if t.argv == nil || t.special() {
			continue
		}
		row := startRow{target: t.name}
		for range o.startups {
			took, err := t.start(ctx)
			if err != nil {
				return err
			}
			row.took = append(row.took, micros(took)/1000)
			row.cpu = append(row.cpu, micros(cpu(t.pids))/1000)
			time.Sleep(time.Second) // what was needed to start only is given back
			rss, pss := memory(t.pids)
			row.rss, row.pss = append(row.rss, rss), append(row.pss, pss)
			t.stop()
		}
		rows = append(rows, row)
	}
	reportStarts(rows)
	return nil
}

// note appends a measurement to the file, if there is one.
func note(file string, v any) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(v)
}
