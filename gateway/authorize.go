package gateway

import "github.com/sallyport-dev/sallyport/internal/mcp"

// resolve turns the public name a client used into the backend's own. Without tool
// configuration names are left alone.
func (e *Endpoint) resolve(x *Exchange) *mcp.Error {
	if e.tools != nil && x.message.Method == "tools/call" {
		if err := e.rename(x); err != nil {
			return err
		}
	}
	x.target = x.message.Target
	return nil
}

// filter lets request filters see the arguments; none can be configured yet.
func (e *Endpoint) filter(*Exchange) *mcp.Error { return nil }

// authorize lets everything pass: no resource carries a policy yet, and one that
// tries to is refused when it is loaded.
func (e *Endpoint) authorize(*Exchange) *mcp.Error { return nil }
