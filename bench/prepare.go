package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// backends are the addresses of the stubs, host:port.
type backends struct{ plain, secure string }

func targetNames() []string {
	return []string{
		"direct", "nginx", "rp", "sallyport", "sallyportd", "guarded", "nginx-tls", "sallyport-tls",
		"virtual-1", "virtual-10", "virtual-50", "to-modern", "to-legacy",
	}
}

// newTarget prepares a target before the stub at backend (host:port), with its
// files in dir. It is started later.
func newTarget(name string, b backends, dir string, o *options) (*target, error) {
	t := &target{name: name, log: filepath.Join(dir, name+".log"), tls: strings.HasSuffix(name, "-tls")}
	backend := b.plain
	if name == "direct" {
		t.url = "http://" + backend + "/mcp"
		return t, nil
	}
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	t.url = "http://" + listen + "/mcp"
	if t.tls {
		t.url, backend = "https://"+listen+"/mcp", b.secure
	}
	switch name {
	case "nginx", "nginx-tls":
		err = t.isNginx(dir, listen, backend, o)
	case "rp":
		err = t.isProxy(listen, backend)
	case "sallyport":
		err = t.isGateway(dir, listen, backend, o, o.sallyport, "serve")
	case "virtual-1", "virtual-10", "virtual-50":
		t.members, _ = strconv.Atoi(strings.TrimPrefix(name, "virtual-")) // they are numbers
		err = t.isGateway(dir, listen, backend, o, o.sallyport, "serve")
	case "to-modern", "to-legacy":
		if t.speaks = legacyRevision; name == "to-modern" {
			t.speaks = modernRevision
		}
		err = t.isGateway(dir, listen, backend, o, o.sallyport, "serve")
	case "sallyport-tls":
		trusting := []string{"/usr/bin/env", "SSL_CERT_FILE=" + o.pair.cert}
		err = t.isGateway(dir, listen, backend, o, append(trusting, o.sallyport, "serve", "--tls-cert", o.pair.cert, "--tls-key", o.pair.key)...)
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
	text := t.proxyManifest(backend, o)
	if t.members > 0 {
		text = t.virtualManifest(backend)
	}
	return os.WriteFile(manifest, []byte(text), 0o600)
}

// virtualManifest has the stub for each of the members.
func (t *target) virtualManifest(backend string) string {
	text := `apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: bench}
spec: {groupRef: {name: stubs}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: stubs}
`
	for i := range t.members {
		text += fmt.Sprintf(`---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: m%d}
spec: {groupRef: {name: stubs}, remoteUrl: "http://%s/mcp", transport: streamable-http, allowPrivateEndpoint: true}
`, i, backend)
	}
	return text
}

func (t *target) proxyManifest(backend string, o *options) string {
	scheme := "http"
	if t.tls {
		scheme = "https"
	}
	text := `apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata:
  name: bench
spec:
  remoteUrl: ` + scheme + `://` + backend + `/mcp
  allowPrivateEndpoint: true
`
	if t.speaks != "" {
		text += "  protocolVersion: \"" + t.speaks + "\"\n"
	}
	if t.token != "" {
		text += o.issuer.guard()
	}
	return text
}

func (t *target) isNginx(dir, listen, backend string, o *options) error {
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // Debian's, which is not on every user's PATH
	}
	if _, err := os.Stat(path); err != nil {
		return errors.New("nginx is not installed: install it (apt-get install nginx-light), or leave it out with -targets")
	}
	conf, settings := filepath.Join(dir, t.name+".conf"), nginxConf(dir, listen, backend)
	if t.tls {
		settings = strings.NewReplacer(
			"listen "+listen, "ssl_certificate "+o.pair.cert+"; ssl_certificate_key "+o.pair.key+"; listen "+listen+" ssl",
			"proxy_pass http:", "proxy_pass https:", "nginx.pid", t.name+".pid",
		).Replace(settings)
	}
	t.argv = []string{path, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "nginx-error.log")}
	return os.WriteFile(conf, []byte(settings), 0o600)
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
