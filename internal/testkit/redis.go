package testkit

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a real Redis server on loopback, with a user "sallyport" whose password
// is "redis-password".
type Redis struct {
	Address string // 127.0.0.1:PORT

	program, dir, port string
	lines              []string
	cmd                *exec.Cmd
	ended              chan struct{}
}

// The user of a [Redis].
const (
	RedisUser     = "sallyport"
	RedisPassword = "redis-password"
)

// StartRedis starts a server with further lines of configuration. It keeps what was
// written, so that it can be killed and started again.
func StartRedis(t testing.TB, lines ...string) *Redis {
	t.Helper()
	r := newRedis(t, append([]string{
		"user default off", "user " + RedisUser + " on >" + RedisPassword + " ~* &* +@all",
		"save \"\"", "appendonly yes", "appendfsync always",
	}, lines...))
	r.Start(t)
	return r
}

// StartSentinel starts a Sentinel that watches a server under the name "main".
func StartSentinel(t testing.TB, of *Redis) *Redis {
	t.Helper()
	s := newRedis(t, []string{
		"sentinel monitor main 127.0.0.1 " + of.port + " 1",
		"sentinel auth-user main " + RedisUser, "sentinel auth-pass main " + RedisPassword,
	}, "--sentinel")
	s.Start(t)
	return s
}

func newRedis(t testing.TB, lines []string, more ...string) *Redis {
	r := &Redis{program: Command(t, "redis-server", "redis-server"), dir: t.TempDir(), port: freePort(t)}
	r.Address = "127.0.0.1:" + r.port
	r.lines = append([]string{"bind 127.0.0.1", "port " + r.port, "dir " + r.dir}, lines...)
	writeFile(t, r.dir, "redis.conf", strings.Join(r.lines, "\n")+"\n")
	r.lines = more
	t.Cleanup(func() { r.Kill() })
	return r
}

// Start starts the server again after Kill, with what it had.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.cmd, r.ended = exec.Command(r.program, append([]string{r.dir + "/redis.conf"}, r.lines...)...), make(chan struct{})
	out := &Output{}
	r.cmd.Stdout, r.cmd.Stderr = out, out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait() // it is killed
		close(r.ended)
	}()
	Eventually(t, "Redis answers", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("Redis ended:\n%s", out)
		default:
		}
		answer, err := r.Command(t, "PING")
		return err == nil && (answer == "+PONG" || strings.Contains(answer, "NOAUTH"))
	})
}

// Kill ends the server as a lost machine would.
func (r *Redis) Kill() {
	_ = r.cmd.Process.Kill()
	<-r.ended
}

// Pause lets the server answer nobody, without ending a connection, until Resume.
func (r *Redis) Pause(t testing.TB) { signal(t, r.cmd.Process, syscall.SIGSTOP) }

// Resume ends a Pause.
func (r *Redis) Resume(t testing.TB) { signal(t, r.cmd.Process, syscall.SIGCONT) }

func signal(t testing.TB, p *os.Process, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Fatalf("send %v: %v", s, err)
	}
}

// Command sends one command, as the server's user where there is one, and returns
// the first line of the answer.
func (r *Redis) Command(t testing.TB, words ...string) (string, error) {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: Patience}).DialContext(t.Context(), "tcp", r.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(Patience))
	var b bytes.Buffer
	if len(r.lines) == 0 { // no Sentinel
		fmt.Fprintf(&b, "AUTH %s %s\r\n", RedisUser, RedisPassword)
	}
	fmt.Fprintf(&b, "%s\r\n", strings.Join(words, " "))
	if _, err := conn.Write(b.Bytes()); err != nil {
		return "", err
	}
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	if len(r.lines) == 0 && err == nil {
		line, err = answers.ReadString('\n')
	}
	return strings.TrimSpace(line), err
}
