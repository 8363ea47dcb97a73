package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// target is something that answers at an MCP endpoint.
type target struct {
	name  string
	url   string
	argv  []string // nil: the stub itself
	admin string   // where it serves profiles, if it does
	log   string   // file for what it prints
	proc  *process
	pids  []int
}

func targetNames() []string { return []string{"direct", "nginx", "rp", "sallyport"} }

// newTarget prepares a target before the stub at backend (host:port).
func newTarget(name, backend, dir string, o *options) (*target, error) {
	t := &target{name: name, log: filepath.Join(dir, name+".log")}
	if name == "direct" {
		t.url = "http://" + backend + "/mcp"
		return t, nil
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	t.url = "http://" + port + "/mcp"
	switch name {
	case "rp":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		t.argv = []string{self, "proxy", port, "http://" + backend}
	case "nginx":
		path, err := nginxPath()
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, []byte(nginxConf(dir, port, backend)), 0o600); err != nil {
			return nil, err
		}
		t.argv = []string{path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "nginx-error.log")}
	case "sallyport":
		if _, err := os.Stat(o.sallyport); err != nil {
			return nil, fmt.Errorf("no binary to measure: build it with `go build -o bin/ ./cmd/...`, or name it with -sallyport: %w", err)
		}
		admin, err := freePort()
		if err != nil {
			return nil, err
		}
		manifest := filepath.Join(dir, "bench.yaml")
		if err := os.WriteFile(manifest, []byte(proxyManifest(backend)), 0o600); err != nil {
			return nil, err
		}
		t.argv = []string{o.sallyport, "serve", "-f", manifest, "--listen", port, "--admin-listen", admin}
		if o.profiles != "" {
			t.admin = admin
			t.argv = append(t.argv, "--debug-pprof")
		}
	}
	return t, nil
}

func proxyManifest(backend string) string {
	return `apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata:
  name: bench
spec:
  remoteUrl: http://` + backend + `/mcp
  allowPrivateEndpoint: true
`
}

func nginxPath() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/nginx" // not on every user's PATH
	if _, err := os.Stat(debian); err != nil {
		return "", errors.New("nginx is not installed: install it (apt-get install nginx-light), or leave it out with -targets")
	}
	return debian, nil
}

// nginxConf is a plain reverse proxy as one would write it for MCP: streams are
// not buffered, connections to the backend are kept.
func nginxConf(dir, listen, backend string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its workers must reach the temporary folder
	}
	temp := func(kind string) string { return kind + "_temp_path " + filepath.Join(dir, kind) + ";" }
	return user + `
daemon off;
worker_processes 2;
pid ` + filepath.Join(dir, "nginx.pid") + `;
events { worker_connections 8192; }
http {
  access_log off;
  ` + temp("client_body") + temp("proxy") + temp("fastcgi") + temp("uwsgi") + temp("scgi") + `
  client_max_body_size 16m;
  upstream stub { server ` + backend + `; keepalive 256; keepalive_requests 100000000; }
  server {
    listen ` + listen + ` backlog=4096;
    keepalive_requests 100000000;
    location / {
      proxy_pass http://stub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`
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
	session, err := c.open()
	if err != nil {
		return err
	}
	req, _ := scenarios()[0].request(c.host, c.path, session)
	a, err := c.do(req)
	if err != nil {
		return err
	}
	return a.result(0)
}

func (t *target) stop() {
	if t.proc != nil {
		t.proc.stop()
		t.proc = nil
	}
}
