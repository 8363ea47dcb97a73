package main

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestScenariosWork makes every call for a moment, straight and through the
// reference proxy: a bench whose calls fail measures nothing.
func TestScenariosWork(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	stub, proxy := listen(t), listen(t)
	ended := make(chan error, 2)
	go func() { ended <- serveStub(ctx, stub) }()
	go func() { ended <- serveProxy(ctx, proxy, "http://"+stub.Addr().String()) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	direct := &target{name: "direct", url: "http://" + stub.Addr().String() + "/mcp"}
	for _, target := range []*target{direct, {name: "rp", url: "http://" + proxy.Addr().String() + "/mcp"}} {
		for _, s := range scenarios() {
			if s.members > 0 {
				continue // the stub is no virtual server
			}
			r, o := result{}, &options{dur: 50 * time.Millisecond}
			for ; r.Calls == 0 && r.Errors == 0; o.dur *= 2 { // on a busy machine a moment may be too short for a call
				r = load(target, direct, s, 2, o)
			}
			strict := target == direct || s.atLeast < bigResult // errors of the proxy are no accident there: golang/go#40747
			if r.Calls == 0 || r.Errors > 0 && strict {
				t.Errorf("%s of %s: %d calls, %d errors: %s", s.name, target.name, r.Calls, r.Errors, r.FirstError)
			}
		}
		if _, err := measureSessions(target, 20, time.Millisecond, func(string) error { return nil }); err != nil {
			t.Errorf("sessions of %s: %v", target.name, err)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
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
