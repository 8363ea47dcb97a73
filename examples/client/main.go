// Command client is an MCP client of the official Go SDK. It says whom it has
// reached, and calls one tool:
//
//	go run ./examples/client http://127.0.0.1:8080/mcp
//	go run ./examples/client http://127.0.0.1:8080/mcp search '{"word":"inner"}'
//	go run ./examples/client -H 'X-Tenant: blue' http://127.0.0.1:8080/mcp headers
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	header := http.Header{}
	flag.Func("H", "`Name: value` of a header to send; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if !ok {
			return errors.New("write it as Name: value")
		}
		header.Add(name, strings.TrimSpace(value))
		return nil
	})
	revision := flag.String("protocol", "", "revision to speak; the newest that both know when left out")
	sse := flag.Bool("sse", false, "speak HTTP+SSE, the transport of 2024-11-05")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: client [flags] URL [TOOL [ARGUMENTS]]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	web := &http.Client{Transport: withHeader{header, &http.Transport{}}}
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: flag.Arg(0), HTTPClient: web}
	if *sse {
		transport = &mcp.SSEClientTransport{Endpoint: flag.Arg(0), HTTPClient: web}
	}
	if err := run(transport, *revision, flag.Arg(1), flag.Arg(2)); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(transport mcp.Transport, revision, tool, arguments string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "example-client", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		return err
	}
	defer session.Close()
	if tool != "" {
		return call(ctx, session, tool, arguments)
	}
	is := session.InitializeResult()
	fmt.Fprintf(os.Stdout, "server: %s, protocol: %s\n", is.ServerInfo.Name, is.ProtocolVersion)
	for t, err := range session.Tools(ctx, nil) {
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "tool: %s\n", t.Name)
	}
	return nil
}

func call(ctx context.Context, session *mcp.ClientSession, tool, arguments string) error {
	params := &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}}
	if arguments != "" {
		params.Arguments = json.RawMessage(arguments)
	}
	res, err := session.CallTool(ctx, params)
	if err != nil {
		return err
	}
	for _, c := range res.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			fmt.Fprintln(os.Stdout, t.Text)
		}
	}
	if res.IsError {
		return errors.New("the tool failed")
	}
	return nil
}

// withHeader adds headers to every request.
type withHeader struct {
	header http.Header
	next   http.RoundTripper
}

func (t withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range t.header {
		r.Header[name] = values
	}
	return t.next.RoundTrip(r)
}
