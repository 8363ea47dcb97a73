package h1

import (
	"context"
	"net"
	"slices"
	"syscall"
	"time"
)

// conn is one connection. One exchange uses it at a time.
type conn struct {
	owner *Transport
	addr  string
	tcp   net.Conn // for reading and writing
	outer net.Conn // for closing: whoever dialled may keep count
	raw   syscall.RawConn
	abort func() // c.close, made once

	in   reader
	keep bool // fit for another exchange after this one

	// How much was written: in all; of that, before the current request; and
	// whether the current request was cut short.
	sent, acknowledged uint64
	incomplete         bool

	idleSince time.Time
	keepFor   time.Duration // so long it may be unused, as the backend says; 0 when it does not
	probe     connProbe
}

func (t *Transport) dial(ctx context.Context, addr string, deadline time.Time) (*conn, error) {
	if !deadline.IsZero() {
		var cancel func()
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	var outer net.Conn
	var err error
	done := make(chan struct{})
	go func() { // dialling goes deep: here it would double the stack of a stream that is open for hours
		defer close(done)
		outer, err = t.cfg.Dial(ctx, "tcp", addr)
	}()
	<-done
	if err != nil {
		return nil, err
	}
	c := &conn{owner: t, addr: addr, outer: outer, tcp: outer}
	if w, ok := outer.(interface{ NetConn() net.Conn }); ok {
		c.tcp = w.NetConn() // net.Buffers are written at once to a *net.TCPConn only
	}
	if s, ok := c.tcp.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // without it the connection cannot be probed, that is all
	}
	c.abort = c.close
	c.in = reader{conn: c.tcp}
	_ = c.tcp.SetDeadline(deadline)
	return c, nil
}

// take returns a kept connection to addr, if there is one that looks alive.
func (t *Transport) take(addr string, deadline time.Time) *conn {
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
		if (c.keepFor == 0 || time.Since(c.idleSince) < c.keepFor) && c.quiet() && c.tcp.SetDeadline(deadline) == nil {
			c.in.got, c.in.small, c.in.patience = false, false, 0
			return c
		}
		c.close()
	}
}

// done ends an exchange whose answer was read to its end: the connection is kept
// if it may be.
func (c *conn) done(stop func() bool) {
	alive := stop() // otherwise the context has closed the connection
	clean := c.in.buffered() == 0
	c.in.release()
	if !alive || !clean || !c.keep || !c.owner.put(c) {
		c.close()
	}
}

func (c *conn) close() { _ = c.outer.Close() }

func (t *Transport) put(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle[c.addr]) >= t.cfg.MaxIdle {
		return false
	}
	c.idleSince = time.Now()
	t.idle[c.addr] = append(t.idle[c.addr], c)
	if t.reaper == nil {
		t.reaper = time.AfterFunc(t.cfg.IdleTimeout, t.reap)
	}
	return true
}

// reap closes connections that were not used for long, and comes again while
// there are others.
func (t *Transport) reap() {
	t.mu.Lock()
	var old []*conn
	now, next := time.Now(), time.Duration(0)
	for addr, list := range t.idle {
		n := 0
		for n < len(list) && now.Sub(list[n].idleSince) >= t.cfg.IdleTimeout {
			n++
		}
		old = append(old, list[:n]...)
		if n == len(list) {
			delete(t.idle, addr)
			continue
		}
		list = slices.Delete(list, 0, n)
		t.idle[addr] = list
		wait := t.cfg.IdleTimeout - now.Sub(list[0].idleSince)
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

// Close closes the connections that are not used, and keeps none from now on.
func (t *Transport) Close() {
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
