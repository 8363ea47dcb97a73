package backend

import "golang.org/x/sys/unix"

// undelivered reports whether the backend's kernel closed the connection before it
// had taken in the whole of the current request. The caller has read the end of the
// connection, an orderly FIN, which acknowledges everything that was taken in: what
// it does not acknowledge, no program at the other side has seen.
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
