package backend

import (
	"errors"
	"io"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// errOtherTransport is a stream that names an endpoint of the backend's own, as those
// of 2024-11-05 do. A client that followed it would go round the gateway.
var errOtherTransport = errors.New("the stream is one of HTTP+SSE (2024-11-05)")

// firstEvent is an event stream that breaks where it begins with an endpoint event: the
// end of the event, without which it is none, is not passed on.
type firstEvent struct {
	io.ReadCloser
	found   func()
	tracker *mcp.Tracker // nil after the first event
}

func (f *firstEvent) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.tracker == nil {
		return n, err
	}
	_, _ = f.tracker.Write(p[:n]) // a Tracker's Write cannot fail
	switch f.tracker.FirstEvent() {
	case "":
	case "endpoint":
		f.found()
		return 0, errOtherTransport
	default:
		f.tracker = nil
	}
	return n, err
}
