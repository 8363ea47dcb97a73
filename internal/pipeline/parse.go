package pipeline

import "github.com/sallyport-dev/sallyport/internal/mcp"

// parse reads the message, once and strictly: what two readers could read
// differently is refused (REQ F-5), and so is a transport that says something else
// than the message.
func (e *Endpoint) parse(x *Exchange) (err *mcp.Error) {
	if err = x.Client.Read(x); err != nil {
		return err
	}
	if x.Body != nil {
		if x.Message, err = mcp.Parse(x.Body, e.Message); err != nil {
			return err
		}
		e.startSpan(x)
	}
	return x.Client.Complete(x)
}
