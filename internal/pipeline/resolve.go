package pipeline

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// resolve turns the public name a client used into the server's own. A message whose
// name changes is read again: what later steps see is what the server will read.
func (e *Endpoint) resolve(x *Exchange) (err *mcp.Error) {
	if err := x.begin(); err != nil {
		return err
	}
	r := e.Target.Resolve(x.Request.Context(), &x.Call, &x.Message)
	x.member, x.target, x.hints, x.lists = r.Member, r.Name, r.Hints, r.Lists
	if r.Unknown != "" {
		return x.unknown(r.Unknown)
	}
	if r.Edits == nil {
		return nil
	}
	x.Body, x.renamed = mcp.Splice(x.Body, r.Edits...), true
	x.Message, err = mcp.Parse(x.Body, e.Message)
	return err
}

// unknown is the answer to a name that this caller cannot use, whether or not
// there is such a thing: the two must not be told apart (MCP tools, -32602).
func (x *Exchange) unknown(what string) *mcp.Error {
	status := http.StatusOK // an older client takes an error status for a broken session
	if x.Revision.Modern() {
		status = http.StatusBadRequest
	}
	e := mcp.Errorf(status, mcp.CodeInvalidParams, "unknown %s: %s", what, x.target)
	if what == "resource" {
		e.Data = mcp.Merge(nil, []mcp.Field{{Name: "uri", Value: mcp.Quote(x.target)}})
	}
	return e
}
