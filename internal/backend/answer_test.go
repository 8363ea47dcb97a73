package backend_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// with answers with a status, a type and a body.
func with(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType == "" {
			w.Header()["Content-Type"] = nil
		} else {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const rpcError = `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}`

// TestAnswerRefused has the answers that no client may see, on both transports:
// each is a 5xx with a clear message, and the next request is served.
func TestAnswerRefused(t *testing.T) {
	t.Parallel()
	const html = "<!doctype html><title>canary</title>"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		req    func() *backend.Request // nil: a tools/call
		status int                     // 0: 502
		reason backend.Reason
	}{
		"html 200":           {answer: with(200, "text/html", html)},
		"html 404":           {answer: with(404, "text/html; charset=utf-8", html)},
		"html 500":           {answer: with(500, "text/html", html)},
		"html 502":           {answer: with(502, "text/html", html)},
		"html 503":           {answer: with(503, "text/html", html), status: 503},
		"html 504":           {answer: with(504, "text/html", html), status: 504},
		"empty 500":          {answer: with(500, "", "")},
		"json 500":           {answer: with(500, "application/json", `{"detail":"canary"}`)},
		"garbage 500":        {answer: with(500, "application/json", `{"jsonrpc":"2.0",`)},
		"garbage json":       {answer: with(200, "application/json", `{"jsonrpc":"2.0","canary":}`)},
		"html as json":       {answer: with(200, "application/json", html)},
		"json as text":       {answer: with(200, "text/plain", okAnswer)},
		"no type":            {answer: with(200, "", okAnswer)},
		"empty 200":          {answer: with(200, "application/json", "")},
		"empty chunked 200":  {answer: flushed("application/json", "")},
		"truncated by close": {answer: with(200, "application/json", okAnswer[:20])},
		"garbage, large":     {answer: with(200, "application/json", "canary"+strings.Repeat(" ", 100<<10))},
		"8 KiB, cut off":     {answer: with(200, "application/json", `{"a":"`+strings.Repeat("x", 8<<10))},
		"empty 202":          {answer: with(202, "application/json", "")},
		"empty 204":          {answer: with(204, "", "")},
		"partial content":    {answer: with(206, "application/json", okAnswer)},
		"stream 201":         {answer: with(201, "text/event-stream", "data: {}\n\n")},
		"binary":             {answer: with(200, "application/octet-stream", "canary")},
		"two types":          {answer: header("Content-Type", "application/json", "text/html")},
		"gzip":               {answer: header("Content-Encoding", "gzip")},
		"gzip stream":        {answer: header("Content-Encoding", "gzip", "identity"), req: call},
		"session, bad":       {answer: header("Mcp-Session-Id", "canary with blanks")},
		"session, long":      {answer: header("Mcp-Session-Id", strings.Repeat("canary", 1000))},
		"sessions":           {answer: header("Mcp-Session-Id", "canary1", "canary2")},
		"401":                {answer: challenge(401), reason: backend.ReasonCredential},
		"407":                {answer: challenge(407), reason: backend.ReasonCredential},
		"401, GET":           {answer: challenge(401), req: listen, reason: backend.ReasonCredential},
		"401, DELETE":        {answer: challenge(401), req: endSession, reason: backend.ReasonCredential},
		"401, notification":  {answer: challenge(401), req: notification, reason: backend.ReasonCredential},
		"GET 500":            {answer: with(500, "", ""), req: listen},
		"DELETE 500":         {answer: with(500, "", ""), req: endSession},
		"notification 500":   {answer: with(500, "text/html", html), req: notification},
		"notification html":  {answer: with(400, "text/html", html), req: notification},
		// FINDING F13: clear statuses stay, with the gateway's own words.
		"html 403":              {answer: with(403, "text/html", html), status: 403, reason: backend.ReasonRefused},
		"html 413":              {answer: with(413, "text/html", html), status: 413, reason: backend.ReasonRefused},
		"html 429":              {answer: with(429, "text/html", html), status: 429, reason: backend.ReasonRefused},
		"empty 429":             {answer: with(429, "", ""), status: 429, reason: backend.ReasonRefused},
		"text 429":              {answer: with(429, "text/plain", "canary"), status: 429, reason: backend.ReasonRefused},
		"problem 403":           {answer: with(403, "application/problem+json", `{"title":"canary"}`), status: 403, reason: backend.ReasonRefused},
		"notification html 429": {answer: with(429, "text/html", html), req: notification, status: 429, reason: backend.ReasonRefused},
		// FINDING F11: an empty refusal gets a body.
		"empty 400":        {answer: with(400, "", ""), status: 400, reason: backend.ReasonRefused},
		"empty 405":        {answer: with(405, "", ""), status: 405, reason: backend.ReasonRefused},
		"announced 65 MiB": {answer: announced(64<<20 + 1), reason: backend.ReasonTooLarge},
		"garbage 400":      {answer: with(400, "application/json", "canary")},
	} {
		for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				bad := true
				r := start(t, func(w http.ResponseWriter, req *http.Request) {
					if bad {
						c.answer(w, req)
						return
					}
					answerJSON(w, req)
				})
				b := open(t, r.URL, trust(r))
				req := call()
				if c.req != nil {
					req = c.req()
				}
				f := failure(t, b, req)
				if want := orElse(c.status, http.StatusBadGateway); f.Public.Status != want {
					t.Errorf("status = %d, want %d (%v)", f.Public.Status, want, f)
				}
				if want := orElse(c.reason, backend.ReasonBadAnswer); f.Reason != want {
					t.Errorf("reason = %s, want %s", f.Reason, want)
				}
				if strings.Contains(f.Error(), "canary") {
					t.Errorf("the error quotes the answer: %v", f)
				}
				if !strings.HasPrefix(f.Public.Message, "docs: ") || f.Public.Code != mcp.CodeInternal {
					t.Errorf("public error = %+v", f.Public)
				}
				bad = false
				if _, body := ask(t, b, call()); body != okAnswer {
					t.Errorf("next answer = %q", body)
				}
			})
		}
	}
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// header answers as it should but for one header.
func header(name string, values ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header()[name] = values
		_, _ = io.WriteString(w, okAnswer)
	}
}

// flushed answers in chunks, each of them flushed.
func flushed(contentType string, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		for _, p := range parts {
			_, _ = io.WriteString(w, p)
			_ = rc.Flush()
		}
	}
}

func challenge(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="canary"`)
		w.Header().Set("Proxy-Authenticate", `Basic realm="canary"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, rpcError)
	}
}

// announced says that a lot will come.
func announced(n int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"`)
	}
}

// TestAnswerPasses has the answers that pass, body and status unchanged.
func TestAnswerPasses(t *testing.T) {
	t.Parallel()
	large := `{"jsonrpc":"2.0","id":1,"result":{"text":"` + strings.Repeat("x", 300<<10) + `"}}`
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		req    func() *backend.Request // nil: a tools/call
		status int                     // 0: 200
		body   string
		kind   string // of the content; "" when there is none
	}{
		"json":                 {answer: answerJSON, body: okAnswer, kind: "application/json"},
		"json, charset":        {answer: with(200, "Application/JSON; charset=utf-8", okAnswer), body: okAnswer, kind: "Application/JSON; charset=utf-8"},
		"json, chunked":        {answer: flushed("application/json", okAnswer[:9], okAnswer[9:]), body: okAnswer, kind: "application/json"},
		"json, large":          {answer: with(200, "application/json", large), body: large, kind: "application/json"},
		"json, large, chunked": {answer: flushed("application/json", large[:100], large[100:40<<10], large[40<<10:]), body: large, kind: "application/json"},
		// FINDING F15: a status that says "later", an answer that is there; a byte order mark.
		"json 201":               {answer: with(201, "application/json", okAnswer), body: okAnswer, kind: "application/json"},
		"json 202":               {answer: with(202, "application/json", okAnswer), body: okAnswer, kind: "application/json"},
		"json, byte order mark":  {answer: with(200, "application/json", "\ufeff"+okAnswer), body: okAnswer, kind: "application/json"},
		"json, mark, chunked":    {answer: flushed("application/json", "\ufeff", okAnswer), body: okAnswer, kind: "application/json"},
		"large, mark":            {answer: with(200, "application/json", "\ufeff"+large), body: large, kind: "application/json"},
		"identity":               {answer: header("Content-Encoding", "identity"), body: okAnswer, kind: "application/json"},
		"rpc error 200":          {answer: with(200, "application/json", rpcError), body: rpcError, kind: "application/json"},
		"rpc error 400":          {answer: with(400, "application/json", rpcError), status: 400, body: rpcError, kind: "application/json"},
		"rpc error 404":          {answer: with(404, "application/json", rpcError), status: 404, body: rpcError, kind: "application/json"},
		"rpc error 500":          {answer: with(500, "application/json", rpcError), status: 500, body: rpcError, kind: "application/json"},
		"rpc error 503, chunks":  {answer: with(503, "application/json", rpcError), status: 503, body: rpcError, kind: "application/json"},
		"rpc error, id null":     {answer: with(500, "application/json", `{"jsonrpc":"2.0","error":{"code":-32603,"message":"no"},"id":null}`), status: 500, body: `{"jsonrpc":"2.0","error":{"code":-32603,"message":"no"},"id":null}`, kind: "application/json"},
		"problem 400":            {answer: with(400, "application/problem+json", `{"title":"no"}`), status: 400, body: `{"title":"no"}`, kind: "application/problem+json"},
		"rpc error 429":          {answer: with(429, "application/json", rpcError), status: 429, body: rpcError, kind: "application/json"},
		"text 400":               {answer: with(400, "text/plain", "bad"), status: 400, body: "bad", kind: "text/plain"},
		"notification, bare 400": {answer: with(400, "", ""), req: notification, status: 400},
		"notification":           {answer: with(202, "", ""), req: notification, status: 202},
		"notification 200":       {answer: with(200, "text/plain", "ok"), req: notification, status: 202},
		"notification 204":       {answer: with(204, "", ""), req: notification, status: 202},
		"notification, stream":   {answer: openStream, req: notification, status: 202},
		"notification 400":       {answer: with(400, "application/json", rpcError), req: notification, status: 400, body: rpcError, kind: "application/json"},
		// FINDING F10: what offers no stream is 405.
		"GET json":    {answer: answerJSON, req: listen, status: 405},
		"GET html":    {answer: with(200, "text/html", "<p>"), req: listen, status: 405},
		"GET 202":     {answer: with(202, "", ""), req: listen, status: 405},
		"GET 204":     {answer: with(204, "", ""), req: listen, status: 405},
		"GET nothing": {answer: with(200, "", ""), req: listen, status: 405},
		"GET 405":     {answer: with(405, "text/html", "<p>"), req: listen, status: 405},
		"GET 404":     {answer: with(404, "text/html", "<p>"), req: listen, status: 404},
		"GET 400":     {answer: with(400, "application/json", rpcError), req: listen, status: 400, body: rpcError, kind: "application/json"},
		"DELETE 200":  {answer: with(200, "text/plain", "bye"), req: endSession},
		"DELETE 204":  {answer: with(204, "", ""), req: endSession, status: 204},
		"DELETE 404":  {answer: with(404, "text/html", "<p>"), req: endSession, status: 404},
		"DELETE 405":  {answer: with(405, "text/plain", "no"), req: endSession, status: 405, body: "no", kind: "text/plain"},
	} {
		for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				r := start(t, c.answer)
				req := call()
				if c.req != nil {
					req = c.req()
				}
				resp, body := ask(t, open(t, r.URL, trust(r)), req)
				if want := orElse(c.status, 200); resp.Status != want {
					t.Errorf("status = %d, want %d", resp.Status, want)
				}
				if body != c.body {
					t.Errorf("body = %.80q (%d bytes), want %.80q (%d bytes)", body, len(body), c.body, len(c.body))
				}
				if resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
					t.Errorf("ContentLength = %d, body has %d bytes", resp.ContentLength, len(body))
				}
				if got := resp.Header.Get("Content-Type"); got != c.kind {
					t.Errorf("Content-Type = %q, want %q", got, c.kind)
				}
				if resp.Stream {
					t.Error("Stream is set")
				}
			})
		}
	}
}

func TestAnswerStream(t *testing.T) {
	t.Parallel()
	for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		for _, req := range []*backend.Request{call(), listen()} {
			t.Run(scheme+" "+req.Method, func(t *testing.T) {
				t.Parallel()
				next := make(chan string)
				r := start(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
					rc := http.NewResponseController(w)
					_ = rc.Flush()
					for ev := range next {
						_, _ = io.WriteString(w, ev)
						_ = rc.Flush()
					}
				})
				resp, err := open(t, r.URL, trust(r)).Do(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if !resp.Stream || resp.Status != 200 {
					t.Errorf("Stream = %v, Status = %d", resp.Stream, resp.Status)
				}
				// Each event is there as soon as it was sent, whatever its size.
				for _, size := range []int{1, 10, 500, 2000, 5000, 70000} {
					ev := "data: " + strings.Repeat("x", size) + "\n\n"
					next <- ev
					got := make([]byte, len(ev))
					within(t, "the event", func() {
						if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != ev {
							t.Errorf("event of %d bytes: %v", size, err)
						}
					})
				}
				close(next)
				if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
					t.Errorf("end of the stream = %q, %v", rest, err)
				}
			})
		}
	}
}

// TestAnswerBroken: what breaks off is an error, never an end.
func TestAnswerBroken(t *testing.T) { // a truncated answer
	t.Parallel()
	long := strings.Repeat("x", 40<<10)
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		answer string
		inBody bool // the answer passes, and its body breaks
		stream bool
	}{
		"short by length":        {answer: head + "Content-Length: 100\r\n\r\n" + okAnswer},
		"short by chunk":         {answer: head + "Transfer-Encoding: chunked\r\n\r\n64\r\n" + okAnswer},
		"without last chunk":     {answer: head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer)},
		"in the last chunk":      {answer: head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n"},
		"long, by length":        {answer: head + "Content-Length: 50000\r\n\r\n{\"a\":\"" + long, inBody: true},
		"long, by chunk":         {answer: head + "Transfer-Encoding: chunked\r\n\r\n" + chunk(`{"a":"`+long), inBody: true},
		"event stream, by chunk": {answer: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("data: {}\n\n"), inBody: true, stream: true},
		"event stream, length":   {answer: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\ndata: {}\n\n", inBody: true, stream: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, err := open(t, say(t, c.answer)).Do(t.Context(), call())
			if !c.inBody {
				f := asFailure(t, resp, err)
				if f.Public.Status != 502 || f.Reason != backend.ReasonBadAnswer || !strings.Contains(f.Public.Message, "broke off") {
					t.Errorf("failure = %v (%s, %d)", f, f.Reason, f.Public.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.Stream != c.stream {
				t.Errorf("Stream = %v", resp.Stream)
			}
			if _, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF {
				t.Errorf("reading the body = %v, want %v", err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

func TestAnswerNotHTTP(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]string{
		"not http":              "SSH-2.0-OpenSSH_9.7\r\n\r\n",
		"http/0.9":              okAnswer + "\n\n",
		"http/2":                "HTTP/2 200\r\n\r\n",
		"http/1.2":              "HTTP/1.2 200 OK\r\n\r\n",
		"status of two":         "HTTP/1.1 20 OK\r\n\r\n",
		"status of four":        "HTTP/1.1 2000 OK\r\n\r\n",
		"status 600":            "HTTP/1.1 600 Odd\r\n\r\n",
		"status 099":            "HTTP/1.1 099 Odd\r\n\r\n",
		"status +20":            "HTTP/1.1 +20 Odd\r\n\r\n",
		"reason with cr":        "HTTP/1.1 200 O\rK\r\n\r\n",
		"switching":             "HTTP/1.1 101 Switching\r\n\r\n",
		"many interim":          strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + ok + "\r\n",
		"lengths conflict":      ok + "Content-Length: 48\r\nContent-Length: 49\r\n\r\n" + okAnswer,
		"lengths agree":         ok + "Content-Length: 48\r\nContent-Length: 48\r\n\r\n" + okAnswer,
		"length list":           ok + "Content-Length: 48, 48\r\n\r\n" + okAnswer,
		"length negative":       ok + "Content-Length: -1\r\n\r\n" + okAnswer,
		"length +":              ok + "Content-Length: +48\r\n\r\n" + okAnswer,
		"length empty":          ok + "Content-Length:\r\n\r\n" + okAnswer,
		"length hex":            ok + "Content-Length: 0x30\r\n\r\n" + okAnswer,
		"length huge":           ok + "Content-Length: 99999999999999999999\r\n\r\n" + okAnswer,
		"length and chunked":    ok + "Content-Length: 48\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n\r\n",
		"chunked twice":         ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n\r\n",
		"gzip, chunked":         ok + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n\r\n",
		"identity":              ok + "Transfer-Encoding: identity\r\n\r\n" + okAnswer,
		"xchunked":              ok + "Transfer-Encoding: xchunked\r\n\r\n" + okAnswer,
		"chunked in http/1.0":   strings.Replace(ok, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n\r\n",
		"folded header":         ok + "X-A: 1\r\n  2\r\n\r\n" + okAnswer,
		"folded first":          "HTTP/1.1 200 OK\r\n X-A: 1\r\n\r\n" + okAnswer,
		"blank before colon":    ok + "Content-Length : 48\r\n\r\n" + okAnswer,
		"no colon":              ok + "X-A\r\n\r\n" + okAnswer,
		"no name":               ok + ": 1\r\n\r\n" + okAnswer,
		"nul in value":          ok + "X-A: a\x00b\r\n\r\n" + okAnswer,
		"cr in value":           ok + "X-A: a\rb\r\n\r\n" + okAnswer,
		"odd name":              ok + "X(A): 1\r\n\r\n" + okAnswer,
		"head too large":        ok + "X-A: " + strings.Repeat("x", 70<<10) + "\r\n\r\n" + okAnswer,
		"headers too many":      ok + strings.Repeat("X-A: 1\r\n", 9<<10) + "\r\n" + okAnswer,
		"chunk size none":       ok + "Transfer-Encoding: chunked\r\n\r\n\r\n",
		"chunk size odd":        ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"chunk size 0x":         ok + "Transfer-Encoding: chunked\r\n\r\n0x30\r\n" + okAnswer,
		"chunk size negative":   ok + "Transfer-Encoding: chunked\r\n\r\n-30\r\n" + okAnswer,
		"chunk size huge":       ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + okAnswer,
		"chunk size, bare lf":   ok + "Transfer-Encoding: chunked\r\n\r\n30\n" + okAnswer,
		"chunk too long":        ok + "Transfer-Encoding: chunked\r\n\r\n2\r\n" + okAnswer + "\r\n0\r\n\r\n",
		"chunk extension, long": ok + "Transfer-Encoding: chunked\r\n\r\n30;" + strings.Repeat("x", 2000) + "\r\n" + okAnswer + "\r\n0\r\n\r\n",
		"trailers without end":  ok + "Transfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\n" + strings.Repeat("X-A: 1\r\n", 100) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := failure(t, open(t, say(t, answer)), call())
			if f.Reason != backend.ReasonBadAnswer || f.Public.Status != http.StatusBadGateway {
				t.Errorf("failure = %v (%s, %d)", f, f.Reason, f.Public.Status)
			}
			if !strings.Contains(fmt.Sprint(f.Cause), "malformed HTTP answer") {
				t.Errorf("it was refused for another reason: %v", f.Cause)
			}
		})
	}
}

func TestAnswerOddButHTTP(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]string{
		"until close":       ok + "\r\n" + okAnswer,
		"http/1.0":          "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + okAnswer,
		"no reason":         "HTTP/1.1 200\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + okAnswer,
		"lf only":           "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 48\n\n" + okAnswer,
		"interim":           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok + "Content-Length: 48\r\n\r\n" + okAnswer,
		"lower case":        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 48\r\n\r\n" + okAnswer,
		"chunks":            ok + "Transfer-Encoding: Chunked\r\n\r\n" + chunk(okAnswer[:1]) + chunk(okAnswer[1:30]) + chunk(okAnswer[30:]) + "0\r\n\r\n",
		"extension":         ok + "Transfer-Encoding: chunked\r\n\r\n30 ; a=b\r\n" + okAnswer + "\r\n000;x\r\n\r\n",
		"trailers":          ok + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\nX-A: canary\r\nX-B: 2\r\n\r\n",
		"leading zeros":     ok + "Transfer-Encoding: chunked\r\n\r\n00000030\r\n" + okAnswer + "\r\n0\r\n\r\n",
		"large head":        ok + "X-A: " + strings.Repeat("x", 50<<10) + "\r\nContent-Length: 48\r\n\r\n" + okAnswer,
		"more than asked":   ok + "Content-Length: 48\r\n\r\n" + okAnswer + "HTTP/1.1 200 OK\r\n\r\n",
		"blanks around":     ok + "Content-Length: \t 48 \t\r\n\r\n" + okAnswer,
		"latin-1 in header": ok + "X-A: caf\xe9\r\nContent-Length: 48\r\n\r\n" + okAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := ask(t, open(t, say(t, answer)), call())
			if resp.Status != 200 || body != okAnswer || strings.Contains(fmt.Sprint(resp.Header), "canary") {
				t.Errorf("answer = %d %q %v", resp.Status, body, resp.Header)
			}
		})
	}
}

func TestAnswerTooLarge(t *testing.T) {
	t.Parallel()
	small := func(c *backend.HTTPConfig) { c.Limits.MaxAnswerBytes = 100 << 10 }
	big := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 200<<10) + `"}`
	for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		r := start(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if req.URL.Path == "/length" {
				w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			}
			_, _ = io.WriteString(w, big)
		})
		if f := failure(t, open(t, r.URL+"/length", trust(r), small), call()); f.Reason != backend.ReasonTooLarge || f.Public.Status != 502 {
			t.Errorf("%s by length: %v (%s)", scheme, f, f.Reason)
		}
		resp, err := open(t, r.URL+"/chunks", trust(r), small).Do(t.Context(), call())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err == nil || n > 100<<10 {
			t.Errorf("%s by chunks: %d bytes, %v", scheme, n, err)
		}
		_ = resp.Body.Close()
		// A stream has no size.
		resp, err = open(t, start(t, with(200, "text/event-stream", big)).URL, trust(r), small).Do(t.Context(), call())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(big)) {
			t.Errorf("%s stream: %d bytes, %v", scheme, n, err)
		}
		_ = resp.Body.Close()
	}
}

// TestAnswerSlow: whatever a backend waits with, the time limit ends it.
func TestAnswerSlow(t *testing.T) {
	t.Parallel()
	hang := func(r *http.Request) { <-r.Context().Done() }
	long := `{"a":"` + strings.Repeat("x", 40<<10)
	const short, enough = 2 * time.Second, testkit.Patience // short for one answer on a busy machine, long for nobody
	for name, c := range map[string]struct {
		limits backend.Limits // zero: for the body
		answer http.HandlerFunc
		inBody bool
	}{
		"before the head": {limits: backend.Limits{AnswerTimeout: short}, answer: func(_ http.ResponseWriter, r *http.Request) { hang(r) }},
		"in the body": {answer: func(w http.ResponseWriter, r *http.Request) {
			flushed("application/json", okAnswer[:10])(w, r)
			hang(r)
		}},
		"before the body": {answer: func(w http.ResponseWriter, r *http.Request) {
			flushed("application/json")(w, r)
			hang(r)
		}},
		"late in the body": {inBody: true, answer: func(w http.ResponseWriter, r *http.Request) {
			flushed("application/json", long)(w, r)
			hang(r)
		}},
		"in a redirect": {limits: backend.Limits{AnswerTimeout: short}, answer: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				redirectTo("/next", 307)(w, r)
				return
			}
			hang(r)
		}},
	} {
		for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				r := start(t, c.answer)
				limits := orElse(c.limits, backend.Limits{AnswerTimeout: enough, BodyTimeout: short})
				b := open(t, r.URL, trust(r), func(c *backend.HTTPConfig) { c.Limits = limits })
				within(t, "the exchange", func() {
					resp, err := b.Do(t.Context(), call())
					if c.inBody {
						if err != nil {
							t.Error(err)
							return
						}
						if _, err := io.ReadAll(resp.Body); err == nil || err == io.EOF {
							t.Errorf("reading the body = %v", err)
						}
						_ = resp.Body.Close()
						return
					}
					if f := asFailure(t, resp, err); f.Reason != backend.ReasonTimeout || f.Public.Status != http.StatusGatewayTimeout {
						t.Errorf("failure = %v (%s, %d)", f, f.Reason, f.Public.Status)
					}
				})
			})
		}
	}
}

// TestAnswerStreamIsNeverLate: the limits for answers do not end a silent stream.
func TestAnswerStreamIsNeverLate(t *testing.T) {
	t.Parallel()
	hasty := func(c *backend.HTTPConfig) {
		c.Limits.AnswerTimeout, c.Limits.BodyTimeout = 4*time.Second, 20*time.Millisecond
	}
	for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(w http.ResponseWriter, r *http.Request) {
				flushed("text/event-stream", "data: 1\n\n")(w, r)
				select { // silence, longer than every limit
				case <-time.After(4200 * time.Millisecond):
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "data: 2\n\n")
			})
			if _, body := ask(t, open(t, r.URL, trust(r), hasty), listen()); body != "data: 1\n\ndata: 2\n\n" {
				t.Errorf("stream = %q", body)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	gone := testkit.FreeAddress(t)
	closes := rawServer(t, func(int, net.Conn, *bufio.Reader) {})
	untrusted := recordTLS(t, answerJSON)
	plain := record(t, answerJSON)
	for name, c := range map[string]struct {
		address string
		says    string
	}{
		"refused":        {"http://" + gone + "/mcp?key=canary", "refused the connection"},
		"refused, https": {"https://" + gone + "/mcp?key=canary", "refused the connection"},
		"no such host":   {"http://canary.invalid/mcp", "host name"},
		"closes":         {closes, "broke before it answered"},
		"untrusted":      {untrusted.URL, "certificate"},
		"not tls":        {strings.Replace(plain.URL, "http:", "https:", 1), "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := failure(t, open(t, c.address), call())
			if f.Reason != backend.ReasonUnreachable || f.Public.Status != http.StatusBadGateway {
				t.Errorf("failure = %v (%s, %d)", f, f.Reason, f.Public.Status)
			}
			if !strings.Contains(f.Public.Message, c.says) {
				t.Errorf("message %q does not say %q", f.Public.Message, c.says)
			}
			if strings.Contains(f.Public.Message, "127.0.0.1") || strings.Contains(f.Public.Message, "canary") {
				t.Errorf("message %q names the address", f.Public.Message)
			}
		})
	}
}

// A backend that has lost its sessions says so in many ways; clients begin anew at 404.
func TestAnswerSessionLost(t *testing.T) { // FINDING F3; REQ G-9
	t.Parallel()
	rpc := func(id, code, message string) string {
		return `{"jsonrpc":"2.0","error":{"code":` + code + `,"message":"` + message + `"},"id":` + id + `}`
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		lost   bool
	}{
		"html 404":             {with(404, "text/html", "<p>"), true},
		"empty 404":            {with(404, "", ""), true},
		"error 404":            {with(404, "application/json", rpc("1", "-32001", "Session not found")), false}, // as it is
		"empty 400":            {with(400, "", ""), true},
		"html 400":             {with(400, "text/html", "<p>"), true},
		"text 400":             {with(400, "text/plain", "no valid session"), true},
		"json 400":             {with(400, "application/json", `{"error":"unknown"}`), true},
		"no session":           {with(400, "application/json", rpc("null", "-32000", "Bad Request: No valid session ID provided")), true},
		"not initialized":      {with(400, "application/json", rpc("null", "-32000", "Bad Request: Server not initialized")), true},
		"no id at all":         {with(400, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Bad Request"}}`), true},
		"session, with the id": {with(400, "application/json", rpc("1", "-32600", "Invalid session")), true},
		"about the request":    {with(400, "application/json", rpc("1", "-32602", "text is missing")), false},
		"about its parameters": {with(400, "application/json", rpc("null", "-32602", "Invalid params")), false},
		"about the version":    {with(400, "application/json", rpc("null", "-32000", "Bad Request: Unsupported protocol version")), false},
	} {
		for _, session := range []string{"gone", ""} {
			t.Run(name+", session "+session, func(t *testing.T) {
				t.Parallel()
				r := record(t, c.answer)
				req := call()
				req.Session = backend.Session{ID: session, Origin: r.URL}
				resp, err := open(t, r.URL).Do(t.Context(), req)
				f, _ := errors.AsType[*backend.Failure](err)
				if resp != nil {
					_ = resp.Body.Close()
				}
				if lost := f != nil && f.Reason == backend.ReasonSession && f.Public.Status == 404; lost != (c.lost && session != "") {
					t.Errorf("answer = %+v, %v; want the session lost: %v", resp, err, c.lost && session != "")
				}
			})
		}
	}
}

func TestAnswerRetryAfter(t *testing.T) { // FINDING F13
	t.Parallel()
	for _, status := range []int{403, 413, 429, 503} {
		for said, want := range map[string]time.Duration{
			"7": 7 * time.Second, "": 0, "soon": 0, "-1": 0, "100000000": 24 * time.Hour, "Thu, 01 Jan 1970 00:00:00 GMT": 0,
		} {
			r := record(t, func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Retry-After", said)
				with(status, "text/html", "<p>")(w, req)
			})
			if f := failure(t, open(t, r.URL), call()); f.Public.Status != status || f.RetryAfter != want {
				t.Errorf("%d %q: failure = %d, again after %v; want %v", status, said, f.Public.Status, f.RetryAfter, want)
			}
		}
	}
}

// A stream of HTTP+SSE does not get through: its endpoint is one beside the gateway.
func TestAnswerOtherTransport(t *testing.T) { // FINDING F11
	t.Parallel()
	const endpoint = "event: endpoint\ndata: /messages?sessionId=1\n\n"
	for name, parts := range map[string][]string{
		"at once":          {endpoint},
		"in pieces":        {"ev", "ent: end", "point\ndata: /mess", "ages\n", "\n"},
		"behind a comment": {": hello\n\n", endpoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, flushed("text/event-stream", parts...))
			var log logs
			resp, err := open(t, r.URL, log.into).Do(t.Context(), listen())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil || strings.HasSuffix(string(body), "\n\n") && strings.Contains(string(body), "endpoint") {
				t.Errorf("body = %q, %v", body, err)
			}
			if !strings.Contains(log.String(), "set transport: sse") {
				t.Errorf("the log does not say what to do: %s", log.String())
			}
		})
	}
	r := record(t, flushed("text/event-stream", "data: {}\n\n", endpoint)) // an event of any other stream
	if _, body := ask(t, open(t, r.URL), listen()); !strings.HasSuffix(body, endpoint) {
		t.Errorf("body = %q", body)
	}
}
