package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/chromium"
)

// recordBackend is a real server, and all that reaches it.
func recordBackend(t *testing.T) *testkit.Recorder {
	t.Helper()
	backend := testkit.StartBackend(t, testkit.Dual)
	backend.Server.AddTool(&mcp.Tool{
		Name: "repeat", Description: "Says a text again", InputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}}}`),
	}, func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(req.Params.Arguments)}}}, nil
	})
	at, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a gateway that waits no longer is no trouble of it
	return testkit.Record(t, proxy.ServeHTTP)
}

// Every page that the demo shows is one that everybody can use, by keyboard alone and without
// a script: the address of a server opened in a browser, the choice of who one is, the page
// of the person, a sign-in that cannot go on.
func TestPagesOfTheDemo(t *testing.T) {
	t.Parallel()
	g := testkit.Start(t, "demo", "--sign-in", "--listen", testkit.FreeAddress(t))
	g.Stdout.WaitFor(t, "for people who sign in:  "+g.MCP())
	at := strings.TrimSuffix(g.MCP(), "/mcp")
	at, _, _ = strings.Cut(at, "/servers/")
	browser := chromium.Start(t)
	browser.WithoutScript(t)
	by := byKeyboard{t, browser}
	browser.Open(t, g.MCP())
	by.sees("It is for programs")
	looksRight(t, browser, "welcome")
	browser.Open(t, at+"/oauth/connections")
	by.sees("Sign in to see which applications")
	looksRight(t, browser, "sign-in")
	by.to("button[value=login]")
	browser.Press(t, chromium.Enter)
	by.sees("Who are you?")
	looksRight(t, browser, "demo-who")
	by.to("button[value=alice]")
	browser.Press(t, chromium.Enter)
	by.sees("You are signed in as", "Servers you may use")
	looksRight(t, browser, "person")
	by.to("a[href*=server]")
	browser.Press(t, chromium.Enter)
	by.sees("received_headers")
	looksRight(t, browser, "person-tools")
	browser.Open(t, at+"/oauth/authorize?client_id=nobody")
	looksRight(t, browser, "cannot-go-on")
}

// The page that a console shows to whom it does not know is as good as the others.
func TestPagesOfRefusals(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", "http://127.0.0.1:1/mcp"))
	at, err := url.Parse(g.Admin)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(at)) // which says for whom it asks
	t.Cleanup(proxy.Close)
	browser := chromium.Start(t)
	browser.Open(t, proxy.URL+"/console")
	if text := browser.Text(t); !strings.Contains(text, "The console is for this machine") {
		t.Errorf("from elsewhere: %s", text)
	}
	looksRight(t, browser, "console-refusal")
}
