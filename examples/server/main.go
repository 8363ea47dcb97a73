// Command server is the small MCP server that the examples put behind the
// gateway. It needs nothing but Go:
//
//	go run ./examples/server                        # Streamable HTTP, http://127.0.0.1:8081/mcp
//	go run ./examples/server -api-key open-sesame   # the same, for callers who show X-Api-Key
//	go run ./examples/server -sse                   # HTTP+SSE of 2024-11-05, http://127.0.0.1:8081/sse
//	go run ./examples/server -stdio                 # on standard input and output
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address to serve on")
	apiKey := flag.String("api-key", "", "answer only requests that show this key in X-Api-Key")
	sse := flag.Bool("sse", false, "serve by HTTP+SSE, the transport of 2024-11-05")
	stdio := flag.Bool("stdio", false, "serve on standard input and output instead")
	flag.Parse()
	var err error
	switch {
	case *stdio:
		if err = newServer().Run(context.Background(), &mcp.StdioTransport{}); errors.Is(err, io.EOF) {
			err = nil // whoever started it is done
		}
	case *sse:
		fmt.Fprintf(os.Stdout, "example server at http://%s/sse\n", *listen)
		err = serve(*listen, *apiKey, mcp.NewSSEHandler(always(newServer()), nil))
	default:
		fmt.Fprintf(os.Stdout, "example server at http://%s/mcp\n", *listen)
		err = serve(*listen, *apiKey, streamable(newServer()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "example server:", err)
		os.Exit(1)
	}
}

// streamable serves clients with sessions and without. The SDK has a handler for
// each.
func streamable(server *mcp.Server) http.Handler {
	sessions := mcp.NewStreamableHTTPHandler(always(server), nil)
	stateless := mcp.NewStreamableHTTPHandler(always(server), &mcp.StreamableHTTPOptions{Stateless: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28" {
			stateless.ServeHTTP(w, r)
		} else {
			sessions.ServeHTTP(w, r)
		}
	})
}

func always(server *mcp.Server) func(*http.Request) *mcp.Server {
	return func(*http.Request) *mcp.Server { return server }
}

// serve answers callers who show the key, and all if there is none.
func serve(listen, apiKey string, next http.Handler) error {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(apiKey)) == 0 && apiKey != "" {
			http.Error(w, "show the key in X-Api-Key", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
	return (&http.Server{Addr: listen, Handler: h, ReadHeaderTimeout: 10 * time.Second}).ListenAndServe()
}

func newServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "example-docs", Version: "1.0.0"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "search", Description: "Finds lines about a word in a handbook of three lines."}, search)
	mcp.AddTool(s, &mcp.Tool{Name: "headers", Description: "Lists the names of the HTTP headers that reached this server, and whose tenant the call is."}, headers)
	return s
}

const handbook = `The outer door is where the gateway learns who the client is.
The inner door is where the gateway shows the backend a credential.
Nothing that opened one door is shown at the other.`

type searchInput struct {
	Word string `json:"word" jsonschema:"what to look for"`
}

func search(_ context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, any, error) {
	var found []string
	for line := range strings.SplitSeq(handbook, "\n") {
		if strings.Contains(strings.ToLower(line), strings.ToLower(in.Word)) {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		found = []string{"nothing about " + in.Word}
	}
	return text(strings.Join(found, "\n")), nil, nil
}

// headers tells names alone: the values may be secrets of the gateway's.
func headers(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	if req.Extra == nil || req.Extra.Header == nil {
		return text("no headers: this server is spoken to on standard input"), nil, nil
	}
	var names []string
	for name := range req.Extra.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	out := "headers: " + strings.Join(names, ", ")
	if tenant := req.Extra.Header.Get("X-Tenant"); tenant != "" {
		out += "\ntenant: " + tenant
	}
	return text(out), nil, nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
