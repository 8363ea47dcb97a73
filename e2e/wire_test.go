package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file holds what the tests of this package speak with: manifests, raw HTTP
// requests of each revision, and answers of scripted backends.

// client takes each answer as it is: no redirects, no decompression, and no
// connection kept that would outlive its test.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// remote is the manifest of a backend by its URL. The lines are further lines of
// its spec.
func remote(name, url string, lines ...string) string {
	spec := append([]string{"remoteUrl: " + url, "allowPrivateEndpoint: true"}, lines...)
	return object("MCPRemoteProxy", name, spec...)
}

func object(kind, name string, spec ...string) string {
	text := "---\napiVersion: sallyport.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n"
	for _, line := range spec {
		text += "  " + line + "\n"
	}
	return text
}

// secretObject is a v1/Secret with pairs of keys and values.
func secretObject(name string, pairs ...string) string {
	text := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("  %s: %q\n", pairs[i], pairs[i+1])
	}
	return text
}

// manifests is a folder with one file, main.yaml.
func manifests(t *testing.T, docs ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	writeManifests(t, folder, docs...)
	return folder
}

// writeManifests replaces the file as an editor does: whole or not at all.
func writeManifests(t *testing.T, folder string, docs ...string) {
	t.Helper()
	path := filepath.Join(folder, "main.yaml")
	if err := os.WriteFile(path+".new", []byte(strings.Join(docs, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// serve serves the manifests.
func serve(t *testing.T, docs string, flags ...string) *testkit.Gateway {
	t.Helper()
	return testkit.Start(t, append([]string{"serve", "-f", manifests(t, docs)}, flags...)...)
}

// at is the Streamable HTTP endpoint of a named resource.
func at(g *testkit.Gateway, name string) string { return g.URL + "/servers/" + name + "/mcp" }

// request is one HTTP request of a client.
type request struct {
	method string // "" is POST
	url    string
	header http.Header
	body   string
	via    *http.Client // nil is client
}

// reply is what came back, read to its end.
type reply struct {
	Status int
	Header http.Header
	Body   string
	Err    error // what broke the body, if it broke
}

// with adds headers, given as names and values in turn.
func (r request) with(pairs ...string) request {
	r.header = r.header.Clone()
	if r.header == nil {
		r.header = http.Header{}
	}
	for i := 0; i < len(pairs); i += 2 {
		r.header[http.CanonicalHeaderKey(pairs[i])] = append(r.header[http.CanonicalHeaderKey(pairs[i])], pairs[i+1])
	}
	return r
}

// without removes headers.
func (r request) without(names ...string) request {
	r.header = r.header.Clone()
	for _, name := range names {
		r.header.Del(name)
	}
	return r
}

// open sends the request and returns the answer with its body still to be read,
// within half a minute: a test that waits for what does not come should fail.
func (r request) open(ctx context.Context, t *testing.T) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, testkit.Patience)
	t.Cleanup(cancel)
	resp, err := r.start(ctx)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.url, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (r request) start(ctx context.Context) (*http.Response, error) {
	method := r.method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.via != nil {
		return r.via.Do(req)
	}
	return client.Do(req)
}

// do sends the request and reads the whole answer.
func (r request) do(t *testing.T) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	resp, err := r.start(ctx)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body), Err: err}
}

// message is a POST of a message with the headers every revision asks for.
func message(url, body string) request {
	return request{url: url, body: body, header: http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
	}}
}

// legacy is a request of 2025-11-25. Params are the members of the object.
func legacy(url, method, params string) request {
	return message(url, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{%s}}`, method, params)).
		with("Mcp-Protocol-Version", "2025-11-25")
}

// modernMeta is what every request of 2026-07-28 carries in its params.
const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// modern is a request of 2026-07-28. Name is the tool's, prompt's or resource's,
// "" for methods without. Params are further members of the object.
func modern(url, method, name, params string) request {
	key := "name"
	if method == "resources/read" {
		key = "uri"
	}
	members := []string{modernMeta}
	if name != "" {
		members = append([]string{fmt.Sprintf("%q:%q", key, name)}, members...)
	}
	if params != "" {
		members = append(members, params)
	}
	r := message(url, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{%s}}`, method, strings.Join(members, ","))).
		with("Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method)
	if name != "" {
		r = r.with("Mcp-Name", name)
	}
	return r
}

// call is a tools/call of 2026-07-28.
func call(url, tool, args string) request {
	return modern(url, "tools/call", tool, `"arguments":{`+args+`}`)
}

// opened is how a listening stream begins, before anything of the backend's.
const opened = ": keep-alive\n\n"

// listen is a GET of a listening stream.
func listen(url string) request {
	return request{method: http.MethodGet, url: url, header: http.Header{
		"Accept": {"text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"},
	}}
}

// initialize opens a session and returns its id.
func initialize(t *testing.T, url string, headers ...string) string {
	t.Helper()
	r := initialization(url).with(headers...).do(t)
	id := r.Header.Get("Mcp-Session-Id")
	if r.Status != http.StatusOK || id == "" {
		t.Fatalf("initialize: status %d, session %q, body %s", r.Status, id, r.Body)
	}
	return id
}

func initialization(url string) request {
	return message(url, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}}`)
}

// rpcError is a JSON-RPC error as a client reads it.
type rpcError struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
	Result json.RawMessage `json:"result"`
}

// wantError fails the test unless the reply is a JSON-RPC error of this status,
// code and id, which may be "null" or, where it does not matter, "".
func (r reply) wantError(t *testing.T, status, code int, id string) (message string) {
	t.Helper()
	if r.Status != status {
		t.Errorf("status %d, want %d; body %.300s", r.Status, status, r.Body)
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q, want application/json", ct)
	}
	if r.Err != nil {
		t.Errorf("the answer broke off: %v", r.Err)
	}
	var e rpcError
	if err := json.Unmarshal([]byte(r.Body), &e); err != nil || e.Error == nil || e.Version != "2.0" {
		t.Errorf("want a JSON-RPC error, got %.300q (%v)", r.Body, err)
		return ""
	}
	if e.Error.Code != code {
		t.Errorf("code %d, want %d; message %q", e.Error.Code, code, e.Error.Message)
	}
	if id != "" && string(e.ID) != id {
		t.Errorf("id %s, want %s", e.ID, id)
	}
	if e.Result != nil || e.Error.Message == "" {
		t.Errorf("want an error with a message and no result, got %s", r.Body)
	}
	return e.Error.Message
}

// wantResult fails the test unless the reply is this JSON-RPC result of request 7.
func (r reply) wantResult(t *testing.T, result string) {
	t.Helper()
	body := r.Body
	if r.Header.Get("Content-Type") == "text/event-stream" && strings.HasPrefix(body, ":") { // it took long: the gateway's own stream
		body = strings.TrimSpace(body[strings.LastIndex(body, "data: ")+len("data: "):])
	}
	if want := `{"jsonrpc":"2.0","id":7,"result":` + result + `}`; r.Status != http.StatusOK || body != want || r.Err != nil {
		t.Errorf("got status %d, body %.300q (%v)\nwant 200, %.300q", r.Status, r.Body, r.Err, want)
	}
}

// exchange sends raw bytes over one connection and returns all that comes back
// until the gateway closes it or, after the first byte, a second passes in which
// nothing came.
func exchange(t *testing.T, base, raw string) string {
	t.Helper()
	conn := dial(t, base)
	defer conn.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, raw) // a gateway that refuses early stops reading
	}()
	var got strings.Builder
	buf := make([]byte, 4<<10)
	for {
		quiet := time.Second
		if got.Len() == 0 {
			quiet = testkit.Patience
		}
		_ = conn.SetReadDeadline(time.Now().Add(quiet))
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			conn.Close()
			<-sent
			return got.String()
		}
	}
}

func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// statuses are the status codes of the answers in what came over a connection.
func statuses(raw string) (codes []string) {
	for _, answer := range strings.Split(raw, "HTTP/1.1 ")[1:] {
		codes = append(codes, answer[:3])
	}
	return codes
}

// lines are those of text that hold all the words.
func lines(text string, words ...string) (found []string) {
next:
	for line := range strings.Lines(text) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

// wantLines waits until the log has n lines with all the words, and fails the
// test if there are more.
func wantLines(t *testing.T, g *testkit.Gateway, n int, words ...string) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d log lines with %q", n, words), func() bool {
		return standFor(lines(g.Stderr.String(), words...)) >= n
	})
	got := lines(g.Stderr.String(), words...)
	if stands := standFor(got); stands != n {
		t.Errorf("log lines for %d with %q, want %d:\n%s", stands, words, n, strings.Join(got, ""))
	}
}

// standFor is how many lines there would be if none stood for several, as the log has it of what comes fast.
func standFor(lines []string) (n int) {
	for _, line := range lines {
		if m := counted.FindStringSubmatch(line); m != nil {
			more, _ := strconv.Atoi(m[1])
			n += more
			continue
		}
		n++
	}
	return n
}

var counted = regexp.MustCompile(` count=(\d+)\b`)

// eventReader reads an event stream event by event, raw.
type eventReader struct{ r *bufio.Reader }

func readEvents(r io.Reader) eventReader { return eventReader{bufio.NewReader(r)} }

// next returns the lines up to and with the next blank one, without comments. The
// error is that of a stream which ended or broke.
func (e eventReader) next() (event string, err error) {
	for {
		line, err := e.r.ReadString('\n')
		if err != nil {
			return event + line, err
		}
		switch {
		case strings.HasPrefix(line, ":"):
		case line == "\n" && event == "": // the end of a comment
		case line == "\n":
			return event, nil
		default:
			event += line
		}
	}
}

// want fails the test unless this is the next event.
func (e eventReader) want(t *testing.T, event string) {
	t.Helper()
	if got, err := e.next(); err != nil || got != event {
		t.Fatalf("next event %q (%v), want %q", got, err, event)
	}
}

// wantEnd fails the test unless the stream ends, cleanly or broken as said.
func (e eventReader) wantEnd(t *testing.T, clean bool) {
	t.Helper()
	rest, err := e.next()
	if clean != errors.Is(err, io.EOF) || err == nil {
		t.Errorf("the stream went on with %q (%v), want a clean end: %v", rest, err, clean)
	}
}
