package backend_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

func TestAnswerHeaders(t *testing.T) { // REQ A-3
	t.Parallel()
	allowed := []string{"Content-Type", "Cache-Control", "X-Request-Id"}
	plain, secure := record(t, shout), recordTLS(t, shout)
	for _, r := range []*recorder{plain, secure} {
		for _, req := range []*backend.Request{call(), notification(), listen(), endSession()} {
			req.Private = http.Header{"X-Api-Key": {"canary"}, "x-lower": {"canary"}}
			resp, _ := ask(t, open(t, r.URL, trust(r)), req)
			for name, v := range resp.Header {
				if strings.Contains(strings.Join(v, " "), "canary") {
					t.Errorf("%s: %s reached the client: %q", req.Method, name, v)
				}
			}
			for name := range resp.Header {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s: %s reached the client", req.Method, name)
				}
			}
			if got := resp.Header.Values("X-Request-Id"); len(got) != 2 {
				t.Errorf("%s: X-Request-Id = %q, want both values", req.Method, got)
			}
			if req.Method == http.MethodGet && resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control = %q", resp.Header.Get("Cache-Control"))
			}
			if want := (backend.Session{ID: "issued", Origin: r.URL}); resp.Session != want {
				t.Errorf("Session = %+v, want %+v", resp.Session, want)
			}
		}
	}
}

// What a backend was shown does not come back, whatever the header's name.
func TestAnswerEchoes(t *testing.T) { // FINDING S6; REQ G-3
	t.Parallel()
	const secret = "s3cr3t-t0ken-of-the-inner-door"
	echo := func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"X-Debug-Upstream-Auth", "X-Request-Id", "Etag", "Mcp-Debug", "Traceparent", "Retry-After"} {
			w.Header().Set(name, "got "+r.Header.Get("Authorization")+";")
		}
		w.Header()["X-Correlation-Id"] = []string{"fine", r.Header.Get("X-Tenant-Key")}
		w.Header().Set("X-Ratelimit-Remaining", "5")
		answerJSON(w, r)
	}
	for name, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		for _, private := range []http.Header{
			{"Authorization": {"Bearer " + secret}, "X-Tenant-Key": {secret}},
			{"Authorization": {secret}, "X-Tenant-Key": {"a b " + secret}},
		} {
			r := start(t, echo)
			signing := &backend.Signing{Headers: []string{"Authorization"}, Sign: func(string, string, string, []byte) http.Header {
				return http.Header{"Authorization": private["Authorization"]}
			}}
			for _, signed := range []*backend.Signing{nil, signing} {
				req := call()
				req.Private, req.Signing = private, signed
				if signed != nil {
					req.Private = http.Header{"X-Tenant-Key": private["X-Tenant-Key"]}
				}
				resp, _ := ask(t, open(t, r.URL, trust(r)), req)
				for header, values := range resp.Header {
					if strings.Contains(strings.Join(values, "\n"), secret) {
						t.Errorf("%s: %s reached the client: %q", name, header, values)
					}
				}
				if resp.Header.Get("X-Ratelimit-Remaining") != "5" {
					t.Errorf("%s: header = %v", name, resp.Header)
				}
			}
		}
	}
}

// shout answers with every header that must not reach a client.
func shout(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{
		"Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Proxy-Authenticate", "Proxy-Anything", "Authentication-Info",
		"Alt-Svc", "Strict-Transport-Security", "Server", "Via", "Date", "Access-Control-Allow-Origin", "Access-Control-Anything",
		"Clear-Site-Data", "Refresh", "Location", "Content-Location", "Link", "Keep-Alive", "X-Named-By-Connection", "Nel",
		"Report-To", "Reporting-Endpoints", "X-Api-Key", "X-Lower",
	} {
		w.Header().Set(name, "canary")
	}
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "X-Named-By-Connection")
	} else {
		w.Header().Del("X-Named-By-Connection")
	}
	w.Header()["X-Request-Id"] = []string{"1", "2"}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Mcp-Session-Id", "issued")
	switch r.Method {
	case http.MethodGet:
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {}\n\n")
	default:
		answerJSON(w, r)
	}
}

func TestDebugLog(t *testing.T) { // REQ A-7
	t.Parallel()
	plain, secure := record(t, answerJSON), recordTLS(t, answerJSON)
	for _, r := range []*recorder{plain, secure} {
		var log logs
		b := open(t, r.URL+"/mcp?key=canary-query", trust(r), log.into)
		req := withPrivate(call(), r.URL)
		req.Header["Mcp-Name"] = []string{"file:///a?canary-query"}
		req.Header["Last-Event-Id"] = []string{"canary-event"}
		req.Header["Mcp-Param-Region"] = []string{"canary-param"}
		req.Header["Mcp-Unknown"] = []string{"canary-unknown"}
		ask(t, b, req)
		text := log.String()
		for _, part := range []string{
			"level=DEBUG", "url=" + r.URL + "/mcp ", "method=POST", "status=200",
			"headers.Authorization=[redacted]", "headers.Cookie=[redacted]", "headers.X-Api-Key=[redacted]", "headers.X-Tenant=[redacted]",
			"headers.Mcp-Session-Id=[redacted]", "headers.Mcp-Param-Region=[redacted]",
			"headers.Mcp-Method=tools/call", "headers.Mcp-Name=file:///a?[redacted] ", "headers.Last-Event-Id=[redacted]", "headers.User-Agent=sallyport/test",
		} {
			if !strings.Contains(text, part) {
				t.Errorf("log lacks %q:\n%s", part, text)
			}
		}
		if strings.Contains(text, "canary") {
			t.Errorf("log holds a credential:\n%s", text)
		}
	}
}
