package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file holds what the real clients are driven through, whichever SDK they are of.

// sight is one of everything, as a client saw it. e2e/js/client.mjs prints it as JSON.
type sight struct {
	Server       string
	Instructions string
	Revision     string
	Tools        []string
	Prompts      []string
	Resources    []string
	Prompt       string
	Read         string
	Completion   []string
	Echo         string
	Failed       bool
	Unknown      int // code of the error for a tool that is not there
	Greet        string
	Think        string
	Count        string
	Progress     []float64
	Updated      string // URI in the notification
	ListChanged  bool
	Cancelled    string
}

// odd is a text that a careless proxy changes: other scripts, an astral character, a line separator.
const odd = "grüße 😀\u2028"

// check compares what a client saw with what [testkit.Backend] shows.
func (got sight) check(t *testing.T, revision string) {
	t.Helper()
	want := sight{
		Server:       "testkit",
		Instructions: "A server for tests.",
		Revision:     revision,
		Tools:        []string{"count", "echo", "fail", "greet", "grow", "think", "touch", "wait"},
		Prompts:      []string{"hello"},
		Resources:    []string{testkit.WatchedResource},
		Prompt:       "Hello, Ada",
		Read:         "watched",
		Completion:   []string{"one", "two"},
		Echo:         odd,
		Failed:       true,
		Unknown:      -32602,
		Greet:        "Hello, Ada!",
		Think:        "The model said: hm",
		Count:        "counted",
		Progress:     []float64{1, 2, 3},
		Updated:      testkit.WatchedResource,
		ListChanged:  true,
		Cancelled:    "rejected",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the client saw (-want +got):\n%s", diff)
	}
}

// place is where a client finds a backend, and the test what happens at it.
type place struct {
	url    string // for Streamable HTTP
	sse    string // for HTTP+SSE
	ws     string // for WebSocket
	events *testkit.Output
}

// findPlace opens one of the ways to a backend: direct, which shows that a failure is not
// the backend's or the client's own, and behind a gateway that reaches it over
// each transport.
func findPlace(t *testing.T, way string, era testkit.Era) place {
	t.Helper()
	if way == "stdio" {
		g := testkit.Start(t, append([]string{"run", "--"}, testkit.StdioBackend(t)...)...)
		return place{g.MCP(), g.SSE(), g.URL + "/ws", g.Stderr} // of every era; the events are in the gateway's log, as all that a command writes to stderr
	}
	b := testkit.StartBackend(t, era)
	switch way {
	case "direct":
		return place{b.URL, b.SSE, "", b.Events}
	case "http":
		g := testkit.Start(t, "run", b.URL)
		return place{g.MCP(), g.SSE(), g.URL + "/ws", b.Events}
	case "sse":
		g := testkit.Start(t, "run", "--transport", "sse", b.SSE)
		return place{g.MCP(), g.SSE(), g.URL + "/ws", b.Events}
	}
	t.Fatalf("there is no way %q to a backend", way)
	return place{}
}

// route is one row of the tables of clients: a client, the ways that it can go, the revision that comes out.
type route struct {
	client   string
	era      testkit.Era
	ways     string
	revision string
}

// follow runs a client on each way of each route. The client is called with the URL it is for.
func follow(t *testing.T, routes []route, run func(t *testing.T, client, url string, events *testkit.Output) sight) {
	t.Helper()
	for _, r := range routes {
		for way := range strings.FieldsSeq(r.ways) {
			t.Run(r.client+"/"+r.revision+"/"+way, func(t *testing.T) {
				t.Parallel()
				p := findPlace(t, way, r.era)
				url := p.url
				switch {
				case strings.HasSuffix(r.client, "sse"):
					url = p.sse
				case strings.HasSuffix(r.client, "ws"):
					url = p.ws
				}
				run(t, r.client, url, p.events).check(t, r.revision)
			})
		}
	}
}
