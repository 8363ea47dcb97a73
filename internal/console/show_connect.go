package console

import (
	"encoding/json"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// connect is what a person adds to a client.
func (r *row) connect(p *page.Page, v *view) {
	at := r.address(v.now)
	p.Open("details", "id", "connect-"+r.Name, "class", "connect")
	p.Element("summary", "Connect a client to "+r.Name)
	p.Open("dl")
	for i, way := range []struct{ client, text string }{
		{"Address", at},
		{"Claude Code", "claude mcp add --transport http " + r.Name + " " + at},
		{"Cursor, in mcp.json", jsonOf(map[string]any{"mcpServers": map[string]any{r.Name: map[string]string{"url": at}}})},
		{"VS Code", "code --add-mcp '" + jsonOf(struct {
			Name string `json:"name"`
			Type string `json:"type"`
			URL  string `json:"url"`
		}{r.Name, "http", at}) + "'"},
		{"Codex, in config.toml", "[mcp_servers." + r.Name + "]\nurl = " + strconv.Quote(at)},
	} {
		p.Open("div")
		p.Element("dt", way.client)
		p.Open("dd")
		copied(p, "connect-"+r.Name+"-"+strconv.Itoa(i), "for "+way.client, way.text)
		p.Close("dd")
		p.Close("div")
	}
	p.Close("dl")
	p.Close("details")
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // text in maps and structs
		return ""
	}
	return string(text)
}

// copied is code with a button that copies it, which is there where scripts are.
func copied(p *page.Page, id, what, text string) {
	p.Open("div", "class", "copied")
	p.Open("pre", "tabindex", "0")
	p.Element("code", text, "id", id)
	p.Close("pre")
	p.Element("button", "Copy", "type", "button", "hidden", "", "data-copy", id, "aria-label", "Copy "+what)
	p.Close("div")
}
