package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// moody is a member that is well, and then is not.
type moody struct {
	*member
	mood atomic.Int64 // by number of moods
	gone chan struct{}
}

// ran is the answer of a member that is well.
func (m *moody) ran(a asked) string {
	return fmt.Sprintf(`"result":{"content":[{"type":"text","text":"%s ran %s for %s"}],"resultType":"complete"}`, m.Name, a.param("name"), a.Header.Get("X-Who"))
}

// moods are what members do instead of an answer, each for a while. The first is to be well.
var moods = []struct {
	name string
	do   func(m *moody, w http.ResponseWriter, r asked) bool
}{
	{"well", func(*moody, http.ResponseWriter, asked) bool { return false }},
	{"hangs", func(m *moody, _ http.ResponseWriter, _ asked) bool {
		select {
		case <-m.gone:
		case <-time.After(3 * time.Second):
		}
		return true
	}},
	{"crashes", func(_ *moody, w http.ResponseWriter, _ asked) bool {
		hijack(w, "").Close()
		return true
	}},
	{"truncates", func(m *moody, w http.ResponseWriter, r asked) bool {
		body := `{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + m.ran(r) + `}`
		hijack(w, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)/2])).Close()
		return true
	}},
	{"fails", func(_ *moody, w http.ResponseWriter, _ asked) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}},
	{"answers another id", func(m *moody, w http.ResponseWriter, r asked) bool {
		if r.Method != "tools/call" {
			return false
		}
		r.ID = json.RawMessage(`"of-somebody-else"`)
		respond(w, http.StatusOK, r, m.ran(r))
		return true
	}},
	{"talks for ever", func(_ *moody, w http.ResponseWriter, _ asked) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`)
		_, _ = io.CopyN(w, endless{}, 1<<20)
		return true
	}},
}

// TestVirtualChaos puts load on a virtual server whose ten members hang, crash, truncate, lie, change their lists and
// come back: for 20 seconds, or as long as SALLYPORT_TEST_CHAOS says (10m once a night). Whatever happens, an answer is
// the caller's own and of the member that was asked, and members that are well can be called.
//
// REQ F-3, REQ G-1
func TestVirtualChaos(t *testing.T) {
	t.Parallel()
	length := 20 * time.Second
	if text := os.Getenv("SALLYPORT_TEST_CHAOS"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SALLYPORT_TEST_CHAOS: %v", err)
		}
	}
	var all []*moody
	var members []*member
	for i := range 10 {
		m := &moody{member: startMember(t, fmt.Sprintf("m%d", i), i%2 == 0, "run"), gone: make(chan struct{})}
		m.on("tools/call", m.ran)
		m.instead = func(w http.ResponseWriter, r asked) bool { return moods[m.mood.Load()].do(m, w, r) }
		t.Cleanup(func() { close(m.gone) })
		all, members = append(all, m), append(members, m.member)
	}
	g := serve(t, team([]string{"passthroughHeaders: [X-Who]", "config: {operational: {timeouts: {default: 1s}, failureHandling: {healthCheckInterval: 1s}}}"}, members...))
	end := time.Now().Add(length)
	var done atomic.Bool
	var answered, failed, wrong atomic.Int64
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			who := fmt.Sprintf("caller-%d", i)
			v := visit(t, g.MCP(), i%2 == 0, "X-Who", who)
			for n := 0; !done.Load(); n++ {
				m := all[(n*7+i)%len(all)]
				r, err := v.request("tools/call", m.Name+"_run", `"arguments":{}`).start(t.Context())
				if err != nil {
					t.Errorf("%s: %v", who, err)
					return
				}
				body, _ := io.ReadAll(r.Body) // a broken member breaks its answer
				_ = r.Body.Close()
				switch text := string(body); {
				case strings.Contains(text, `"`+m.Name+" ran run for "+who+`"`):
					answered.Add(1)
				case strings.Contains(text, " ran "), strings.Contains(text, " for caller-"):
					wrong.Add(1)
					t.Errorf("%s asked %s: %s", who, m.Name, text)
				default:
					failed.Add(1)
				}
				if n%10 == 0 {
					for _, name := range v.names("tools/list") {
						if !strings.HasPrefix(name, "m") {
							t.Errorf("%s sees %q", who, name)
						}
					}
				}
			}
		})
	}
	memory := func() float64 { return g.Metric(t, "process_resident_memory_bytes") }
	half := 0.0
	for n := 0; time.Now().Before(end); n++ {
		m := all[n%len(all)]
		m.mood.Store(int64((n/len(all) + n) % len(moods)))
		m.have("tools/list", toolItem("run"), toolItem(fmt.Sprintf("extra-%d", n%3)))
		if m.mood.Load() == 0 {
			m.restart()
		}
		m.tell("notifications/tools/list_changed", "")
		<-time.After(200 * time.Millisecond)
		if half == 0 && time.Until(end) < length/2 {
			half = memory()
		}
	}
	for _, m := range all { // and all are well again
		m.mood.Store(0)
	}
	for i := range 2 {
		v := visit(t, g.MCP(), i == 0, "X-Who", "late")
		for _, m := range all {
			testkit.Eventually(t, m.Name+" can be called again", func() bool { return v.ran(m.Name+"_run") == m.Name+" ran run for late" })
		}
	}
	done.Store(true)
	load.Wait()
	t.Logf("%d calls were answered, %d failed", answered.Load(), failed.Load())
	if now := memory(); now > 2*half+64<<20 {
		t.Errorf("the gateway has %.0f MB, after %.0f at half of the time", now/1e6, half/1e6)
	}
	if answered.Load() == 0 || failed.Load() == 0 {
		t.Error("nothing was answered, or nothing failed: this proves nothing")
	}
}
