package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Lists that are filtered at the same time do not get into each other: each comes
// back whole, with its own id and content, though their memory is used again.
func TestListsAtTheSameTime(t *testing.T) {
	t.Parallel()
	cursor := regexp.MustCompile(`"id":(\d+).*"cursor":"(\d+)"`)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked := cursor.FindStringSubmatch(string(body))
		var tools []string
		for i := range 40 { // more pages than are remembered
			tools = append(tools, fmt.Sprintf(`{"name":"page%s-%d"},{"name":"hidden-%[2]d"}`, asked[2], i))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s]}}`, asked[1], strings.Join(tools, ","))
	}))
	t.Cleanup(backend.Close)
	r := newRig(t, proxy("docs", backend.URL, policies("enforce", `permit(principal, action == Action::"call_tool", resource) when { resource.name like "page*" };`)), nil)
	var calling sync.WaitGroup
	for client := range 8 {
		calling.Go(func() {
			for i := range 50 {
				id, page := client*1000+i, (client+i)%20
				w := r.send(post("/servers/docs/mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/list","params":{"cursor":"%d"}}`, id, page)))
				var want []string
				for n := range 40 {
					want = append(want, fmt.Sprintf(`{"name":"page%d-%d"}`, page, n))
				}
				if got := w.Body.String(); got != fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"tools":[%s]}}`, id, strings.Join(want, ",")) {
					t.Errorf("page %d for %d: %s", page, id, got)
					return
				}
			}
		})
	}
	calling.Wait()
}
