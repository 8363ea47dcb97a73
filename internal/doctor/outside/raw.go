package outside

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// This file has the two questions that a client library does not ask: a request whose
// body never comes, and one to change the protocol.

// head sends the head of a request, and reads that of the answer. goodbye is sent when
// the protocol was changed.
func (x *exam) head(ctx context.Context, method, path string, headers []string, goodbye string) (door, error) {
	ctx, cancel := context.WithTimeout(ctx, x.Patience)
	defer cancel()
	conn, err := x.dial(ctx)
	if err != nil {
		return door{}, err
	}
	defer conn.Close()
	end := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer end()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sallyport-doctor\r\n", method, (&url.URL{Path: path}).EscapedPath(), x.URL.Host)
	for i := 0; i < len(headers); i += 2 {
		b.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	if _, err := conn.Write([]byte(b.String() + "\r\n")); err != nil {
		return door{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return door{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK {
		_, _ = conn.Write([]byte(goodbye))
		return door{status: resp.StatusCode}, nil
	}
	body := make([]byte, 64<<10)
	n := 0
	for err == nil && n < len(body) {
		var more int
		more, err = resp.Body.Read(body[n:])
		n += more
	}
	return read(&netguard.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body[:n]}), nil
}

// socket asks for a WebSocket.
func (x *exam) socket(ctx context.Context) {
	const check, change = "WebSocket", "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
	path := x.sibling("/ws")
	switch {
	case path == "":
		x.Skip(check, "the URL does not end in /mcp, so that its path is not known")
		return
	case x.opened.status >= http.StatusInternalServerError:
		x.Skip(check, "the server does not answer")
		return
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // cannot fail
	d, err := x.head(ctx, http.MethodGet, path, append([]string{
		"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(key),
	}, x.asCaller()...), "\x88\x80\x00\x00\x00\x00") // a Close (RFC 6455 §5.5.1)
	switch {
	case err != nil:
		x.Skip(check, "the request to open one has no answer: %v", err)
	case d.status == http.StatusSwitchingProtocols:
		x.OK(check, "a connection can be opened at %s", path)
	case d.status == http.StatusUpgradeRequired:
		x.Warn(check, change, "the proxy swallows Upgrade (426): clients that speak WebSocket cannot come in")
	case d.status == http.StatusNotFound:
		x.Warn(check, "the proxy: pass "+path+" on, too", "%s is not passed on (404): clients that speak WebSocket cannot come in", path)
	default:
		x.Warn(check, change, "the request to open one is answered %s: clients that speak WebSocket cannot come in", d.says())
	}
}

// bodies announces messages, as large as the gateway takes them, and sends none.
func (x *exam) bodies(ctx context.Context) {
	const check = "message size"
	size := x.MaxBody
	for ; size >= 4<<10; size /= 2 {
		d, err := x.head(ctx, http.MethodPost, x.URL.Path, append([]string{
			"Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Content-Length", fmt.Sprint(size),
			mcp.HeaderProtocolVersion, string(mcp.Rev20260728), mcp.HeaderMethod, discover, "Expect", "100-continue", "Connection", "close",
		}, x.asCaller()...), "")
		switch {
		case err != nil:
			x.Skip(check, "a request that announces a message of %s has no answer: %v", bytesOf(size), err)
			return
		case d.status == http.StatusRequestEntityTooLarge && d.rpc && strings.Contains(d.message, "message is larger than"):
			x.OK(check, "the gateway's own limit comes first: %s", d.message)
			return
		case d.status == http.StatusRequestEntityTooLarge:
			continue
		case size == x.MaxBody:
			x.OK(check, "messages of %s pass, as many as the gateway takes", bytesOf(size))
			return
		}
		break
	}
	x.Warn(check, fmt.Sprintf("nginx: client_max_body_size %d; (LimitRequestBody in Apache)", x.MaxBody),
		"the proxy refuses messages of %s (413), and the gateway takes %s: calls with large arguments fail", bytesOf(2*size), bytesOf(x.MaxBody))
}

func bytesOf(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
