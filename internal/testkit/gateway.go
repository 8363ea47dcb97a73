package testkit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Gateway is the real binary, serving.
type Gateway struct {
	URL    string // of the outer listener, without a path
	Admin  string // of the admin listener, without a path
	Stdout *Output
	Stderr *Output

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
	err   error         // of the process, valid after ended

	killed bool // by Kill, so that its end is no failure
}

// raceOptions are for binaries with the race detector: end at the first race, and
// otherwise do not wait a second before the end, as it usually does.
const raceOptions = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// Options are the less usual settings of a [Gateway].
type Options struct {
	Env   []string // added to the test's own environment
	Dir   string   // working directory
	Stdin string   // of a command that ends by itself
}

// Start runs `sallyport ARGS` with listeners on free loopback ports and waits
// until /readyz answers 200. The first argument is the command: serve, run,
// demo. When the test ends the process gets SIGTERM and must exit with 0.
func Start(t testing.TB, args ...string) *Gateway {
	t.Helper()
	return StartWith(t, Options{}, args...)
}

// StartWith is [Start] with options.
func StartWith(t testing.TB, o Options, args ...string) *Gateway {
	t.Helper()
	// The flags go right behind the command: `run` takes everything after `--` as the backend's. Backends that count
	// what they are asked are asked nothing by the gateway itself, unless a test wants it to.
	line := append([]string{args[0], "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--shutdown-delay", "0s", "--health-interval", "0s"}, args[1:]...)
	g := &Gateway{Stdout: &Output{}, Stderr: &Output{}, cmd: exec.Command(Binary(t), line...), ended: make(chan struct{})}
	g.cmd.Dir = o.Dir
	g.cmd.Env = append(append(os.Environ(), raceOptions, "XDG_CONFIG_HOME="+filepath.Join(buildDir(), "config")), o.Env...)
	g.cmd.Stdout, g.cmd.Stderr = g.Stdout, g.Stderr
	g.cmd.WaitDelay = time.Minute // a stdio backend that outlives the gateway holds its pipes
	if err := g.cmd.Start(); err != nil {
		t.Fatalf("start sallyport: %v", err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.ended)
	}()
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("sallyport %q wrote:\n%s%s", line, g.Stdout, g.Stderr)
		}
	})
	if err := g.ready(t.Context()); err != nil {
		t.Fatalf("start sallyport %q: %v", line, err)
	}
	return g
}

// servingLine finds the two addresses in the line that the gateway logs, as text or JSON, once its listeners stand.
var servingLine = regexp.MustCompile(`serving.*\bmcp"?[=:]"?(https?://[^\s"]+).*\badmin"?[=:]"?(http://[^\s"]+)`)

// ready waits for the addresses and for /readyz.
func (g *Gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	go func() { // a process that ends will never be ready
		select {
		case <-g.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := g.Stderr.Wait(ctx, func(text string) bool {
		m := servingLine.FindStringSubmatch(text)
		if m == nil {
			return false
		}
		g.URL, g.Admin = strings.TrimSuffix(m[1], "/"), strings.TrimSuffix(m[2], "/")
		return true
	})
	if err != nil {
		return fmt.Errorf("no line with its addresses: %w", err)
	}
	for ctx.Err() == nil {
		if status, _, err := g.get(ctx, "/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("wait for /readyz: %w", ctx.Err())
}

// get fetches a path of the admin listener.
func (g *Gateway) get(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Admin+path, nil)
	if err != nil {
		return 0, nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// MCP is the endpoint of a gateway that serves one resource.
func (g *Gateway) MCP() string { return g.URL + "/mcp" }

// SSE is its endpoint for clients of 2024-11-05.
func (g *Gateway) SSE() string { return g.URL + "/sse" }

// Signal sends a signal to the process.
func (g *Gateway) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal sallyport: %v", err)
	}
}

// Stop ends the process as an orchestrator would, with SIGTERM, and reports
// anything but a clean exit. Further calls report the same.
func (g *Gateway) Stop() error {
	_ = g.cmd.Process.Signal(syscall.SIGTERM) // an error means it is gone already
	select {
	case <-g.ended:
	case <-time.After(Patience):
		_ = g.cmd.Process.Kill()
		<-g.ended
		return fmt.Errorf("stop sallyport: it did not end within %s of SIGTERM", Patience)
	}
	if strings.Contains(g.Stderr.String(), "WARNING: DATA RACE") {
		return errors.New("stop sallyport: the race detector found a data race; see its stderr")
	}
	if g.err != nil && !g.killed {
		return fmt.Errorf("stop sallyport: %w", g.err)
	}
	return nil
}

// Kill ends the process as a lost machine would. Start it again by starting another.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.ended
	g.killed = true
}

// Ended is closed when the process has ended.
func (g *Gateway) Ended() <-chan struct{} { return g.ended }

// ExitCode is the process's, -1 while it runs or when a signal ended it.
func (g *Gateway) ExitCode() int {
	select {
	case <-g.ended:
		return g.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// PID is the process's id.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Metrics returns the text of /metrics.
func (g *Gateway) Metrics(t testing.TB) string {
	t.Helper()
	status, body, err := g.get(t.Context(), "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("read /metrics: status %d, %v", status, err)
	}
	return string(body)
}

// Metric returns the sum of a metric's series whose line contains all of labels, such as `server="docs"`.
func (g *Gateway) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	var sum float64
	lines := bufio.NewScanner(bytes.NewReader([]byte(g.Metrics(t))))
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if i := strings.LastIndexByte(lines.Text(), '}'); i >= 0 {
			series, value = lines.Text()[:i+1], strings.TrimSpace(lines.Text()[i+1:])
		}
		if series != name && !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("read metric %s: %v", name, err)
		}
		sum += v
	}
	return sum
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// SettlesAt fails the test when the gateway does not come back to at most
// base+slack goroutines: what a client opened and left must be gone.
func (g *Gateway) SettlesAt(t testing.TB, base, slack float64) {
	t.Helper()
	Eventually(t, fmt.Sprintf("the gateway returns to %v goroutines, give or take %v", base, slack), func() bool {
		return g.Metric(t, "go_goroutines") <= base+slack
	})
}
