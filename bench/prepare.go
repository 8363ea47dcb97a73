package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

func targetNames() []string {
	return []string{"direct", "nginx", "rp", "sallyport", "sallyportd", "guarded"}
}

// newTarget prepares a target before the stub at backend (host:port), with its
// files in dir. It is started later.
func newTarget(name, backend, dir string, o *options) (*target, error) {
	t := &target{name: name, log: filepath.Join(dir, name+".log")}
	if name == "direct" {
		t.url = "http://" + backend + "/mcp"
		return t, nil
	}
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	t.url = "http://" + listen + "/mcp"
	switch name {
	case "nginx":
		err = t.isNginx(dir, listen, backend)
	case "rp":
		err = t.isProxy(listen, backend)
	case "sallyport":
		err = t.isGateway(dir, listen, backend, o, o.sallyport, "serve")
	case "sallyportd":
		err = t.isGateway(dir, listen, backend, o, filepath.Join(filepath.Dir(o.sallyport), "sallyportd"))
	case "guarded":
		t.token = o.issuer.tokens[0]
		err = t.isGateway(dir, listen, backend, o, o.sallyport, "serve", "--audit-file", filepath.Join(dir, "audit.jsonl"))
	}
	return t, err
}

func (t *target) isProxy(listen, backend string) error {
	self, err := os.Executable()
	t.argv = []string{self, "proxy", listen, "http://" + backend}
	return err
}

// isGateway makes t one of Sallyport's programmes, with one proxy and nothing else.
func (t *target) isGateway(dir, listen, backend string, o *options, command ...string) error {
	if _, err := os.Stat(command[0]); err != nil {
		return fmt.Errorf("no %s to measure: build it with `go build -o bin/ ./cmd/...`, or name it with -sallyport: %w", t.name, err)
	}
	admin, err := freePort()
	if err != nil {
		return err
	}
	manifest := filepath.Join(dir, t.name+".yaml")
	t.argv = slices.Concat(command, []string{"-f", manifest, "--listen", listen, "--admin-listen", admin})
	if o.profiles != "" {
		t.admin = admin
		t.argv = append(t.argv, "--debug-pprof")
	}
	return os.WriteFile(manifest, []byte(t.proxyManifest(backend, o)), 0o600)
}

func (t *target) proxyManifest(backend string, o *options) string {
	text := `apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata:
  name: bench
spec:
  remoteUrl: http://` + backend + `/mcp
  allowPrivateEndpoint: true
`
	if t.token != "" {
		text += o.issuer.guard()
	}
	return text
}

func (t *target) isNginx(dir, listen, backend string) error {
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // Debian's, which is not on every user's PATH
	}
	if _, err := os.Stat(path); err != nil {
		return errors.New("nginx is not installed: install it (apt-get install nginx-light), or leave it out with -targets")
	}
	conf := filepath.Join(dir, "nginx.conf")
	t.argv = []string{path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "nginx-error.log")}
	return os.WriteFile(conf, []byte(nginxConf(dir, listen, backend)), 0o600)
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
