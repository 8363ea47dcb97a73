package oauthclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cli/browser"
)

// Browser is a person's browser on this machine, and the place on loopback where it
// comes back to (RFC 8252 §7.3).
type Browser struct {
	Port int       // of the callback; 0 for any
	Out  io.Writer // where the address is printed
	// Open opens an address in the browser; nil prints it only.
	Open func(address string) error
	// Paste is where a person may put, in a line, the address that a browser on another
	// machine ends at; nil where nobody can.
	Paste io.Reader

	mu     sync.Mutex // addresses of several servers are printed one after the other
	reads  sync.Once
	pasted chan string // lines of Paste
}

const callbackPath = "/callback"

// listen waits for the browser. The port of an earlier registration is taken again if
// it is free: many servers compare redirect URIs with their port.
func (b *Browser) listen(ctx context.Context, earlier string) (*callback, error) {
	ports := []int{b.Port}
	if u, err := url.Parse(earlier); err == nil && b.Port == 0 && earlier != "" {
		if p, err := strconv.Atoi(u.Port()); err == nil {
			ports = []int{p, 0}
		}
	}
	var failed []error
	for _, port := range ports {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return newCallback(l), nil
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("listen for the browser's return: %w", errors.Join(failed...))
}

// show prints the address, always, and opens it.
func (b *Browser) show(server, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Out != nil {
		fmt.Fprintf(b.Out, "\n  %s wants you to sign in. Open this address in a browser on this machine:\n\n  %s\n\n", server, address)
	}
	if b.Paste != nil && b.Out != nil {
		fmt.Fprint(b.Out, "  If the browser is on another machine, its last page cannot be shown. Paste the address of that page here:\n\n")
	}
	if b.Open == nil {
		return
	}
	if err := b.Open(address); err != nil && b.Out != nil {
		fmt.Fprintf(b.Out, "  (no browser could be opened: %v)\n", err)
	}
}

// takePasted lets a person bring the response by hand until stop is called. It is
// looked at like one that a browser brings.
func (b *Browser) takePasted(ctx context.Context, to *callback) (stop func()) {
	if b.Paste == nil {
		return func() {}
	}
	b.reads.Do(func() {
		b.pasted = make(chan string)
		go func() { // for as long as there are lines: no read of a terminal can be called off
			defer close(b.pasted)
			for lines := bufio.NewScanner(b.Paste); lines.Scan(); {
				b.pasted <- lines.Text()
			}
		}()
	})
	ctx, stop = context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case line, ok := <-b.pasted:
				if !ok {
					return
				}
				u, err := url.Parse(strings.TrimSpace(line))
				if (err != nil || !to.claim(u.Query())) && b.Out != nil {
					fmt.Fprint(b.Out, "  That is not the address of the last page of this sign-in; it begins with "+to.redirect+"?\n")
				}
			}
		}
	}()
	return stop
}

// OpenBrowser opens an http or https address with the desktop's own program. There is
// no shell in between, and the address cannot be an option of the program. What the
// program says goes nowhere: our own output may be read by another.
func OpenBrowser(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("the address is not http or https")
	}
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	failed := make(chan error, 1)
	go func() { failed <- browser.OpenURL(u.String()) }()
	select {
	case err := <-failed:
		return err
	case <-time.After(time.Second): // some stay until the browser is closed
		return nil
	}
}
