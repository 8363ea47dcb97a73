package main

import (
	"context"
	"testing"
	"time"
)

// TestScenariosWork makes every call for a moment, straight and through the
// reference proxy: a bench whose calls fail measures nothing.
func TestScenariosWork(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	stub, proxy := address(t), address(t)
	ended := make(chan error, 2)
	go func() { ended <- serveStub(ctx, stub) }()
	go func() { ended <- serveProxy(ctx, proxy, "http://"+stub) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	o := &options{dur: 50 * time.Millisecond}
	direct := &target{name: "direct", url: "http://" + stub + "/mcp"}
	for _, target := range []*target{direct, {name: "rp", url: "http://" + proxy + "/mcp"}} {
		for target.call() != nil { // until it listens
			time.Sleep(time.Millisecond)
		}
		for _, s := range scenarios() {
			if r := load(target, direct, s, 2, o); r.Calls == 0 || r.Errors > 0 {
				t.Errorf("%s of %s: %d calls, %d errors: %s", s.name, target.name, r.Calls, r.Errors, r.FirstError)
			}
		}
		if _, err := measureSessions(target, 20, time.Millisecond, func(string) error { return nil }); err != nil {
			t.Errorf("sessions of %s: %v", target.name, err)
		}
	}
}

func address(t *testing.T) string {
	t.Helper()
	a, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-targets", "nginx,apache"},
		{"-scenarios", "call-huge"},
		{"-c", "16,many"},
		{"-c", "0"},
		{"-rounds", "0"},
		{"now"},
	} {
		if o, err := parseOptions(args); err == nil {
			t.Errorf("%q is taken: %+v", args, o)
		}
	}
	o, err := parseOptions([]string{"-targets", "nginx,sallyport", "-c", "1,64"})
	if err != nil || len(o.targets) != 2 || len(o.conc) != 2 || len(o.scenarios) != len(scenarios()) {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(tc.in); got != tc.want {
			t.Errorf("median of %v: %v, want %v", tc.in, got, tc.want)
		}
	}
}
