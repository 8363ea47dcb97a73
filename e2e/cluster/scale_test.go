//go:build cluster && load

package cluster_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// number is how much of something a test has: what a variable of the environment says, or a number that is no burden.
func number(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", variable, text)
	}
	return n
}

// sharing is one of many proxies that rest on the same configuration.
const sharing = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: NAME}
spec:
  remoteUrl: https://mcp.example.com/mcp
  oidcConfigRef: {name: idp, audience: NAME}
  externalAuthConfigRef: {name: key}
`

const shared = `
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: secret-value}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPOIDCConfig
metadata: {name: idp}
spec: {type: inline, inline: {issuer: "https://idp.example.com"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: key}
spec: {type: headerInjection, headerInjection: {headerName: HEADER, valueSecretRef: {name: api, key: token}}}
`

// What the operator may ask of the API server for each resource, whatever their number. To look at one is to read the
// Secret that it rests on and the ConfigMap that it owns; a change of what it rests on writes that ConfigMap, which comes
// back as a change that is looked at. That makes five requests; with one more look and one more write it is eight.
const (
	readsOfLook      = 2
	requestsOfChange = 8
)

// Many proxies share their configuration, 50, or as many as SALLYPORT_TEST_SCALE says (1000 once a night): a change of
// it costs each of them a few requests, and where nothing has changed nothing is written.
//
// REQ B-14, REQ B-29
func TestOperatorScale(t *testing.T) {
	t.Parallel()
	n := number(t, "SALLYPORT_TEST_SCALE", 50)
	namespace := plane.Namespace(t)
	operator := keep(t, namespace, "--resync", "1h", "--status-interval", "1h") // what is seen here comes of changes alone

	start, mark, looks := time.Now(), plane.Mark(t), operator.looks(t)
	plane.Apply(t, namespace, strings.ReplaceAll(shared, "HEADER", "X-Before"))
	applyMany(t, namespace, sharing, n)
	operator.has(t, namespace, n, "X-Before", looks)
	operator.rests(t)
	all := plane.List(t, resource("MCPRemoteProxy", namespace, ""))
	for i := range all {
		if short, message := condition(&all[i], "AuthConfigured"); short != "True Configured" {
			t.Fatalf("%s: %s: %s", all[i].GetName(), short, message)
		}
	}
	asked := requests(t, namespace, mark)
	t.Logf("%d proxies from nothing: %v, %d requests, %d of them writes; %s", len(all), time.Since(start).Round(time.Second), asked.all, asked.writes, operator.memory(t))

	start, mark, looks = time.Now(), plane.Mark(t), operator.looks(t)
	plane.Apply(t, namespace, strings.ReplaceAll(shared, "HEADER", "X-After"))
	operator.has(t, namespace, n, "X-After", looks)
	operator.rests(t)
	asked = requests(t, namespace, mark)
	t.Logf("a change of what %d share: %v, %d requests, %d of them writes; %s", n, time.Since(start).Round(time.Second), asked.all, asked.writes, operator.memory(t))
	if asked.writes < n || asked.all > requestsOfChange*n {
		t.Errorf("a change of what %d share costs %d requests, %d of them writes, want at most %d for each:\n%s", n, asked.all, asked.writes, requestsOfChange, asked.kinds())
	}

	operator.stop(t)
	operator = keep(t, namespace, "--status-interval", "30s") // at most that long is between checks of pods, as it was
	operator.looked(t, n)
	start, mark = time.Now(), plane.Mark(t)
	looks = operator.looks(t)
	operator.looked(t, 2*n)
	asked = requests(t, namespace, mark)
	looks = operator.looks(t) - looks
	t.Logf("resync: %d looks in %v, %d requests, %d of them writes; %s", looks, time.Since(start).Round(time.Second), asked.all, asked.writes, operator.memory(t))
	if asked.writes > 0 || asked.all > (readsOfLook+1)*looks { // a look that is under way counts among the requests already
		t.Errorf("%d looks at resync cost %d requests, %d of them writes:\n%s", looks, asked.all, asked.writes, asked.kinds())
	}
}

// applyMany applies so many proxies, several at a time.
func applyMany(t *testing.T, namespace, template string, n int) {
	t.Helper()
	names := make(chan string)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for name := range names {
				for _, o := range kube.Documents(t, strings.ReplaceAll(template, "NAME", name)) {
					if _, err := plane.TryApply(t, namespace, o); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range n {
		names <- fmt.Sprintf("docs-%04d", i)
	}
	close(names)
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// has waits until so many ConfigMaps hold a text, for which as many looks are needed, at least, since there were looks.
func (k *keeper) has(t *testing.T, namespace string, n int, text string, looks int) {
	t.Helper()
	for looked := 0; looked < n; { // with patience for each step, and not for all
		looked = min(looked+100, n)
		testkit.Eventually(t, fmt.Sprintf("%d are looked at", looked), func() bool { return k.looks(t) >= looks+looked })
	}
	seen := -1
	testkit.Eventually(t, fmt.Sprintf("%d ConfigMaps have %s", n, text), func() bool {
		looks := k.looks(t)
		if looks == seen { // there is nothing new to see
			return false
		}
		have := 0
		for _, o := range plane.List(t, kube.Ref{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace}) {
			if raw, err := o.MarshalJSON(); err == nil && strings.Contains(string(raw), text) {
				have++
			}
		}
		seen = looks
		return have == n
	})
}

var work = regexp.MustCompile(`(?m)^(?:workqueue_depth|controller_runtime_active_workers)\{[^}]*\} (\d+)`)

// rests waits until the operator has nothing to do.
func (k *keeper) rests(t *testing.T) {
	t.Helper()
	looks, still := -1, 0
	testkit.Eventually(t, "the operator rests", func() bool {
		_, text := fetch(t, k.admin+"/metrics")
		found := work.FindAllStringSubmatch(text, -1)
		for _, m := range found {
			if m[1] != "0" {
				still = 0
				return false
			}
		}
		if now := k.looks(t); now != looks || len(found) == 0 {
			looks, still = now, 0
		}
		still++
		return still > 50 // and what it was just told of has had its time
	})
}

// memory is how much the operator has in memory, and had at most.
func (k *keeper) memory(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", k.cmd.Process.Pid))
	if err != nil {
		return "memory unknown"
	}
	var fields []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			fields = append(fields, strings.Join(strings.Fields(line), " "))
		}
	}
	return "the operator's " + strings.Join(fields, ", ")
}

// tally is what the operator has asked for in a namespace, events and leases apart.
type tally struct {
	all, writes int
	of          map[string]int // by verb and kind
}

func requests(t *testing.T, namespace string, since kube.Mark) tally {
	t.Helper()
	sum := tally{of: map[string]int{}}
	for _, r := range plane.Since(t, since) {
		if r.ObjectRef.Namespace != namespace || !strings.HasPrefix(r.UserAgent, "sallyport-operator") || r.ObjectRef.Resource == "events" || r.ObjectRef.Resource == "leases" {
			continue
		}
		sum.all++
		if r.Writes() {
			sum.writes++
		}
		sum.of[r.Verb+" "+r.ObjectRef.Resource+" "+r.ObjectRef.Subresource]++
	}
	return sum
}

func (a tally) kinds() (text string) {
	for what, n := range a.of {
		text += fmt.Sprintf("%6d %s\n", n, what)
	}
	return text
}
