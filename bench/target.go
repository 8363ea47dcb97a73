package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// target is something that answers at an MCP endpoint.
type target struct {
	name string
	url  string
	argv []string // nil: the stub itself
	tls  bool     // on both sides
	// members is how many servers there are behind a virtual one; 0 for another target. Each
	// of them is the stub.
	members int
	speaks  string // the one revision of the stub, as the manifest has it; "" for all
	token   string // what it wants to see; "" for nothing, and then any scenario will do
	admin   string // where it serves profiles, if it does
	log     string // file for what it prints
	proc    *process
	pids    []int
}

// freePort returns a loopback address that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start runs the target until stop; it is ready when start returns, and took so
// long to its first successful call.
func (t *target) start(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	if t.argv == nil {
		return 0, t.call()
	}
	var err error
	if t.proc, err = startProcess(t.argv, t.log); err != nil {
		return 0, fmt.Errorf("start %s: %w", t.name, err)
	}
	if err := t.await(ctx); err != nil {
		said, _ := os.ReadFile(t.log)
		t.stop()
		return 0, fmt.Errorf("%s does not answer: %w\nit said: %s", t.name, err, said)
	}
	took := time.Since(begin)
	t.pids = tree(t.proc.cmd.Process.Pid)
	return took, nil
}

// await calls until a call succeeds.
func (t *target) await(ctx context.Context) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := t.call()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return err
		}
		select {
		case <-t.proc.done:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// call makes a session and one call.
func (t *target) call() error {
	c := newClient(t.url)
	defer c.close()
	s, session := scenarios()[0], ""
	if t.token != "" {
		s, _ = scenarioNamed("call-guarded")
	} else {
		var err error
		if session, err = c.open(); err != nil {
			return err
		}
	}
	req, _ := s.request(c.host, c.path, session, t.token, t.prefix())
	a, err := c.do(req)
	if err != nil {
		return err
	}
	return a.result(0)
}

// prefix is what stands before the names of tools.
func (t *target) prefix() string {
	if t.members == 0 {
		return ""
	}
	return "m0_"
}

// special reports a target that has one thing to show, and is otherwise like another.
func (t *target) special() bool { return t.members > 0 || t.speaks != "" }

func (t *target) stop() {
	if t.proc != nil {
		t.proc.stop()
		t.proc = nil
	}
}
