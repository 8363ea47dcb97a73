package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Image is what a container's image has, as programs of this machine.
type Image struct {
	Entrypoint string            // what a container without a command runs
	Programs   map[string]string // paths in the image, and the program that is run in the place of each
}

// Node runs the pods of a namespace as a kubelet would, as processes of this machine. Each pod has an address of its own
// on loopback. It
//
//   - lays out ConfigMaps and Secrets as files, and exchanges them all at once when they change
//   - runs the init containers and then the others, again when they end
//   - says in the pod's status how it is, by its readiness probes
//   - lets a deleted pod sleep, tells its processes to end, and waits as long as the pod's grace period
//
// It is no sandbox. Paths in commands and variables that are below a mount, and addresses to listen at that name no
// host, are changed to what they are here. Liveness, limits and users are nothing to it, and there are no Services: a
// test asks the pods, and says by [Node.Reach] where a pod finds another.
type Node struct {
	plane     *Plane
	namespace string
	images    map[string]Image
	dir       string

	mu    sync.Mutex
	pods  map[string]*runningPod // by UID
	reach map[string]string      // addresses that pods read as others
}

// StartNode starts one that ends with the test, and all its processes with it.
func (p *Plane) StartNode(t testing.TB, namespace string, images map[string]Image) *Node {
	t.Helper()
	dir, err := os.MkdirTemp(p.dir, "node-")
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{plane: p, namespace: namespace, images: images, dir: dir, pods: map[string]*runningPod{}, reach: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { n.keep(ctx, &all) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
		if t.Failed() {
			t.Log(n.said())
		}
	})
	return n
}

// moment is how often a node looks.
const moment = 100 * time.Millisecond

// keep starts new pods and ends deleted ones, until ctx ends.
func (n *Node) keep(ctx context.Context, all *sync.WaitGroup) {
	tick := time.NewTicker(moment)
	defer tick.Stop()
	for ; ctx.Err() == nil; waitTick(ctx, tick) {
		text, err := n.plane.ask(ctx, http.MethodGet, Ref{APIVersion: "v1", Kind: "Pod", Namespace: n.namespace}, nil, "", nil)
		var list struct{ Items []pod }
		if err != nil || json.Unmarshal(text, &list) != nil {
			continue // it is asked again
		}
		n.look(ctx, list.Items, all)
	}
}

func waitTick(ctx context.Context, tick *time.Ticker) {
	select {
	case <-tick.C:
	case <-ctx.Done():
	}
}

func (n *Node) look(ctx context.Context, list []pod, all *sync.WaitGroup) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := map[string]bool{}
	for _, spec := range list {
		there[spec.Metadata.UID] = true
		r, known := n.pods[spec.Metadata.UID]
		switch {
		case !known && spec.Metadata.DeletionTimestamp == "":
			last := n.plane.pods.Add(1)
			r = newPod(n, spec, fmt.Sprintf("127.%d.%d.%d", 2+os.Getpid()%250, last/250, 2+last%250))
			n.pods[spec.Metadata.UID] = r
			all.Go(func() { r.run(ctx) })
		case known && spec.Metadata.DeletionTimestamp != "":
			r.leave(time.Duration(spec.Metadata.DeletionGracePeriodSeconds) * time.Second)
		}
	}
	for uid, r := range n.pods {
		if !there[uid] { // somebody took it away at once
			r.leave(0)
		}
	}
}

// Addresses are those of the pods that are ready and do not end, at a port by its name, of the pods with a label.
func (n *Node) Addresses(label, value, port string) (hostPorts []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.pods {
		if !r.isReady() || r.spec.Metadata.Labels[label] != value {
			continue
		}
		for _, c := range r.containers {
			if number := c.port(port); number != port {
				hostPorts = append(hostPorts, net.JoinHostPort(r.address, number))
			}
		}
	}
	slices.Sort(hostPorts)
	return hostPorts
}

// Reach has pods read an address in ConfigMaps, such as that of a Service, as another: nobody here knows the names of a
// cluster. To the operator they serve something else then than it has written.
func (n *Node) Reach(address, instead string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reach[address] = instead
}

// here is a text of a ConfigMap with the addresses that there are here.
func (n *Node) here(text []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	for address, instead := range n.reach {
		text = bytes.ReplaceAll(text, []byte(address), []byte(instead))
	}
	return text
}

// Processes are those of the containers of the pods with a label that have not ended, by their ids.
func (n *Node) Processes(label, value string) (pids []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.pods {
		for _, c := range r.containers {
			if r.isReady() && r.spec.Metadata.Labels[label] == value {
				pids = append(pids, c.cmd.Process.Pid)
			}
		}
	}
	return pids
}

// said is what the containers wrote last.
func (n *Node) said() (text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.pods {
		for _, c := range r.containers {
			out := c.out.String()
			text += fmt.Sprintf("pod %s, container %s:\n%s\n", r.spec.Metadata.Name, c.spec.Name, out[max(0, len(out)-4000):])
		}
	}
	return text
}

// errEnded says that a pod is to end.
var errEnded = errors.New("the pod is to end")
