package backend

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
	"strings"
	"sync"
	"syscall"
	"time"
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
	IdleTimeout     time.Duration // of a session; 30 min
	AnswerTimeout   time.Duration // from a request to the first message of its answer; 2 min
	MaxMessageBytes int           // of one message from the command; 16 MiB

	Log *slog.Logger // its lines should already carry the server's name; nil: none
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
	c := &command{cfg: cfg}
	if c.cfg.Log == nil {
		c.cfg.Log = slog.New(slog.DiscardHandler)
	}
	c.cfg.MaxMessageBytes = orDefault(cfg.MaxMessageBytes, Limits{}.withDefaults().MaxEventBytes)
	c.cfg.AnswerTimeout = orDefault(cfg.AnswerTimeout, Limits{}.withDefaults().AnswerTimeout)
	c.hide = hider(cfg.Env)
	return newDuplex(duplexConfig{
		name: cfg.Name, origin: stdioOrigin, opener: c,
		maxSessions: cfg.MaxSessions, idle: cfg.IdleTimeout, answer: c.cfg.AnswerTimeout,
	}, c.cfg.Log), nil
}

// command starts processes.
type command struct {
	cfg  StdioConfig
	hide *strings.Replacer

	mu   sync.Mutex
	back backoff // of a command that cannot be started at all
	why  string  // it could not the last time
}

func (c *command) modern() bool { return true }

// open implements opener. Each start is held back while the one before has failed.
func (c *command) open(ctx context.Context, _ outbound, to receiver) (link, *Failure) {
	c.mu.Lock()
	wait, why := c.back.wait(time.Now()), c.why
	c.mu.Unlock()
	if wait > maxBackoffWait {
		return nil, comeAgain(c.cfg.Name, wait, why)
	}
	if !sleep(ctx, wait) {
		return nil, ended(ctx, c.cfg.Name)
	}
	p, err := c.startProcess(to)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.back.failed(time.Now(), 0)
		c.cfg.Log.Warn("command cannot be started", "error", err)
		c.why = c.whyNot(err)
		return nil, fail(c.cfg.Name, http.StatusBadGateway, ReasonCrashed, err, c.why)
	}
	c.back = backoff{}
	return p, nil
}

// whyNot says what to do about a command that cannot be started. Arguments are
// left out: people write secrets there.
func (c *command) whyNot(err error) string {
	name := filepath.Base(c.cfg.Command[0])
	noDir := false
	if c.cfg.Dir != "" { // exec's error speaks of the program in any case
		info, err := os.Stat(c.cfg.Dir)
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
