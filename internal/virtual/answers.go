package virtual

import (
	"context"
	"encoding/binary"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file has what a virtual server says itself.

func result(id, value []byte) *backend.Response {
	raw := make([]byte, 0, len(value)+64)
	raw = append(append(append(raw, `{"jsonrpc":"2.0","id":`...), id...), `,"result":`...)
	return backend.JSONResponse(http.StatusOK, append(append(raw, value...), '}'))
}

// about are the members of a result that say who answers.
func (t *Target) about(v *view) (info []byte, fields []mcp.Field) {
	info = mcp.Merge(nil, []mcp.Field{{Name: "name", Value: mcp.Quote(t.ServerName)}, {Name: "version", Value: []byte(`"1"`)}})
	fields = []mcp.Field{{Name: "capabilities", Value: v.capabilities}}
	if v.instructions != nil {
		fields = append(fields, mcp.Field{Name: "instructions", Value: v.instructions})
	}
	return info, fields
}

// initialize begins a session. What the client says of itself goes with it: members
// are told the same when the session first needs them.
func (t *Target) initialize(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	params := c.Message.Bytes(c.Message.Params)
	asked, _ := mcp.Member(params, "protocolVersion")
	text, _ := mcp.Text(asked)
	rev := mcp.Revision(text)
	if !rev.Known() || rev.Modern() {
		rev = mcp.Rev20251125
	}
	info, fields := t.about(t.view(ctx, whose(c)))
	fields = append(fields, mcp.Field{Name: "protocolVersion", Value: mcp.Quote(string(rev))}, mcp.Field{Name: "serverInfo", Value: info})
	a := c.Answered(result(c.Message.ID, mcp.Merge(nil, fields)))
	a.State = newSession(rev, params).state()
	return a, nil
}

// discover says the same to a client without sessions.
func (t *Target) discover(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	var versions []byte
	for i, r := range mcp.Supported() {
		if i > 0 {
			versions = append(versions, ',')
		}
		versions = mcp.AppendQuote(versions, string(r))
	}
	v := t.view(ctx, whose(c))
	info, fields := t.about(v)
	if v.tasks {
		fields[0].Value = mcp.Merge(v.capabilities, []mcp.Field{{Name: "extensions", Value: []byte(`{"` + convert.MetaTasks + `":{}}`)}})
	}
	fields = append(fields,
		mcp.Field{Name: "resultType", Value: []byte(`"complete"`)},
		mcp.Field{Name: "supportedVersions", Value: []byte("[" + string(versions) + "]")},
		mcp.Field{Name: "ttlMs", Value: []byte("0")}, mcp.Field{Name: "cacheScope", Value: []byte(`"private"`)},
		mcp.Field{Name: "_meta", Value: mcp.Merge(nil, []mcp.Field{{Name: "io.modelcontextprotocol/serverInfo", Value: info}})})
	return c.Answered(result(c.Message.ID, mcp.Merge(nil, fields))), nil
}

// pageSize is how many items one answer to a list has.
const pageSize = 1000

const (
	cursorPurpose = "mcp-virtual-cursor"
	cursorVersion = 1
)

// list answers a list. It goes on where its cursor says: behind an item, which need not
// be there any more.
func (t *Target) list(ctx context.Context, c *upstream.Call, k kind) (*upstream.Answer, error) {
	v := t.view(ctx, whose(c))
	if missing := t.missing(v); missing != "" {
		return nil, &backend.Failure{
			Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the server %s cannot be asked what it has", t.Name, missing),
			Reason: backend.ReasonUnreachable,
		}
	}
	t.Memory.saw(client(c), k, v.digest(k, c.Rights))
	items := v.lists[k]
	from := 0
	cursor, _ := mcp.Member(c.Message.Bytes(c.Message.Params), "cursor")
	if text, ok := mcp.Text(cursor); ok {
		behind, known := t.openCursor(k, text)
		if !known {
			e := mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams, "params.cursor is not one that this server made; ask for the list from its beginning")
			if c.Revision.Modern() {
				e.Status = http.StatusBadRequest
			}
			return c.Answered(backend.Refusal(c.Message.ID, e)), nil
		}
		for from < len(items) && !t.before(behind, items[from].Own) {
			from++
		}
	}
	to := min(from+pageSize, len(items))
	head := append([]byte(`{"jsonrpc":"2.0","id":`), c.Message.ID...)
	head = append(append(append(head, `,"result":{"`...), kinds[k].items...), `":[`...)
	tail := []byte{']'}
	if to < len(items) {
		tail = mcp.AppendQuote(append(tail, `,"nextCursor":`...), t.cursor(k, items[to-1].Own))
	}
	if c.Revision.Modern() {
		tail = append(tail, `,"resultType":"complete","ttlMs":0,"cacheScope":"private"`...)
	}
	if state := t.degraded(v); state != nil {
		tail = append(append(tail, `,"_meta":`...), state...)
	}
	a := c.Answered(backend.JSONParts(http.StatusOK, head, v.items(k, from, to), append(tail, "}}"...)))
	a.State = c.State
	a.Owners = func(l *mcp.List) []upstream.Group { return v.owners(k, l) }
	return a, nil
}

// missing is a member that a list has to have and has not; "" for none.
func (t *Target) missing(v *view) string {
	if !t.Whole {
		return ""
	}
	for i, c := range v.catalogues {
		if c == nil || c.server == nil {
			return t.members[i].Upstream.Name
		}
	}
	return ""
}

// degraded says in a list's _meta which members are not as they should be; nil when all
// are.
func (t *Target) degraded(v *view) []byte {
	var fields []mcp.Field
	for i, c := range v.catalogues {
		if c != nil && c.failed == nil {
			continue
		}
		fields = append(fields, mcp.Field{Name: t.members[i].Upstream.Name, Value: mcp.Quote(t.members[i].Upstream.Health.String())})
	}
	if fields == nil {
		return nil
	}
	return mcp.Merge(nil, []mcp.Field{{Name: "dev.sallyport/backends", Value: mcp.Merge(nil, fields)}})
}

// before reports whether an item stands before another in lists.
func (t *Target) before(a memberItem, b Own) bool {
	name := t.members[b.Member].Upstream.Name
	if a.member != name {
		return a.member < name
	}
	return a.name < b.Name
}

// memberItem is an item by its member's name, which outlives the member's place.
type memberItem struct{ member, name string }

func (t *Target) cursor(k kind, last Own) string {
	member := t.members[last.Member].Upstream.Name
	b := binary.AppendUvarint([]byte{cursorVersion, byte(k)}, uint64(len(member)))
	return t.Ring.Seal(cursorPurpose, append(append(b, member...), last.Name...))
}

func (t *Target) openCursor(k kind, sealed string) (memberItem, bool) {
	plain, ok := t.Ring.Open(cursorPurpose, sealed)
	if !ok || len(plain) < 2 || plain[0] != cursorVersion || plain[1] != byte(k) {
		return memberItem{}, false
	}
	n, w := binary.Uvarint(plain[2:])
	rest := plain[2+max(w, 0):]
	if w <= 0 || n > uint64(len(rest)) {
		return memberItem{}, false
	}
	return memberItem{string(rest[:n]), string(rest[n:])}, true
}

// List returns the raw items of a whole list, as clients see them.
func (t *Target) List(ctx context.Context, c *upstream.Call, method string, change func(page []byte, owners upstream.Owners) ([]byte, error)) ([][]byte, error) {
	k, ok := kindOf(method)
	if !ok {
		return nil, nil
	}
	v := t.view(ctx, whose(c))
	whole := `{"jsonrpc":"2.0","id":1,"result":{"` + kinds[k].items + `":[` + string(v.items(k, 0, len(v.lists[k]))) + "]}}"
	page, err := change([]byte(whole), func(l *mcp.List) []upstream.Group { return v.owners(k, l) })
	if err != nil {
		return nil, err
	}
	l, err := mcp.ReadList(page, method)
	if err != nil || l == nil {
		return nil, err
	}
	var items [][]byte
	for _, it := range l.Items {
		items = append(items, l.Bytes(it.Span))
	}
	return items, nil
}
