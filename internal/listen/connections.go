package listen

import (
	"container/list"
	"crypto/tls"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// Places is how many clients may be connected at a time, and as many requests open:
// each may need a connection to a backend too.
type Places int64

// Available are the places that the process has.
func Available() Places { return placesOf(openFiles()) }

// placesOf leaves some of the files that the process may have open to everything else:
// the admin listener above all.
func placesOf(files uint64) Places {
	const others = 64
	if files > math.MaxInt32 {
		files = math.MaxInt32
	}
	return Places(max(1, files-min(others, files/4)) / 2)
}

// Admit is limit, or less where there are not so many places: some more than those, since
// a client may ask again before its last request has given up its own.
func (p Places) Admit(limit int64, log *slog.Logger) int64 {
	most := int64(p + p/8)
	if limit <= most {
		return limit
	}
	if most < limit/2 {
		log.Warn("far fewer clients are served at a time than --max-in-flight says, since the process may open few files; raise that limit (ulimit -n, LimitNOFILE= of systemd)",
			"clients", int64(p), "max-in-flight", limit)
	}
	return most
}

// patience is how long a connection may be idle before it can have to give way: what its
// client has sent may be on the way.
const patience = time.Second

// Connections are those of clients: no more than there are places. Where all are taken a
// newcomer gets that of whoever has been idle for longest, or waits.
type Connections struct {
	net.Listener
	most int
	log  *ratelimit.Log

	mu   sync.Mutex
	room sync.Cond
	// open has those that are idle, the longest first, then the border, then those that
	// are not. Each request moves its connection over, and back.
	open   list.List // of *clientConn; the border has none
	border *list.Element
	closed bool
}

// New bounds the connections that a listener accepts. The server's ConnState is to be
// [Connections.Note].
func New(ln net.Listener, places Places, to *slog.Logger) *Connections {
	c := &Connections{Listener: ln, most: int(places), log: ratelimit.NewLog(to)}
	c.room.L = &c.mu
	c.border = c.open.PushBack(nil)
	return c
}

// Accept implements net.Listener. A place is looked for once somebody is there who needs
// it: until then nobody has to give way.
func (c *Connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil // of no listener that the gateway has
	}
	mine := &clientConn{TCPConn: tcp, of: c, since: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.place() {
		_ = tcp.Close()
		return nil, net.ErrClosed
	}
	mine.at = c.open.InsertBefore(mine, c.border) // it has not said anything yet
	return mine, nil
}

// place waits for a place; false when the listener is closed. mu is held.
func (c *Connections) place() bool {
	for c.open.Len()-1 >= c.most && !c.closed {
		c.log.Warn("connections", "as many clients are connected as the process may open files for; idle connections are closed for new ones", "connections", c.most)
		longest := c.open.Front()
		if longest == c.border {
			c.room.Wait()
			continue
		}
		conn := longest.Value.(*clientConn)
		if rest := patience - time.Since(conn.since); rest > 0 {
			later := time.AfterFunc(rest, c.room.Broadcast)
			c.room.Wait()
			later.Stop()
			continue
		}
		c.open.MoveToBack(longest)
		c.mu.Unlock()
		_ = conn.Close() // nobody is told: it was idle
		c.mu.Lock()
	}
	return !c.closed
}

// Note implements http.Server's ConnState.
func (c *Connections) Note(conn net.Conn, state http.ConnState) {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	mine, ok := conn.(*clientConn)
	if !ok || state == http.StateNew {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if state != http.StateIdle {
		c.open.MoveToBack(mine.at)
		return
	}
	mine.since = now
	c.open.MoveBefore(mine.at, c.border)
	c.room.Signal()
}

// left gives a connection's place back.
func (c *Connections) left(conn *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open.Remove(conn.at)
	c.room.Signal()
}

// Close implements net.Listener.
func (c *Connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.room.Broadcast()
	return c.Listener.Close()
}

// clientConn is a connection that has a place.
type clientConn struct {
	*net.TCPConn
	of    *Connections
	at    *list.Element // of.mu guards this and what follows
	since time.Time     // it has been idle, if it is
}

// Close gives the place back.
func (c *clientConn) Close() error {
	c.of.left(c)
	return c.TCPConn.Close()
}
