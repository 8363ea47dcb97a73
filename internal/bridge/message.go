package bridge

import "github.com/sallyport-dev/sallyport/internal/bridge/wire"

// The package's own words for what it speaks in.
type (
	message = wire.Message
	source  = wire.Source
)

func request(id []byte, method string, params []byte) []byte { return wire.Request(id, method, params) }

func notification(method string, params []byte) []byte { return wire.Notification(method, params) }
func response(id, result []byte) []byte                { return wire.Response(id, result) }
