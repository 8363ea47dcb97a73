// Package chromium drives a real browser without a screen, by WebDriver.
//
// It owns the browser's process and what a person does in it. It owns no assertions:
// those belong to the tests. For a browser without scripts and looks, which is faster,
// there is testkit.Browser. Only tests may import it.
package chromium

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Browser is a real browser. Every method fails the test when the browser does not do
// what it is told.
type Browser struct {
	session string // address of the WebDriver session
	client  *http.Client
	plain   bool // pages run no script
}

var driverLine = regexp.MustCompile(`started successfully on port (\d+)`)

// Start starts a browser that knows nobody. It runs until the test ends.
func Start(t testing.TB) *Browser {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd, out := exec.CommandContext(ctx, testkit.Command(t, "chromedriver", "chromium-driver"), "--port=0"), &testkit.Output{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, 5*time.Second
	// The browser's profile and crash reports go where the test's files go.
	home := t.TempDir()
	cmd.Env = append(cmd.Environ(), "HOME="+home, "TMPDIR="+home)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start chromedriver: %v", err)
	}
	transport := &http.Transport{}
	b := &Browser{client: &http.Client{Transport: transport, Timeout: testkit.Patience}}
	t.Cleanup(func() {
		if b.session != "" {
			b.end()
		}
		transport.CloseIdleConnections()
		cancel()
		_ = cmd.Wait() // it is killed
	})
	var port []string
	waiting, done := context.WithTimeout(ctx, testkit.Patience)
	defer done()
	if err := out.Wait(waiting, func(text string) bool { port = driverLine.FindStringSubmatch(text); return port != nil }); err != nil {
		t.Fatalf("chromedriver does not say where it listens: %v\n%s", err, out)
	}
	driver := "http://127.0.0.1:" + port[1]
	b.session = driver
	var made struct {
		ID string `json:"sessionId"`
	}
	wish := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		// No sandbox: as root, and in most containers, there is none to be had. The pages are our own.
		"goog:chromeOptions": map[string]any{"args": []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"}},
	}}}
	var err error
	for range 3 { // chromedriver waits for a browser for a minute only, which may be too short on a busy machine
		if err = b.send(t.Context(), http.MethodPost, "/session", wish, &made); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	b.session = driver + "/session/" + made.ID
	b.patient(t)
	return b
}

// Open opens an address and waits for its page.
func (b *Browser) Open(t testing.TB, address string) {
	t.Helper()
	b.do(t, http.MethodPost, "/url", map[string]any{"url": address}, nil)
}

// Reload loads the page again, and sends again what it came of.
func (b *Browser) Reload(t testing.TB) {
	t.Helper()
	b.do(t, http.MethodPost, "/refresh", map[string]any{}, nil)
}

// URL is where the browser is.
func (b *Browser) URL(t testing.TB) (address string) {
	t.Helper()
	b.do(t, http.MethodGet, "/url", nil, &address)
	return address
}

// Text is what can be read on the page.
func (b *Browser) Text(t testing.TB) string {
	t.Helper()
	text, _ := b.Eval(t, "return document.body.innerText").(string)
	return text
}

// Eval runs a script in the page, whether or not the page's own policy admits one, and
// returns what it returns.
func (b *Browser) Eval(t testing.TB, script string) (value any) {
	t.Helper()
	b.do(t, http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, &value)
	return value
}

// Click clicks on what a CSS selector finds first, as a person does: what is hidden
// or covered cannot be clicked.
func (b *Browser) Click(t testing.TB, selector string) {
	t.Helper()
	var found map[string]string
	b.do(t, http.MethodPost, "/element", map[string]any{"using": "css selector", "value": selector}, &found)
	for _, id := range found {
		b.do(t, http.MethodPost, "/element/"+id+"/click", map[string]any{}, nil)
	}
}

// Keys that Press knows besides letters (WebDriver §17.4.2).
const (
	Tab   = "\uE004"
	Enter = "\uE007"
	Left  = "\uE012"
	Down  = "\uE015"
)

// Press presses and lets go one key after the other, wherever the focus is.
func (b *Browser) Press(t testing.TB, keys string) {
	t.Helper()
	var acts []map[string]any
	for _, key := range keys {
		acts = append(acts, map[string]any{"type": "keyDown", "value": string(key)}, map[string]any{"type": "keyUp", "value": string(key)})
	}
	b.do(t, http.MethodPost, "/actions", map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": acts}}}, nil)
}

// Show shows the page on a screen of another size, in a light or dark scheme.
func (b *Browser) Show(t testing.TB, width, height int, scheme string) {
	t.Helper()
	b.devtools(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
	b.devtools(t, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}})
}

// WithoutScript has pages run no script from now on. Eval goes on.
func (b *Browser) WithoutScript(t testing.TB) {
	t.Helper()
	b.plain = true
	b.scripts(t, false)
}

func (b *Browser) scripts(t testing.TB, on bool) {
	t.Helper()
	b.devtools(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": !on})
}

// HideScrollbars leaves pages the whole of the screen, as they have it where scrollbars come when they are used.
func (b *Browser) HideScrollbars(t testing.TB) {
	t.Helper()
	b.devtools(t, "Emulation.setScrollbarsHidden", map[string]any{"hidden": true})
}

// Screenshot is what is on the screen, as PNG.
func (b *Browser) Screenshot(t testing.TB) []byte {
	t.Helper()
	var text string
	b.do(t, http.MethodGet, "/screenshot", nil, &text)
	picture, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

func (b *Browser) devtools(t testing.TB, command string, params map[string]any) {
	t.Helper()
	b.do(t, http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": command, "params": params}, nil)
}

func (b *Browser) do(t testing.TB, method, path string, body, value any) {
	t.Helper()
	if err := b.send(t.Context(), method, path, body, value); err != nil {
		t.Fatalf("%s %s of the browser: %v", method, path, err)
	}
}

func (b *Browser) send(ctx context.Context, method, path string, body, value any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, b.session+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, strings.SplitN(string(answer), `"stacktrace"`, 2)[0])
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer, &struct {
		Value any `json:"value"`
	}{value})
}

// end closes the browser, whose processes would outlive chromedriver's.
func (b *Browser) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = b.send(ctx, http.MethodDelete, "", nil, nil)
}
