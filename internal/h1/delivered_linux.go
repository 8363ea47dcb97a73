package h1

import "golang.org/x/sys/unix"

// undelivered reports whether the backend's kernel closed the connection before it
// had acknowledged the whole of the current request. It is proof where the
// connection ended in order (FIN), and only there: the end acknowledges all that
// was taken in, and what was not, no program has seen.
func (c *conn) undelivered() bool {
	if c.raw == nil {
		return false
	}
	var info *unix.TCPInfo
	var err error
	ctrlErr := c.raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if ctrlErr != nil || err != nil {
		return false
	}
	// Everything before this request was answered. A kernel that does not count
	// that far does not count at all.
	return info.Bytes_acked >= c.acknowledged && info.Bytes_acked < c.sent
}
