package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// Plane is a control plane. Its methods may be called side by side.
type Plane struct {
	URL        string // of the API server
	Kubeconfig string // of one who may do everything

	address   string // of the API server
	dir       string
	programs  []*program // in the order of their start
	client    *client
	discovery *discovery
	marks     atomic.Int64 // in the audit log
	pods      atomic.Int64 // that were given an address
}

// Start starts one that ends with the test.
func Start(t testing.TB) *Plane {
	t.Helper()
	return startFor(t, true)
}

// StartBare starts one that does not know our kinds.
func StartBare(t testing.TB) *Plane {
	t.Helper()
	return startFor(t, false)
}

func startFor(t testing.TB, kinds bool) *Plane {
	t.Helper()
	p, err := start(kinds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

// Main runs the tests of a package that shares one control plane, which is in *shared
// before the first test:
//
//	var plane *kube.Plane
//
//	func TestMain(m *testing.M) { kube.Main(m, &plane) }
func Main(m *testing.M, shared **Plane) {
	p, err := start(true)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	*shared = p
	testkit.Main(&tests{m, p})
}

// tests ends the control plane after the last test, before anybody looks for what was left behind.
type tests struct {
	m *testing.M
	p *Plane
}

func (t *tests) Run() int {
	defer t.p.stop()
	return t.m.Run()
}

// start starts the programs in the folder that SALLYPORT_TEST_KUBE names, and waits until all is there that a test may
// rest on.
func start(kinds bool) (*Plane, error) {
	programs, err := folder()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sallyport-kube-")
	if err != nil {
		return nil, fmt.Errorf("start a control plane: %w", err)
	}
	p := &Plane{address: nodeAddress(), dir: dir, discovery: &discovery{}}
	steps := []func(ctx context.Context, programs string) error{p.startServer, p.installKinds, p.startControllers}
	if !kinds {
		steps = slices.Delete(steps, 1, 2)
	}
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(context.Background(), 3*testkit.Patience) // each is much to do for a busy machine
		err := step(ctx, programs)
		if cancel(); err != nil {
			err = fmt.Errorf("start a control plane: %w\n%s", err, p.lastWords())
			p.stop()
			return nil, err
		}
	}
	return p, nil
}

// stop ends everything, the last first, and removes what it kept.
func (p *Plane) stop() {
	for i := len(p.programs) - 1; i >= 0; i-- {
		p.programs[i].stop()
	}
	if p.client != nil {
		p.client.http.CloseIdleConnections()
	}
	_ = os.RemoveAll(p.dir)
}

// auditPolicy has a line for each request, when it has been answered, and no contents.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
`

// startServer starts etcd and the API server.
func (p *Plane) startServer(ctx context.Context, programs string) error {
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = testkit.Unused(); err != nil {
			return err
		}
	}
	etcd, peer := "http://"+addresses[0], "http://"+addresses[1]
	_, port, _ := net.SplitHostPort(addresses[2])
	p.URL = "https://" + net.JoinHostPort(p.address, port)
	password, err := p.writeCredentials()
	if err != nil {
		return err
	}
	err = p.run(filepath.Join(programs, "etcd"), "--data-dir", p.file("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err != nil {
		return err
	}
	reconciler := "none" // or it refuses a loopback address
	if p.hasMachine() {
		reconciler = "lease"
	}
	err = p.run(filepath.Join(programs, "kube-apiserver"), "--etcd-servers", etcd,
		"--bind-address", p.address, "--secure-port", port, "--cert-dir", p.file("serving"),
		"--endpoint-reconciler-type", reconciler,
		"--service-cluster-ip-range", "10.0.0.0/16",
		"--authorization-mode", "RBAC", "--token-auth-file", p.file("tokens.csv"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", p.file("accounts.key"), "--service-account-signing-key-file", p.file("accounts.key"),
		"--audit-policy-file", p.file("audit.yaml"), "--audit-log-path", p.file("audit.log"), "--audit-log-mode", "blocking-strict")
	if err != nil {
		return err
	}
	if err := p.waitFor(ctx, "the API server's certificate", func() error { return p.connect(password) }); err != nil {
		return err
	}
	return p.waitFor(ctx, "the API server", func() error {
		_, err := p.client.do(ctx, http.MethodGet, "/readyz", "", nil)
		return err
	})
}

// writeCredentials writes what the API server knows people and accounts by, and returns the password of one who may do
// everything.
func (p *Plane) writeCredentials() (password string, err error) {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // it never fails
	password = hex.EncodeToString(random)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{
		"tokens.csv":   password + ",admin,admin,system:masters\n",
		"audit.yaml":   auditPolicy,
		"accounts.key": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
	} {
		if err := os.WriteFile(p.file(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return password, nil
}

// connect makes the client of one who may do everything. The API server signs its certificate itself, when it starts.
func (p *Plane) connect(password string) error {
	ca, err := os.ReadFile(p.authority())
	if err != nil {
		return err
	}
	if p.client, err = newClient(p.URL, password, ca); err != nil {
		return err
	}
	p.Kubeconfig = p.file("admin.kubeconfig")
	return p.writeKubeconfig(p.Kubeconfig, password)
}

func (p *Plane) authority() string { return p.file("serving/apiserver.crt") }

// writeKubeconfig writes one for the bearer of a token.
func (p *Plane) writeKubeconfig(file, token string) error {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{"server": p.URL, "certificate-authority": p.authority()}}},
		"users":    []any{map[string]any{"name": "test", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "test", "context": map[string]any{"cluster": "test", "user": "test"}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// installKinds installs ours. They come before the controller manager, whose garbage collector looks for new kinds every
// half minute only.
func (p *Plane) installKinds(ctx context.Context, _ string) error {
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := v1alpha1.CRDs.ReadFile(file)
		if err != nil {
			return err
		}
		crd, err := yaml.YAMLToJSON(text)
		if err != nil {
			return err
		}
		if _, err := p.client.do(ctx, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", crd); err != nil {
			return err
		}
	}
	for _, file := range files {
		plural := strings.TrimSuffix(strings.TrimPrefix(file, "crds/"+v1alpha1.Group+"_"), ".yaml")
		if err := p.waitFor(ctx, plural, func() error {
			_, err := p.client.do(ctx, http.MethodGet, "/apis/"+v1alpha1.APIVersion+"/"+plural, "", nil)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// startControllers starts the controller manager, and waits until accounts are made, which pods need.
func (p *Plane) startControllers(ctx context.Context, programs string) error {
	controllers := "*"
	if !p.hasMachine() { // there are no nodes that they could miss
		controllers += ",-node-lifecycle-controller,-pod-garbage-collector-controller,-taint-eviction-controller"
	}
	err := p.run(filepath.Join(programs, "kube-controller-manager"), "--kubeconfig", p.Kubeconfig, "--leader-elect=false", "--secure-port", "0",
		"--service-account-private-key-file", p.file("accounts.key"), "--root-ca-file", p.authority(), "--use-service-account-credentials",
		"--kube-api-qps", "1000", "--kube-api-burst", "2000", // a test with many objects holds up no other
		"--controllers", controllers)
	if err != nil {
		return err
	}
	return p.waitFor(ctx, "the controller manager", func() error {
		_, err := p.client.do(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", "", nil)
		return err
	})
}

// waitFor asks until there is no error.
func (p *Plane) waitFor(ctx context.Context, what string, ask func() error) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		for _, r := range p.programs {
			if r.hasEnded() {
				return fmt.Errorf("wait for %s: %s has ended", what, r.name)
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

func (p *Plane) file(name string) string { return filepath.Join(p.dir, name) }

// lastWords are the ends of what the programs wrote.
func (p *Plane) lastWords() string {
	var text bytes.Buffer
	for _, r := range p.programs {
		said := r.out.String()
		fmt.Fprintf(&text, "%s:\n%s\n", r.name, said[max(0, len(said)-4000):])
	}
	return text.String()
}
