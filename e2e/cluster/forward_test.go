//go:build cluster

package cluster_test

import (
	"context"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

var (
	forwarding = regexp.MustCompile(`^kubectl (?:-n (\S+) )?port-forward (?:service|deployment)/(\S+)((?: \d+:\d+)+)$`)
	pair       = regexp.MustCompile(`(\d+):(\d+)`)
)

// forward plays kubectl port-forward: it leads to a pod that is ready. One at the same port ends the one before.
func (w *walk) forward(line string) bool {
	w.t.Helper()
	m := forwarding.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	namespace := m[1]
	if namespace == "" {
		namespace = "default"
	}
	for _, ports := range pair.FindAllStringSubmatch(m[3], -1) {
		port := "mcp" // or whatever a Service calls it
		if ports[2] == "9090" {
			port = "admin"
		}
		pods := func() []string { return w.nodes[namespace].Addresses("app.kubernetes.io/instance", m[2], port) }
		testkit.Eventually(w.t, "a pod of "+m[2]+" is ready", func() bool { return len(pods()) > 0 })
		address := w.own.Replace("127.0.0.1:" + ports[1])
		if end := w.forwards[address]; end != nil {
			end()
		}
		w.forwards[address] = lead(w.t, address, pods)
	}
	return true
}

// lead leads each connection to an address to the first of those that there are.
func lead(t *testing.T, address string, to func() []string) (end func()) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer from.Close()
				pods := to()
				if len(pods) == 0 {
					return
				}
				pod, err := (&net.Dialer{}).DialContext(ctx, "tcp", pods[0])
				if err != nil {
					return
				}
				defer pod.Close()
				defer context.AfterFunc(ctx, func() { from.Close(); pod.Close() })()
				var both sync.WaitGroup
				for _, way := range [][2]net.Conn{{from, pod}, {pod, from}} {
					both.Go(func() {
						_, _ = io.Copy(way[1], way[0])
						_ = way[1].(*net.TCPConn).CloseWrite()
					})
				}
				both.Wait()
			})
		}
	})
	var once sync.Once
	end = func() {
		once.Do(func() {
			cancel()
			ln.Close()
			all.Wait()
		})
	}
	t.Cleanup(end)
	return end
}
