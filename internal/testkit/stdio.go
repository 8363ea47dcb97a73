package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// stdioVariable in the environment makes [Main] serve a backend on stdio instead of running tests: the
// [Backend] for "sdk", of one revision for "sdkREVISION", or the one of [EchoBackend], whose odd result is the value.
const stdioVariable = "SALLYPORT_TESTKIT_STDIO"

// StdioBackend is the command line of a [Backend] on stdio, which is the
// test's own program once more. Its events go to its stderr.
func StdioBackend(t testing.TB) []string {
	t.Helper()
	return stdioCommand(t, "sdk")
}

// StdioBackendOf is StdioBackend for a backend that speaks one revision and no other.
func StdioBackendOf(t testing.TB, revision string) []string {
	t.Helper()
	return stdioCommand(t, "sdk"+revision)
}

// EchoBackend is the command line of a backend on stdio that knows nothing of
// what it is asked: it answers initialize, and everything else with
// {"odd":ODD,"heard":"THE REQUEST AS IT CAME"}, where odd is any JSON.
func EchoBackend(t testing.TB, odd string) []string {
	t.Helper()
	return stdioCommand(t, odd)
}

func stdioCommand(t testing.TB, kind string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/env", stdioVariable + "=" + kind, self}
}

// keepListening has no subscriptions/listen end before the process: in version 1.8 of the SDK the end of one is that of
// all on the same connection, and clients of 2026-07-28 share it.
func keepListening(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if method != "subscriptions/listen" {
			return next(ctx, method, req)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := next(context.WithoutCancel(ctx), method, req)
			ended <- err
		}()
		select {
		case err := <-ended:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// serveStdio serves until stdin ends.
func serveStdio(kind string) error {
	revision, ok := strings.CutPrefix(kind, "sdk")
	if !ok {
		return serveEcho(os.Stdin, os.Stdout, kind)
	}
	b := newBackend(strings.Fields(revision))
	b.Server.AddReceivingMiddleware(keepListening)
	err := b.Server.Run(context.Background(), &mcp.StdioTransport{})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func serveEcho(in io.Reader, out io.Writer, odd string) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		if m.ID == nil || m.Method == "" {
			continue
		}
		heard, err := json.Marshal(lines.Text())
		if err != nil {
			return err
		}
		result := fmt.Sprintf(`{"odd":%s,"heard":%s}`, odd, heard)
		if m.Method == "initialize" {
			result = `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"echo","version":"1"}}`
		}
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, result)
	}
	return lines.Err()
}
