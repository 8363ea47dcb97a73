//go:build unix

package h1

import "golang.org/x/sys/unix"

// connProbe asks the kernel about a connection. Its parts are made once, so that
// asking allocates nothing.
type connProbe struct {
	fds   [1]unix.PollFd
	quiet bool
	poll  func(fd uintptr)
}

// quiet reports whether nothing has come on an unused connection: no end, no
// error, no byte.
func (c *conn) quiet() bool {
	if c.raw == nil {
		return true
	}
	p := &c.probe
	if p.poll == nil {
		p.poll = func(fd uintptr) {
			p.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			n, err := unix.Poll(p.fds[:], 0)
			p.quiet = n == 0 && (err == nil || err == unix.EINTR)
		}
	}
	p.quiet = false
	return c.raw.Control(p.poll) == nil && p.quiet
}
