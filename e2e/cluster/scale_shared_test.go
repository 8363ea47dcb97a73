//go:build cluster && load

package cluster_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// member is one of many proxies that share a gateway.
const member = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: NAME}
spec:
  remoteUrl: REMOTE
  allowPrivateEndpoint: true
  externalAuthConfigRef: {name: key}
  gatewayRef: {name: all}
`

// What the operator may ask of the API server for each member: one that comes is looked at when it comes, when the pods
// have it and when they know its server, and says each time how it is. Of the gateway itself there is a look a second at
// most while others come, and what many bring together is written once.
const requestsOfMember = 10

// Many proxies share one MCPGateway, 50, or as many as SALLYPORT_TEST_SCALE says (1000 once a night): they are served by
// one process that holds little for each, one more of them costs as few requests as the first, and where nothing has
// changed nothing is written, not by a new operator either.
//
// REQ B-13, REQ B-14
func TestOperatorScaleShared(t *testing.T) {
	t.Parallel()
	n := number(t, "SALLYPORT_TEST_SCALE", 50)
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace, "--resync", "1h", "--status-interval", "30s")
	template := strings.ReplaceAll(member, "REMOTE", backend.url)
	gateway := resource("MCPGateway", namespace, "all")
	plane.Apply(t, namespace, `{apiVersion: sallyport.dev/v1alpha1, kind: MCPGateway, metadata: {name: all}, spec: {}}`)
	plane.Apply(t, namespace, strings.ReplaceAll(shared, "HEADER", "X-Before"))
	plane.Apply(t, namespace, strings.ReplaceAll(template, "NAME", "first"))
	served(t, gateway, 1, 0)
	one := resident(t, node)
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "all-shared"}
	pods := generation(t, deployment)

	start, mark := time.Now(), plane.Mark(t)
	applyMany(t, namespace, template, n)
	applied := time.Since(start)
	for i := range n {
		awaitCall(t, node, fmt.Sprintf("docs-%04d", i))
	}
	inUse := time.Since(start)
	servedStep(t, gateway, 1+n)
	told := time.Since(start)
	await(t, resource("MCPRemoteProxy", namespace, fmt.Sprintf("docs-%04d", n-1)), "RemoteAvailable", "True Reachable") // in a round for all
	operator.rests(t)
	asked, all := requests(t, namespace, mark), resident(t, node)
	t.Logf("%d members more: applied in %v, all answer after %v, told after %v; %d requests, %d of them writes (%d of ConfigMaps), for each member %.1f; sallyportd has %d MB, and had %d MB with one; %s",
		n, applied.Round(time.Second), inUse.Round(time.Second), told.Round(time.Second), asked.all, asked.writes, asked.files(),
		float64(asked.all)/float64(n), all>>20, one>>20, operator.memory(t))
	if most := requestsOfMember*n + 100; asked.all > most {
		t.Errorf("%d members cost %d requests, want at most %d:\n%s", n, asked.all, most, asked.kinds())
	}
	if got := generation(t, deployment); got != pods {
		t.Errorf("members that bring no Secret of their own change the pods: generation %d, then %d", pods, got)
	}
	if each := (all - one) / n; each > one/10 {
		t.Errorf("a member costs %d KB of the process, which has %d KB with one: hardly less than a process of its own", each>>10, one>>10)
	}

	start, mark = time.Now(), plane.Mark(t)
	plane.Apply(t, namespace, strings.ReplaceAll(template, "NAME", "last"))
	awaitCall(t, node, "last")
	inUse = time.Since(start)
	servedStep(t, gateway, 2+n)
	await(t, resource("MCPRemoteProxy", namespace, "last"), "RemoteAvailable", "True Reachable")
	operator.rests(t)
	asked = requests(t, namespace, mark)
	t.Logf("one more: answers after %v, told after %v; %d requests, %d of them writes", inUse.Round(time.Millisecond), time.Since(start).Round(time.Second), asked.all, asked.writes)
	if asked.all > 100 || asked.files() > 2 {
		t.Errorf("one more costs %d requests, %d of them writes of ConfigMaps:\n%s", asked.all, asked.files(), asked.kinds())
	}

	operator.stop(t)
	mark = plane.Mark(t)
	operator = keep(t, namespace, "--status-interval", "1h") // what is told here comes of looks alone
	start = time.Now()
	operator.looked(t, 2*(n+2))
	asked = requests(t, namespace, mark)
	t.Logf("a new operator, and resync: %d looks in %v, %d requests, %d of them writes; %s", operator.looks(t), time.Since(start).Round(time.Second), asked.all, asked.writes, operator.memory(t))
	if asked.writes > 0 {
		t.Errorf("written, though nothing has changed:\n%s", asked.kinds())
	}
}

// files is how many writes of ConfigMaps there were.
func (a tally) files() (n int) {
	for what, times := range a.of {
		if verb, _, _ := strings.Cut(what, " "); strings.Contains(what, " configmaps ") && (kube.Request{Verb: verb}).Writes() {
			n += times
		}
	}
	return n
}

// servedStep waits until a gateway serves so many, with patience for each hundred.
func servedStep(t *testing.T, gateway kube.Ref, n int) {
	t.Helper()
	for step := 0; step < n; {
		step = min(step+100, n)
		plane.Eventually(t, fmt.Sprintf("%d are served", step), gateway, func(o *kube.Object) bool {
			now, _, _ := unstructured.NestedInt64(o.Object, "status", "servingCount")
			return now >= int64(step)
		})
	}
}

// awaitCall waits until a resource answers a call at each pod of the gateway of many.
func awaitCall(t *testing.T, node *kube.Node, name string) {
	t.Helper()
	testkit.Eventually(t, name+" answers", func() bool {
		addresses := node.Addresses(instance, "all-shared", "mcp")
		for _, address := range addresses {
			resp, err := client.Do(listing(t, "http://"+address+"/servers/"+name+"/mcp"))
			if err != nil {
				return false
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return false
			}
		}
		return len(addresses) > 0
	})
}

// resident is how much the process of the gateway has in memory, in bytes.
func resident(t *testing.T, node *kube.Node) int {
	t.Helper()
	pids := node.Processes(instance, "all-shared")
	if len(pids) != 1 {
		t.Fatalf("the gateway has %d processes", len(pids))
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("nothing says how much memory the process has")
	return 0
}

func generation(t *testing.T, r kube.Ref) int64 {
	t.Helper()
	o, err := plane.Get(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return o.GetGeneration()
}
