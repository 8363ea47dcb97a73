package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// openAPI is docs/reference/openapi.yaml, as far as answers can be held to it.
type openAPI struct {
	Paths map[string]struct {
		Get struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema json.RawMessage }
			}
		}
	}
	Components json.RawMessage
}

func readOpenAPI(t *testing.T) (doc openAPI) {
	t.Helper()
	raw, err := os.ReadFile("../docs/reference/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, &map[string]any{}); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// check compares an answer with what the document says of its path and status.
func (doc openAPI) check(t *testing.T, path string, got reply) {
	t.Helper()
	response, ok := doc.Paths[path].Get.Responses[fmt.Sprint(got.Status)]
	if !ok {
		t.Errorf("%s: the document does not know status %d: %s", path, got.Status, got.Body)
		return
	}
	if response.Content == nil {
		return
	}
	media, ok := response.Content[got.Header.Get("Content-Type")]
	if !ok {
		t.Errorf("%s: the document does not know %q", path, got.Header.Get("Content-Type"))
		return
	}
	var schema jsonschema.Schema
	var components struct{ Schemas json.RawMessage }
	if err := json.Unmarshal(doc.Components, &components); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(media.Schema[:len(media.Schema)-1])+`,"$defs":`+string(components.Schemas)+`}`, "#/components/schemas/", "#/$defs/")
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, text)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var value any
	if err := json.Unmarshal([]byte(got.Body), &value); err != nil {
		t.Fatalf("%s: %s", path, got.Body)
	}
	if err := resolved.Validate(value); err != nil {
		t.Errorf("%s, status %d: %v\n%s", path, got.Status, err, got.Body)
	}
}

// REQ C-5: what the plain lists answer is what the OpenAPI document says, for virtual
// servers too, page by page and refusals included.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc := readOpenAPI(t)
	idp := testkit.StartIdP(t)
	a, b := startMember(t, "a", true, "one", "two", "three"), startMember(t, "b", false, "four")
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
		m.have("prompts/list", `{"name":"ask"}`)
		m.have("resources/list", `{"uri":"docs://`+m.Name+`","name":"doc"}`)
	}
	g := serve(t, idpObject(idp)+team(nil, a, b)+remote("alone", a.URL)+remote("down", "http://127.0.0.1:1")+remote("closed", a.URL, ofIDP(docsAudience))+
		remote("forbidden", a.URL, `authzConfig: {type: inline, inline: {policies: ['forbid(principal, action, resource);']}}`))
	asked := map[string]map[int]bool{}
	get := func(path, target string) reply {
		got := request{method: http.MethodGet, url: g.URL + target}.do(t)
		doc.check(t, path, got)
		if asked[path] == nil {
			asked[path] = map[int]bool{}
		}
		asked[path][got.Status] = true
		return got
	}
	for _, kind := range []string{"tools", "prompts", "resources"} {
		get("/"+kind, "/"+kind)
		get("/"+kind, "/"+kind+"?limit=0")
		get("/"+kind, "/"+kind+"?cursor=x")
		for _, name := range []string{"team", "alone", "down", "closed", "forbidden", "nobody"} {
			get("/servers/{name}/"+kind, "/servers/"+name+"/"+kind)
		}
	}
	get("/servers", "/servers")
	get("/servers", "/servers?limit=1001")
	for path, statuses := range asked {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			if !statuses[status] && !strings.HasPrefix(path, "/servers/") {
				t.Errorf("%s: nothing answered %d", path, status)
			}
		}
	}
	if len(asked) != len(doc.Paths) {
		t.Errorf("the document has %d paths, of which %d were asked", len(doc.Paths), len(asked))
	}

	for _, target := range []string{"/servers/team/tools", "/tools", "/servers"} {
		whole, kind := list(t, g, target), target[strings.LastIndexByte(target, '/')+1:]
		var paged plain
		query := "?limit=2"
		for pages := 0; query != "" && pages < 20; pages++ {
			got := request{method: http.MethodGet, url: g.URL + target + query}.do(t)
			var next struct{ NextCursor string }
			var page plain
			if err := json.Unmarshal([]byte(got.Body), &page); err != nil || json.Unmarshal([]byte(got.Body), &next) != nil || len(page.Tools)+len(page.Servers) > 2 {
				t.Fatalf("%s%s: %s", target, query, got.Body)
			}
			paged.Tools, paged.Servers = append(paged.Tools, page.Tools...), append(paged.Servers, page.Servers...)
			if query = ""; next.NextCursor != "" {
				query = "?limit=2&cursor=" + url.QueryEscape(next.NextCursor)
			}
		}
		if diff := cmp.Diff(map[string]any{"tools": whole.Tools, "servers": whole.Servers}[kind], map[string]any{"tools": paged.Tools, "servers": paged.Servers}[kind]); diff != "" {
			t.Errorf("%s in pages (-whole +pages):\n%s", target, diff)
		}
	}
}
