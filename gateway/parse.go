package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// parse reads the message, once and strictly: what two readers could read
// differently is refused (REQ F-5), and so is a header that says something else
// than the body.
func (e *Endpoint) parse(x *Exchange) (err *mcp.Error) {
	if x.r.Method != http.MethodPost {
		x.revision, err = mcp.Era(x.r.Header, &x.message) // there is no message; the header still has to make sense (L13)
		if ask := x.list.message(); ask != "" && err == nil {
			x.message, err = mcp.Parse([]byte(ask), e.server.opts.Message)
			e.startSpan(x)
		}
		return err
	}
	if x.message, err = mcp.Parse(x.body, e.server.opts.Message); err != nil {
		return err
	}
	if x.socket != nil {
		x.socket.describe(x)
	}
	e.startSpan(x)
	// 2024-11-05 knows no headers; postFront answers who tries a newer revision.
	if x.surface != surfaceMessages || len(x.r.Header[mcp.HeaderProtocolVersion]) > 0 {
		if x.revision, err = mcp.Era(x.r.Header, &x.message); err != nil {
			return err
		}
	}
	return mcp.CheckHeaders(x.r.Header, &x.message)
}
