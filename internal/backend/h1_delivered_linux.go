package backend

import "golang.org/x/sys/unix"

// undelivered reports whether the backend's kernel closed the connection before it
// had acknowledged the whole of the current request. Where the connection ended in
// order (FIN) that is proof: the end acknowledges all that was taken in, and what
// was not, no program has seen. A reset is what a kernel sends for data that nobody
// read; only a program that reads, acts, and resets on purpose, all within the 40 ms
// for which acknowledgements may be delayed, would look the same.
func (c *h1Conn) undelivered() bool {
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
