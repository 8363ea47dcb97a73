package trace_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/trace"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		parent, state string
		ok, sampled   bool
		wantState     string
	}{
		"as it is":                   {parent, "vendor=1", true, true, "vendor=1"},
		"not sampled":                {strings.TrimSuffix(parent, "01") + "00", "", true, false, ""},
		"other flags":                {strings.TrimSuffix(parent, "01") + "fe", "", true, false, ""},
		"a later version":            {"01" + parent[2:] + "-more", "", true, true, ""},
		"a later version, as long":   {"cc" + parent[2:], "", true, true, ""},
		"a later version, run on":    {"01" + parent[2:] + "more", "", false, false, ""},
		"version ff":                 {"ff" + parent[2:], "", false, false, ""},
		"this version, with more":    {parent + "-more", "", false, false, ""},
		"upper case":                 {strings.ToUpper(parent), "", false, false, ""},
		"no trace":                   {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "", false, false, ""},
		"no span":                    {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "", false, false, ""},
		"short":                      {parent[:54], "", false, false, ""},
		"empty":                      {"", "vendor=1", false, false, ""},
		"other separators":           {strings.ReplaceAll(parent, "-", "_"), "", false, false, ""},
		"no hexadecimal":             {strings.Replace(parent, "4bf9", "4bg9", 1), "", false, false, ""},
		"a state that is too long":   {parent, strings.Repeat("x", 513), true, true, ""},
		"a state that is no header":  {parent, "a=\r\nb", true, true, ""},
		"a state beyond ASCII":       {parent, "a=ü", true, true, ""},
		"a state of the full length": {parent, strings.Repeat("x", 512), true, true, strings.Repeat("x", 512)},
	} {
		c, ok := trace.Parse(tc.parent, tc.state)
		if ok != tc.ok || c.Sampled != tc.sampled || c.State != tc.wantState {
			t.Errorf("%s: %+v, %v", name, c, ok)
		}
		if ok && c.Traceparent()[:53] != "00"+tc.parent[2:53] {
			t.Errorf("%s: written as %s", name, c.Traceparent())
		}
		if !ok && c.Valid() {
			t.Errorf("%s: it is valid", name)
		}
	}
}

// Whatever is taken for a place in a trace reads the same when it is handed on.
func FuzzParse(f *testing.F) {
	f.Add(parent, "vendor=1")
	f.Add("01-"+parent[3:]+"-x", "")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, parent, state string) {
		c, ok := trace.Parse(parent, state)
		if !ok {
			return
		}
		again, ok := trace.Parse(c.Traceparent(), c.State)
		if !ok || again != c {
			t.Errorf("%q is %+v, and then %+v", parent, c, again)
		}
	})
}

func TestSamplers(t *testing.T) {
	t.Parallel()
	sampled, _ := trace.Parse(parent, "")
	not := sampled
	not.Sampled = false
	for name, tc := range map[string]struct {
		sampler, arg           string
		root, ofSampled, ofNot bool
	}{
		"as it is":              {"", "", true, true, false},
		"by parent, else all":   {"parentbased_always_on", "", true, true, false},
		"by parent, else none":  {"parentbased_always_off", "", false, true, false},
		"all":                   {"always_on", "", true, true, true},
		"none":                  {"always_off", "", false, false, false},
		"by parent, ratio of 1": {"parentbased_traceidratio", "1", true, true, false},
		"by parent, ratio of 0": {"parentbased_traceidratio", "0.0", false, true, false},
		"ratio without a value": {"traceidratio", "", true, true, true},
		"ratio of 0":            {"traceidratio", "0", false, false, false},
		// The trace above ends in a3ce929d0e0e4736: that is 0.64 of all.
		"ratio below the trace": {"traceidratio", "0.63", true, false, false},
		"ratio above the trace": {"traceidratio", "0.65", true, true, true},
	} {
		s, err := trace.ParseSampler(tc.sampler, tc.arg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tracer, _ := newTracer(t, s)
		begins := func(c trace.Context) bool { return tracer.Start(c, "x", now) != nil }
		if got := begins(sampled); got != tc.ofSampled {
			t.Errorf("%s: of a sampled parent: %v", name, got)
		}
		if got := begins(not); got != tc.ofNot {
			t.Errorf("%s: of a parent that is not sampled: %v", name, got)
		}
		if strings.HasPrefix(name, "ratio") && tc.arg != "0" && tc.arg != "" {
			continue // of a new trace it is not known
		}
		if got := begins(trace.Context{}); got != tc.root {
			t.Errorf("%s: without a parent: %v", name, got)
		}
	}
	for _, bad := range [][2]string{{"sometimes", ""}, {"jaeger_remote", ""}, {"traceidratio", "2"}, {"traceidratio", "-0.1"}, {"traceidratio", "NaN"}, {"parentbased_traceidratio", "half"}} {
		if _, err := trace.ParseSampler(bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

// About as many traces are kept as the ratio says.
func TestRatioOfManyTraces(t *testing.T) {
	t.Parallel()
	tracer, _ := newTracer(t, trace.Ratio(0.25, true))
	kept := 0
	for range 10_000 {
		if tracer.Start(trace.Context{}, "x", now) != nil {
			kept++
		}
	}
	if kept < 2200 || kept > 2800 {
		t.Errorf("%d of 10000 are kept at a ratio of 0.25", kept)
	}
}
