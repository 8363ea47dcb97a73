package pods

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Values are those of a Secret that feeds a server's environment.
type Values struct {
	changed time.Time // in whole seconds, as the API server has it
	sum     sum       // stays in memory
}

type sum [sha256.Size]byte

// ValuesOf looks at a Secret.
func ValuesOf(s *corev1.Secret) Values {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.Data)) {
		one := sha256.Sum256(s.Data[name])
		_, _ = h.Write(append([]byte(name+"\x00"), one[:]...))
	}
	return Values{valuesChanged(s), sum(h.Sum(nil))}
}

// valuesChanged is when the values of a Secret have last changed, as the API server has
// it. Nothing of the values is in it.
func valuesChanged(s *corev1.Secret) time.Time {
	last := s.CreationTimestamp.Time
	for _, f := range s.ManagedFields {
		if f.Time == nil || f.FieldsV1 == nil || !f.Time.After(last) {
			continue
		}
		if of := f.FieldsV1.GetRawString(); strings.Contains(of, `"f:data"`) || strings.Contains(of, `"f:stringData"`) {
			last = f.Time.Time
		}
	}
	return last
}

// Environments remembers which values the pods of servers began with: what changes within the second in which a pod
// began, the API server's times do not tell. A new operator knows those times alone.
type Environments struct {
	mu   sync.Mutex
	pods map[resource.Key]map[types.UID]map[string]sum // by Secret; the zero sum for values that are not known
}

// Outdated are the Secrets of a server's environment that have changed since a pod of
// it started, and those pods: an environment cannot follow.
func (e *Environments) Outdated(k resource.Key, secrets map[string]Values, pods []corev1.Pod) (names []string, old map[types.UID]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, now := e.pods[k], map[types.UID]map[string]sum{}
	old = map[types.UID]bool{}
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		began := map[string]sum{}
		for name, v := range secrets {
			with, known := before[p.UID][name]
			if !known && !v.changed.After(p.CreationTimestamp.Time) {
				with = v.sum
			}
			if began[name] = with; with != v.sum {
				names, old[p.UID] = append(names, name), true
			}
		}
		now[p.UID] = began
	}
	if e.pods == nil {
		e.pods = map[resource.Key]map[types.UID]map[string]sum{}
	}
	e.pods[k] = now
	slices.Sort(names)
	return slices.Compact(names), old
}

// Stamp tells when Secrets of a server's environment have last changed, for the template of
// its pods, which is stamped with told now. The API server knows whole seconds: what changes
// again within one is told by a number, which goes up when a pod of that stamp is outdated.
func (e *Environments) Stamp(k resource.Key, told string, secrets map[string]Values, pods []corev1.Pod) string {
	last := ""
	for _, s := range secrets {
		last = max(last, s.changed.UTC().Format(time.RFC3339))
	}
	second, number, _ := strings.Cut(told, "/")
	if last == "" || second != last {
		return last
	}
	_, old := e.Outdated(k, secrets, pods)
	for i := range pods {
		if old[pods[i].UID] && pods[i].Annotations[render.AnnotationChanged] == told {
			n, _ := strconv.Atoi(number) // none is 0
			return second + "/" + strconv.Itoa(n+1)
		}
	}
	return told
}

// Forget says that there is no such resource any more.
func (e *Environments) Forget(k resource.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.pods, k)
}
