package listen

import (
	"crypto/tls"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
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
	most  int
	log   *ratelimit.Log
	epoch time.Time

	// wanted says that a newcomer waits for a connection to become idle. What each request
	// does is no more than to read it: who is idle is looked for when a place is needed.
	wanted atomic.Bool

	mu     sync.Mutex
	room   sync.Cond
	open   map[*clientConn]struct{}
	closed bool
}

// New bounds the connections that a listener accepts. The server's ConnState is to be
// [Connections.Note].
func New(ln net.Listener, places Places, to *slog.Logger) *Connections {
	c := &Connections{Listener: ln, most: int(places), log: ratelimit.NewLog(to), epoch: time.Now(), open: map[*clientConn]struct{}{}}
	c.room.L = &c.mu
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
	mine := &clientConn{TCPConn: tcp, of: c}
	mine.idle.Store(c.now()) // it has not said anything yet
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.place() {
		_ = tcp.Close()
		return nil, net.ErrClosed
	}
	c.open[mine] = struct{}{}
	return mine, nil
}

// now is the time since the epoch; never 0.
func (c *Connections) now() int64 { return int64(time.Since(c.epoch)) + 1 }

// place waits for a place; false when the listener is closed. mu is held.
func (c *Connections) place() bool {
	for len(c.open) >= c.most && !c.closed {
		c.log.Warn("connections", "as many clients are connected as the process may open files for; idle connections are closed for new ones", "connections", c.most)
		c.wanted.Store(true) // before looking: who becomes idle after that says so
		longest, since := c.longest()
		if longest == nil {
			c.room.Wait()
			continue
		}
		c.wanted.Store(false) // whoever becomes idle now has to wait for longer
		if rest := patience - time.Duration(c.now()-since); rest > 0 {
			later := time.AfterFunc(rest, c.room.Broadcast)
			c.room.Wait()
			later.Stop()
			continue
		}
		if !longest.idle.CompareAndSwap(since, 0) {
			continue // not any more
		}
		c.mu.Unlock()
		_ = longest.Close() // nobody is told: it was idle
		c.mu.Lock()
	}
	c.wanted.Store(false)
	return !c.closed
}

// longest is the connection that has been idle for longest; nil where none is. mu is held.
func (c *Connections) longest() (conn *clientConn, since int64) {
	for one := range c.open {
		if at := one.idle.Load(); at != 0 && (conn == nil || at < since) {
			conn, since = one, at
		}
	}
	return conn, since
}

// Note implements http.Server's ConnState.
func (c *Connections) Note(conn net.Conn, state http.ConnState) {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	mine, ok := conn.(*clientConn)
	switch {
	case !ok || state == http.StateNew:
	case state != http.StateIdle:
		mine.idle.Store(0)
	default:
		mine.idle.Store(c.now())
		if c.wanted.Load() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.room.Broadcast()
		}
	}
}

// left gives a connection's place back.
func (c *Connections) left(conn *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
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
	of   *Connections
	idle atomic.Int64 // since when, by [Connections.now]; 0 while it is not
}

// Close gives the place back.
func (c *clientConn) Close() error {
	c.of.left(c)
	return c.TCPConn.Close()
}
