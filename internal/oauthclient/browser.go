package oauthclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
)

// Browser is a person's browser on this machine, and the place on loopback where it
// comes back to (RFC 8252 §7.3).
type Browser struct {
	Port int       // of the callback; 0 for any
	Out  io.Writer // where the address is printed
	// Open opens an address in the browser; nil prints it only.
	Open func(address string) error

	mu sync.Mutex // addresses of several servers are printed one after the other
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
	if b.Open == nil {
		return
	}
	if err := b.Open(address); err != nil && b.Out != nil {
		fmt.Fprintf(b.Out, "  (no browser could be opened: %v)\n", err)
	}
}

// OpenBrowser opens an http or https address with the desktop's own program. There is
// no shell in between, and the address cannot be an option of the program.
func OpenBrowser(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("the address is not http or https")
	}
	name, args := opener(runtime.GOOS)
	cmd := exec.Command(name, append(args, u.String())...)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // whatever it says, the address is printed too
	return nil
}

func opener(system string) (name string, args []string) {
	switch system {
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	case "darwin":
		return "open", nil
	}
	return "xdg-open", nil
}
