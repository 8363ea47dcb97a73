package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// loopback is where the API server of a control plane without a machine listens.
const loopback = "127.0.0.1"

// nodeAddress is the address of the machine that hack/node.sh has made room for: of a bridge in a network of its own.
func nodeAddress() string {
	if at := os.Getenv("SALLYPORT_TEST_NODE_ADDRESS"); at != "" {
		return at
	}
	return loopback
}

// hasMachine tells whether the control plane is where a machine can join it.
func (p *Plane) hasMachine() bool { return p.address != loopback }

// Address is where the API server listens, and where pods of a machine reach what this process serves.
func (p *Plane) Address() string { return p.address }

// StartMachine has a real node join the control plane: containerd and runc with a bridge for pods, a kubelet, kube-proxy and a
// scheduler. It has the images of the archives, and pulls none. Unlike a [Node] it is a sandbox: pods have users, limits,
// root file systems and addresses of their own, and reach Services, whose names are answered as a cluster's DNS does.
//
// hack/node.sh builds the programs, and gives the test a network, mounts and process numbers of its own, which end with it.
func (p *Plane) StartMachine(t testing.TB, archives ...string) {
	t.Helper()
	programs := os.Getenv("SALLYPORT_TEST_NODE")
	if programs == "" || !p.hasMachine() {
		t.Fatal("SALLYPORT_TEST_NODE names no folder with kubelet, kube-proxy, kube-scheduler and containerd: run make test-node")
	}
	p.serveNames(t)
	m := &machine{
		Dir: filepath.Join(p.dir, "machine"), Root: filepath.Join(programs, "root"), Address: p.address, Kubeconfig: p.Kubeconfig,
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if err := m.start(ctx, p, programs, archives); err != nil {
		t.Fatalf("start a machine: %v\n%s", err, p.lastWords())
	}
}

// machine is what its settings are made of.
type machine struct {
	Dir        string // for all that it keeps
	Root       string // of Debian's packages
	Address    string
	Kubeconfig string
}

// settings are the files of a machine. The bridge enforces no NetworkPolicy.
var settings = map[string]string{
	"containerd.toml": `version = 2
root = "{{.Dir}}/lib"
state = "{{.Dir}}/run"
[grpc]
  address = "{{.Dir}}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:test"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{.Root}}/usr/lib/cni"
    conf_dir = "{{.Dir}}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{{.Root}}/usr/sbin/runc"
      SystemdCgroup = false
`,
	"cni/10-pods.conflist": `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "{{.Dir}}/addresses", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://{{.Dir}}/containerd.sock
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
readOnlyPort: 0
healthzPort: 0
clusterDomain: cluster.local
clusterDNS: [{{.Address}}]
enforceNodeAllocatable: []
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
volumePluginDir: {{.Dir}}/plugins
podLogsDir: {{.Dir}}/logs
syncFrequency: 5s
`,
	"kube-proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: {{.Kubeconfig}}}
clusterCIDR: 10.244.0.0/16
hostnameOverride: machine
metricsBindAddress: ""
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`,
}

// start starts it, and waits until the node is ready.
func (m *machine) start(ctx context.Context, p *Plane, programs string, archives []string) error {
	for name, text := range settings {
		if err := m.write(name, text); err != nil {
			return err
		}
	}
	libraries, err := filepath.Glob(m.Root + "/usr/lib/*-linux-gnu")
	if err != nil || len(libraries) != 1 {
		return fmt.Errorf("find the libraries of Debian's packages in %s, where there should be one folder of them: %v", m.Root, libraries)
	}
	// Debian's programs are not installed.
	for name, value := range map[string]string{
		"PATH":            m.Root + "/usr/sbin:" + m.Root + "/usr/bin:" + os.Getenv("PATH"),
		"LD_LIBRARY_PATH": libraries[0], "XTABLES_LIBDIR": libraries[0] + "/xtables",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if err := p.run(m.Root+"/usr/bin/containerd", "--config", m.file("containerd.toml")); err != nil {
		return err
	}
	ctr := func(args ...string) error {
		out, err := exec.CommandContext(ctx, m.Root+"/usr/bin/ctr", append([]string{"-a", m.file("containerd.sock"), "-n", "k8s.io"}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ctr %s: %w\n%s", args[0], err, out)
		}
		return nil
	}
	if err := p.waitFor(ctx, "containerd", func() error { return ctr("version") }); err != nil {
		return err
	}
	for _, archive := range archives {
		if err := ctr("image", "import", archive); err != nil {
			return err
		}
	}
	for _, run := range [][]string{
		{"kube-scheduler", "--kubeconfig", m.Kubeconfig, "--leader-elect=false", "--secure-port", "0"},
		{"kube-proxy", "--config", m.file("kube-proxy.yaml")},
		{
			"kubelet", "--config", m.file("kubelet.yaml"), "--kubeconfig", m.Kubeconfig, "--root-dir", m.file("kubelet"),
			"--cert-dir", m.file("kubelet-pki"), "--hostname-override", "machine", "--node-ip", m.Address,
		},
	} {
		if err := p.run(filepath.Join(programs, run[0]), run[1:]...); err != nil {
			return err
		}
	}
	return p.waitFor(ctx, "the node", func() error { return nodeReady(ctx, p) })
}

func nodeReady(ctx context.Context, p *Plane) error {
	text, err := p.client.do(ctx, http.MethodGet, "/api/v1/nodes/machine", "", nil)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(text, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" {
			if c.Status == "True" {
				return nil
			}
			return fmt.Errorf("it is not ready: %s", c.Message)
		}
	}
	return fmt.Errorf("it says nothing of itself")
}

func (m *machine) file(name string) string { return filepath.Join(m.Dir, name) }

func (m *machine) write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(m.file(name)), 0o750); err != nil {
		return err
	}
	f, err := os.Create(m.file(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return template.Must(template.New(name).Parse(text)).Execute(f, m)
}
