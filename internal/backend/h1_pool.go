package backend

import (
	"context"
	"net"
	"slices"
	"syscall"
	"time"
)

// h1Conn is one connection. One exchange uses it at a time.
type h1Conn struct {
	owner *h1
	addr  string
	tcp   net.Conn // for reading and writing
	conn  net.Conn // for closing: the dialer keeps count
	raw   syscall.RawConn
	abort func() // c.close, made once

	in   h1Reader
	keep bool // fit for another exchange after this one

	// How much was written: in all; of that, before the current request; and
	// whether the current request was cut short.
	sent, acknowledged uint64
	incomplete         bool

	idleSince time.Time
	probe     connProbe
}

func (t *h1) dial(ctx context.Context, addr string, deadline time.Time) (*h1Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := t.dialer.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &h1Conn{owner: t, addr: addr, conn: conn, tcp: conn}
	if g, ok := conn.(*guardedConn); ok {
		c.tcp = g.Conn // net.Buffers are written at once to a *net.TCPConn only
	}
	if s, ok := c.tcp.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // without it the connection cannot be probed, that is all
	}
	c.abort = c.close
	c.in = h1Reader{conn: c.tcp}
	_ = c.tcp.SetDeadline(deadline)
	return c, nil
}

// take returns a kept connection to addr, if there is one that looks alive.
func (t *h1) take(addr string, deadline time.Time) *h1Conn {
	for {
		t.mu.Lock()
		list := t.idle[addr]
		if len(list) == 0 {
			t.mu.Unlock()
			return nil
		}
		c := list[len(list)-1]
		list[len(list)-1] = nil
		t.idle[addr] = list[:len(list)-1]
		t.mu.Unlock()
		// Nothing may be readable on an unused connection: neither its end nor an
		// answer that nobody asked for.
		if c.quiet() && c.tcp.SetDeadline(deadline) == nil {
			c.in.got, c.in.small, c.in.patience = false, false, 0
			return c
		}
		c.close()
	}
}

// done ends an exchange whose answer was read to its end: the connection is kept
// if it may be.
func (c *h1Conn) done(stop func() bool) {
	alive := stop() // otherwise the context has closed the connection
	clean := c.in.buffered() == 0
	c.in.release()
	if !alive || !clean || !c.keep || !c.owner.put(c) {
		c.close()
	}
}

func (c *h1Conn) close() { _ = c.conn.Close() }

func (t *h1) put(c *h1Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle[c.addr]) >= maxIdle {
		return false
	}
	c.idleSince = time.Now()
	t.idle[c.addr] = append(t.idle[c.addr], c)
	if t.reaper == nil {
		t.reaper = time.AfterFunc(idleTimeout, t.reap)
	}
	return true
}

// reap closes connections that were not used for long, and comes again while
// there are others.
func (t *h1) reap() {
	t.mu.Lock()
	var old []*h1Conn
	now, next := time.Now(), time.Duration(0)
	for addr, list := range t.idle {
		n := 0
		for n < len(list) && now.Sub(list[n].idleSince) >= idleTimeout {
			n++
		}
		old = append(old, list[:n]...)
		if n == len(list) {
			delete(t.idle, addr)
			continue
		}
		list = slices.Delete(list, 0, n)
		t.idle[addr] = list
		wait := idleTimeout - now.Sub(list[0].idleSince)
		if next == 0 || wait < next {
			next = wait
		}
	}
	if next == 0 || t.closed {
		t.reaper = nil
	} else {
		t.reaper.Reset(next)
	}
	t.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

func (t *h1) closeIdle() {
	t.mu.Lock()
	idle := t.idle
	t.idle, t.closed = nil, true
	if t.reaper != nil {
		t.reaper.Stop()
	}
	t.mu.Unlock()
	for _, list := range idle {
		for _, c := range list {
			c.close()
		}
	}
}
