// Package suite runs the official conformance suite, and reads and compares what it
// found.
//
// It owns the suite's command lines and results, and the server that the suite is run
// against. It owns no assertions: those belong to the tests. Only tests may import it.
package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Check is one check of one scenario of the official conformance suite.
type Check struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // SUCCESS, INFO, SKIPPED, WARNING, FAILURE
	Message string `json:"errorMessage"`
}

// Run runs the suite's server scenarios against url, chosen by args such
// as "--requirements", "2025-11-25", and returns the checks by scenario. A
// scenario that fails is no error here: it is for the caller to compare.
func Run(t testing.TB, url string, args ...string) map[string][]Check {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	suite := filepath.Join(testkit.NodeModules(t), "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := testkit.Node(ctx, t, suite, append([]string{"server", "--url", url, "-o", dir}, args...)...)
	out, runErr := cmd.CombinedOutput()
	results, err := readChecks(dir)
	if err != nil || len(results) == 0 {
		t.Fatalf("the suite left no results: %v, %v\n%s", runErr, err, out)
	}
	return results
}

// resultDir is the name of a scenario's folder: server-SCENARIO-TIMESTAMP.
var resultDir = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$`)

// readChecks collects checks.json of every scenario under dir.
func readChecks(dir string) (map[string][]Check, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		return nil, err
	}
	results := map[string][]Check{}
	for _, file := range files {
		name := resultDir.FindStringSubmatch(filepath.Base(filepath.Dir(file)))
		if name == nil {
			return nil, fmt.Errorf("read results: %s is not named as expected", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read results: %w", err)
		}
		var checks []Check
		if err := json.Unmarshal(text, &checks); err != nil {
			return nil, fmt.Errorf("read results of %s: %w", name[1], err)
		}
		results[name[1]] = append(results[name[1]], checks...)
	}
	return results, nil
}

// StartServer starts the Go SDK's conformance fixture on a free loopback
// port and returns the URL of its endpoint. Stateful serves the revisions with
// sessions, the other form 2026-07-28.
func StartServer(t testing.TB, stateful bool) string {
	t.Helper()
	program := testkit.ConformanceServer(t)
	// It takes an address and does not say which port it got, so one is picked and, should somebody be faster, another.
	for range 5 {
		addr := testkit.FreeAddress(t)
		cmd := exec.Command(program, "-http="+addr, fmt.Sprintf("-stateless=%t", !stateful))
		var stderr testkit.Output
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatalf("start everything-server: %v", err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		if listening(addr, ended) {
			t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
			return "http://" + addr + "/mcp"
		}
		_ = cmd.Process.Kill()
		<-ended
	}
	t.Fatal("start everything-server: no free port in five attempts")
	return ""
}

// listening waits until addr takes connections, or the process that should has ended.
func listening(addr string, ended <-chan struct{}) bool {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(testkit.Patience)
	for {
		select {
		case <-ended:
			return false
		case <-deadline:
			return false
		case <-poll.C:
		}
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return true
		}
	}
}

// PinRevision starts a proxy before target that asks for a revision in every
// initialize: the suite's own client asks for 2025-11-25 whatever revision its
// scenarios are of. Everything else, the Host header too, passes as it is.
func PinRevision(t testing.TB, target, revision string) string {
	t.Helper()
	asked := regexp.MustCompile(`"protocolVersion":"[^"]*"`)
	var pinned atomic.Int32
	url := before(t, target, func(_ http.ResponseWriter, _ *http.Request, body []byte) []byte {
		if bytes.Contains(body, []byte(`"method":"initialize"`)) && asked.Match(body) {
			pinned.Add(1)
			return asked.ReplaceAll(body, []byte(`"protocolVersion":"`+revision+`"`))
		}
		return body
	})
	t.Cleanup(func() {
		if pinned.Load() == 0 {
			t.Errorf("no initialize came by in which %s could be asked for", revision)
		}
	})
	return url
}

// before starts a proxy before target, which sends on the body that change returns, or
// nothing where that is nil: change has answered, then.
func before(t testing.TB, target string, change func(http.ResponseWriter, *http.Request, []byte) []byte) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	base := *to
	base.Path = ""
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&base); r.Out.Host = r.In.Host },
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // before forwarding: golang/go#40747
		if err != nil {
			return
		}
		if body = change(w, r, body); body == nil {
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL + to.Path
}

// Worse compares what the suite found through the gateway with what it found
// direct, check by check, and returns a table of the differences for the
// worse: checks that are missing, have a worse status, or fail though there
// was none of them direct. Empty means: as good.
func Worse(direct, through map[string][]Check) string {
	rank := map[string]int{"SUCCESS": 0, "INFO": 1, "SKIPPED": 1, "WARNING": 2, "FAILURE": 3}
	was, is := numbered(direct), numbered(through)
	var rows []string
	row := func(k numberedCheck, direct, through, message string) {
		rows = append(rows, fmt.Sprintf("%-38s %-52s direct %-9s through %-9s %s\n", k.scenario, k.id, direct, through, message))
	}
	for k, before := range was {
		after, ok := is[k]
		switch {
		case !ok && before.Status != "INFO": // INFO tells what went by, which depends on timing
			row(k, before.Status, "(missing)", "")
		case ok && rank[after.Status] > rank[before.Status]:
			row(k, before.Status, after.Status, after.Message)
		}
	}
	for k, after := range is {
		if _, ok := was[k]; !ok && rank[after.Status] > rank["INFO"] {
			row(k, "(none)", after.Status, after.Message)
		}
	}
	slices.Sort(rows)
	return strings.Join(rows, "")
}

// numberedCheck names one check of a run: a scenario may make the same check several times.
type numberedCheck struct {
	scenario, id string
	n            int
}

func numbered(results map[string][]Check) map[numberedCheck]Check {
	all := map[numberedCheck]Check{}
	for scenario, checks := range results {
		times := map[string]int{}
		for _, c := range checks {
			all[numberedCheck{scenario, c.ID, times[c.ID]}] = c
			times[c.ID]++
		}
	}
	return all
}

// Passed counts the checks that succeeded.
func Passed(results map[string][]Check) (n int) {
	for _, checks := range results {
		for _, c := range checks {
			if c.Status == "SUCCESS" {
				n++
			}
		}
	}
	return n
}

// Tally counts the checks of a run by status, for a line in the log.
func Tally(results map[string][]Check) string {
	count := map[string]int{}
	for _, checks := range results {
		for _, c := range checks {
			count[c.Status]++
		}
	}
	return fmt.Sprintf("%d scenarios, checks %v", len(results), count)
}
