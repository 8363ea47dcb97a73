package duplex

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/duplex/process"
)

// StdioConfig describes a backend that is a local command.
type StdioConfig struct {
	Name    string   // of the resource; clients are told it
	Command []string // the program and its arguments; no shell is between
	// Env are KEY=VALUE lines beside the few variables the command inherits. They
	// may hold secrets: they are not logged, and taken out of what the command
	// writes to its stderr.
	Env []string
	Dir string // working directory; "" is the gateway's

	MaxSessions     int           // processes at a time, one per session; 64
	PerCaller       int           // of them; half
	IdleTimeout     time.Duration // of a session; 30 min
	AnswerTimeout   time.Duration // from a request to the first message of its answer; 2 min
	MaxMessageBytes int           // of one message from the command; 16 MiB

	Metrics backend.Metrics // nil: none
	Log     *slog.Logger    // its lines should already carry the server's name; nil: none
}

// stdioOrigin is the origin of session ids that commands have no part in.
const stdioOrigin = "stdio:"

// NewStdio prepares a backend; it starts nothing yet.
func NewStdio(cfg StdioConfig) (*Duplex, error) {
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, fmt.Errorf("open backend %s: no command", cfg.Name)
	}
	for _, arg := range cfg.Command {
		if strings.ContainsRune(arg, 0) {
			return nil, fmt.Errorf("open backend %s: an argument of the command holds a NUL character", cfg.Name)
		}
	}
	for _, line := range cfg.Env {
		// The line itself may be a secret.
		if name, _, ok := strings.Cut(line, "="); !ok || name == "" || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("open backend %s: an environment variable is not NAME=VALUE", cfg.Name)
		}
	}
	limits := backend.Limits{AnswerTimeout: cfg.AnswerTimeout, MaxEventBytes: cfg.MaxMessageBytes}.WithDefaults()
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &command{name: cfg.Name, Command: process.Command{
		Args: cfg.Command, Env: cfg.Env, Dir: cfg.Dir,
		MaxLine: limits.MaxEventBytes, Patience: limits.AnswerTimeout, Log: log,
	}}
	return newDuplex(config{
		name: cfg.Name, origin: stdioOrigin, opener: c,
		maxSessions: cfg.MaxSessions, perCaller: cfg.PerCaller, idle: cfg.IdleTimeout, answer: limits.AnswerTimeout, metrics: cfg.Metrics,
	}, log), nil
}

// command starts processes.
type command struct {
	process.Command
	name string

	mu   sync.Mutex
	back backoff // of a command that cannot be started at all
	why  string  // it could not the last time
}

func (c *command) modern() bool { return true }

// open implements opener. Each start is held back while the one before has failed.
func (c *command) open(ctx context.Context, _ outbound, to receiver) (link, *backend.Failure) {
	c.mu.Lock()
	wait, why := c.back.wait(time.Now()), c.why
	c.mu.Unlock()
	if wait > maxBackoffWait {
		return nil, comeAgain(c.name, wait, why)
	}
	if !sleep(ctx, wait) {
		return nil, backend.Ended(ctx, c.name)
	}
	p, err := c.Start(&lines{name: c.name, max: c.MaxLine, to: to})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.back.failed(time.Now(), 0)
		c.Log.Warn("command cannot be started", "error", err)
		c.why = c.whyNot(err)
		return nil, backend.Fail(c.name, http.StatusBadGateway, backend.ReasonCrashed, err, c.why)
	}
	c.back = backoff{}
	return pipe{p}, nil
}

// whyNot says what to do about a command that cannot be started. Arguments are
// left out: people write secrets there.
func (c *command) whyNot(err error) string {
	name := filepath.Base(c.Args[0])
	noDir := false
	if c.Dir != "" { // exec's error speaks of the program in any case
		info, err := os.Stat(c.Dir)
		noDir = err != nil || !info.IsDir()
	}
	switch {
	case noDir:
		return "the working directory of the command " + name + " does not exist or may not be entered; create it, or correct it"
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "the command " + name + " was not found; install it where the gateway's PATH leads, or give its full path"
	case errors.Is(err, fs.ErrPermission):
		return "the command " + name + " may not be executed by the gateway's user; check its permissions"
	case errors.Is(err, syscall.ENOEXEC):
		return "the command " + name + " is not a program for this machine; a script needs a first line like #!/bin/sh"
	}
	return "the command " + name + " cannot be started; see the gateway's log"
}

// pipe is a process as a link.
type pipe struct{ *process.Process }

var _ link = pipe{}

func (p pipe) send(ctx context.Context, out outbound) error {
	err := p.Send(ctx, out.body)
	if errors.Is(err, process.ErrUnsent) {
		return errUnsent
	}
	return err
}

func (p pipe) close() { p.Close() }

// lines is a receiver as a process knows it.
type lines struct {
	name string
	max  int
	to   receiver
}

var _ process.Receiver = (*lines)(nil)

// Line implements process.Receiver.
func (l *lines) Line(line []byte) bool { return l.to.received(line) }

// Long implements process.Receiver.
func (l *lines) Long(head, tail []byte) { l.to.skipped(l.max, answered(head, tail)) }

// Ended implements process.Receiver.
func (l *lines) Ended(how process.End) {
	var cause error
	text := "the command ended before it answered (" + how.State + "); the request may or may not have been carried out; send it again"
	if how.Words != "" {
		cause = errNeverSpoke
		text = "the command ended before it said anything to the gateway (" + how.State + "); its last words are: " + how.Words
	}
	l.to.ended(backend.Fail(l.name, http.StatusBadGateway, backend.ReasonCrashed, cause, text))
}

// answered is the idKey of the request that a long line answers, as far as its ends
// tell. Most servers write the id first or last; whatever lies between is
// only skipped if the line is JSON, and if it is not, it is nobody's answer.
func answered(head, tail []byte) string {
	for _, at := range []struct {
		re *regexp.Regexp
		in []byte
	}{
		{regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(-?\d+|"[^"\\]*")\s*,\s*"(?:jsonrpc|result|error)"`), head},
		{regexp.MustCompile(`[,{]\s*"id"\s*:\s*(-?\d+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`), tail},
	} {
		if found := at.re.FindSubmatch(at.in); found != nil {
			return idKey(found[1])
		}
	}
	return ""
}
