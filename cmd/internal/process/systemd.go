package process

import (
	"log/slog"
	"net"
	"os"
)

// notify tells systemd, if it started this process (Type=notify), what state it is in: "READY=1", "STOPPING=1"
// (sd_notify(3)). The socket's name may be of the abstract kind, @NAME, which net knows.
func notify(log *slog.Logger, state string) {
	at := os.Getenv("NOTIFY_SOCKET")
	if at == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: at, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close() // nothing is awaited from it
	}
	if err != nil {
		log.Warn("systemd was not told", "state", state, "cause", err)
	}
}
