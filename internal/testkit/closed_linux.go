package testkit

import (
	"net"
	"syscall"
	"testing"
)

// CloseSeen closes a TCP connection, or what has one in NetConn, once the other end's
// kernel has taken its end: on a busy machine that may be long after Close returns.
func CloseSeen(t testing.TB, conn net.Conn) {
	t.Helper()
	if outer, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = outer.NetConn()
	}
	tcp := conn.(*net.TCPConn)
	defer tcp.Close()
	if err := tcp.CloseWrite(); err != nil {
		t.Errorf("close the connection: %v", err)
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Errorf("close the connection: %v", err)
		return
	}
	Eventually(t, "the end of the connection is acknowledged", func() bool {
		const finWait1 = 4 // TCP_FIN_WAIT1: our end is not yet acknowledged
		acknowledged := false
		err := raw.Control(func(fd uintptr) {
			info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
			acknowledged = err == nil && info&0xff != finWait1 // tcpi_state is the first byte
		})
		return err == nil && acknowledged
	})
}
