package duplex

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// What may wait for a stream to be opened.
const (
	maxPending      = 64
	maxPendingBytes = 1 << 20
)

// pending holds what a server said while no stream was open. The zero pending is
// empty.
type pending struct {
	messages [][]byte
	size     int
	dropped  bool
}

// add stores a message. When there is too much, the oldest notification goes, or
// the oldest message of all where only requests are left. It reports how many went,
// and whether that happened for the first time.
func (p *pending) add(raw []byte) (lost int, first bool) {
	p.messages = append(p.messages, raw)
	p.size += len(raw)
	for len(p.messages) > maxPending || p.size > maxPendingBytes {
		i := p.leastMissed()
		p.size -= len(p.messages[i])
		p.messages = append(p.messages[:i], p.messages[i+1:]...)
		lost++
		first = first || !p.dropped
		p.dropped = true
	}
	return lost, first
}

func (p *pending) leastMissed() int {
	for i, raw := range p.messages {
		if m, ok := readMessage(raw); ok && m.kind == mcp.KindNotification {
			return i
		}
	}
	return 0
}

// forgetRequests drops the requests.
func (p *pending) forgetRequests() {
	p.messages = slices.DeleteFunc(p.messages, func(raw []byte) bool {
		m, ok := readMessage(raw)
		request := ok && m.kind == mcp.KindRequest
		if request {
			p.size -= len(raw)
		}
		return request
	})
}

// flush moves everything into a queue.
func (p *pending) flush(queue *queue) {
	for _, raw := range p.messages {
		queue.add(event{raw: raw})
	}
	p.messages, p.size = nil, 0
}
