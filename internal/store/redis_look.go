package store

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Look is what a Redis is, to somebody who uses it as the gateway does.
type Look struct {
	Version string
	Clock   time.Time // its own
	Asked   time.Time // by ours, in the middle of asking for that
}

// Trouble is what keeps a Redis from being of use.
type Trouble string

// The troubles that call for something different each. Other is one that its own words say
// best.
const (
	NoName      Trouble = "no name"      // the address cannot be resolved
	Unreachable Trouble = "unreachable"  // nobody answers there
	Untrusted   Trouble = "untrusted"    // its certificate is not that of a server that we know
	NoTLS       Trouble = "no TLS"       // it speaks none, and is asked to
	HungUp      Trouble = "hung up"      // it ends connections before it says a word: it may want TLS
	WrongUser   Trouble = "wrong user"   // it does not know the user, or the password
	NoRight     Trouble = "no right"     // the user may not do all that the gateway does
	ReadOnly    Trouble = "read only"    // it is a copy of another
	InCluster   Trouble = "in a cluster" // it has a part of the keys, and points elsewhere for the others
	NotReady    Trouble = "not ready"    // it is full, loads, cannot write to its disk, or is no master that Sentinels know
	TooOld      Trouble = "too old"      // it lacks a command
	Other       Trouble = "other"
)

// TroubledError is the error of a [Redis.Look].
type TroubledError struct {
	Trouble Trouble
	Doing   string // what was tried last
	Err     error
}

// Error implements error. Nothing of a password is in it.
func (e *TroubledError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap is the error of the connection.
func (e *TroubledError) Unwrap() error { return e.Err }

// LookPrefix is before the keys that Look writes, which are gone when it ends.
const LookPrefix = "look/"

// Look connects, and does once each thing that a gateway does with its store, with keys
// that nobody else has. Its error is a *[TroubledError].
func (r *Redis) Look(ctx context.Context) (*Look, error) {
	var l Look
	key := LookPrefix + rand.Text()
	const brief = time.Minute // should we end before it is deleted
	defer func() { _ = r.Delete(context.WithoutCancel(ctx), key) }()
	for _, step := range []struct {
		doing string
		do    func() error
	}{
		{"connect", func() error { return r.do(ctx, l.ask) }},
		{"write", func() error { return r.Put(ctx, key, []byte("1"), brief) }},
		{"read", func() error { _, err := r.Get(ctx, key); return err }},
		{"run a script", func() error { _, err := r.Swap(ctx, key, []byte("1"), []byte("2"), brief); return err }},
		{"list keys", func() error { return r.Scan(ctx, key, func(string, []byte) bool { return false }) }},
		{"read and delete", func() error { _, err := r.Take(ctx, key); return err }},
		{"count calls", func() error { _, _, err := r.TakeRate(ctx, key, time.Second, brief); return err }},
	} {
		if err := step.do(); err != nil {
			trouble := troubleOf(err)
			if trouble == Unreachable && r.cfg.TLS != nil && r.answersPlain(ctx) {
				trouble = NoTLS // it waits for the end of the line that a TLS hello is not
			}
			return &l, &TroubledError{trouble, step.doing, err}
		}
	}
	return &l, nil
}

// answersPlain reports whether somebody at the first address answers without TLS.
func (r *Redis) answersPlain(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.DialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.cfg.Addresses[0])
	if err != nil {
		return false
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if conn.SetDeadline(until) != nil {
		return false
	}
	first := make([]byte, 1)
	_, err = io.WriteString(conn, "PING\r\n")
	if err == nil {
		_, err = io.ReadFull(conn, first)
	}
	return err == nil && (first[0] == '+' || first[0] == '-') // +PONG, or -NOAUTH
}

// ask is for what Redis says of itself.
func (l *Look) ask(ctx context.Context, c rueidis.Client) error {
	hello, err := c.Do(ctx, c.B().Hello().Protover(3).Build()).AsMap()
	if err == nil {
		version := hello["version"]
		l.Version, _ = version.ToString()
	}
	before := time.Now()
	clock, err := c.Do(ctx, c.B().Time().Build()).AsIntSlice()
	if err == nil && len(clock) == 2 {
		l.Clock, l.Asked = time.Unix(clock[0], clock[1]*1000), before.Add(time.Since(before)/2)
	}
	return err
}

func troubleOf(err error) Trouble {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return NoName
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Untrusted
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NoTLS
	}
	said, ok := errors.AsType[*rueidis.RedisError](err)
	if !ok {
		return troubleOnTheWay(err)
	}
	text := said.Error()
	for trouble, words := range map[Trouble][]string{
		WrongUser: {"WRONGPASS", "NOAUTH", "invalid password", "without any password configured"},
		NoRight:   {"NOPERM", "no permissions", "ACL failure"},
		ReadOnly:  {"READONLY"},
		InCluster: {"MOVED", "CLUSTERDOWN", "CROSSSLOT"},
		NotReady:  {"OOM ", "LOADING", "MISCONF", "MASTERDOWN", "NOREPLICAS", "IDONTKNOW", "No such master"},
		TooOld:    {"unknown command"},
	} {
		for _, w := range words {
			if strings.Contains(text, w) {
				return trouble
			}
		}
	}
	return Other
}

// troubleOnTheWay is that of an error which Redis has not sent.
func troubleOnTheWay(err error) Trouble {
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case isOp && op.Op == "dial":
		return Unreachable
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isOp && !op.Timeout():
		return HungUp
	case isOp, errors.Is(err, context.DeadlineExceeded), strings.Contains(fmt.Sprint(err), "timeout"):
		return Unreachable
	}
	return Other
}
