package operator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/manifests"
)

// setter sets a condition of the resource at hand.
type setter func(kind string, status metav1.ConditionStatus, reason, message string)

// tellBackends says what the pods say of what is behind them.
func (r *reconciler) tellBackends(s *serving, g *gathered, o *observed, set setter) {
	told := conditionRemote
	if s.status.virtual != nil {
		told = conditionMembers
	}
	if had := meta.FindStatusCondition(*s.status.conditions, told); had != nil && !o.asked && o.deployment != nil && o.deployment.Status.ReadyReplicas > 0 {
		set(told, had.Status, had.Reason, had.Message) // this process has asked nobody yet: what is known stays
		return
	}
	if st := s.status.virtual; st != nil {
		tellMembers(s.object.(*v1alpha1.VirtualMCPServer), g, o, set)
		return
	}
	is, reason, message, checked := remoteState(s.object.GetName(), o)
	set(conditionRemote, is, reason, message)
	st := s.status.remote
	if st == nil {
		return
	}
	before := st.RemoteReachable
	st.RemoteReachable = nil
	if is != metav1.ConditionUnknown {
		reachable := is == metav1.ConditionTrue
		st.RemoteReachable = &reachable
	}
	st.LastHealthCheck = moved(st.LastHealthCheck, checked, !ptr.Equal(before, st.RemoteReachable))
	st.TokenExchangeReady = nil
	if x := o.said.Exchange; o.asked && x != nil {
		st.TokenExchangeReady = x.Ready
	}
	tellExchange(s.status.conditions, o, set)
}

// conditionExchange says whether callers' tokens can be exchanged for the server's.
const conditionExchange = "TokenExchangeReady"

// tellExchange sets the condition of a token exchange, where there is one.
func tellExchange(conditions *[]metav1.Condition, o *observed, set setter) {
	x := o.said.Exchange
	switch {
	case !o.asked || x == nil || x.Ready == nil:
		meta.RemoveStatusCondition(conditions, conditionExchange)
	case *x.Ready:
		set(conditionExchange, metav1.ConditionTrue, "Reachable", "the token endpoint answers")
	default:
		set(conditionExchange, metav1.ConditionFalse, "Unreachable", x.Message)
	}
}

// moved is the time of the last check: it moves once a minute at most, or with what the
// check has found.
func moved(before *metav1.Time, checked time.Time, news bool) *metav1.Time {
	if checked.IsZero() || before != nil && !news && checked.Sub(before.Time) < time.Minute {
		return before
	}
	t := metav1.NewTime(checked.Truncate(time.Second))
	return &t
}

// remoteState is whether the server behind a resource is there, as its pods have found.
func remoteState(name string, o *observed) (is metav1.ConditionStatus, reason, message string, checked time.Time) {
	switch {
	case o.deployment == nil || o.deployment.Status.ReadyReplicas == 0:
		return metav1.ConditionUnknown, "NoPodReady", "no pod is ready that could ask the server", checked
	case !o.asked:
		return metav1.ConditionUnknown, "NotAsked", "no pod has told yet whether the server answers", checked
	}
	i := slices.IndexFunc(o.said.Backends, func(b status.Backend) bool { return b.Name == name })
	if i < 0 {
		return metav1.ConditionUnknown, "NotTold", cmp.Or(o.said.Silent, "no pod has told yet whether the server answers"), checked
	}
	b := o.said.Backends[i]
	switch b.Status {
	case status.Ready:
		return metav1.ConditionTrue, "Reachable", "the server answers", b.LastCheck
	case status.Unauthenticated:
		return metav1.ConditionTrue, "Unauthenticated", "the server answers, and asks for another credential than it is shown", b.LastCheck
	case status.Degraded:
		return metav1.ConditionTrue, "Degraded", cmp.Or(b.Message, "the server answers, and not as it should"), b.LastCheck
	case status.Unavailable:
		return metav1.ConditionFalse, "Unreachable", cmp.Or(b.Message, "the server does not answer"), b.LastCheck
	}
	return metav1.ConditionUnknown, "NotChecked", "the pods have not asked the server yet", b.LastCheck
}

// tellMembers says what the members of a virtual server are like.
func tellMembers(v *v1alpha1.VirtualMCPServer, g *gathered, o *observed, set setter) {
	before := v.Status.DiscoveredBackends
	v.Status.DiscoveredBackends, v.Status.BackendCount = nil, 0
	for _, m := range g.members {
		b := v1alpha1.DiscoveredBackend{Name: m.GetName(), Status: status.Unknown}
		b.URL, b.AuthConfigRef = aboutMember(m)
		var had *v1alpha1.DiscoveredBackend
		if i := slices.IndexFunc(before, func(d v1alpha1.DiscoveredBackend) bool { return d.Name == b.Name }); i >= 0 {
			had = &before[i]
			b.LastHealthCheck = had.LastHealthCheck
		}
		if i := slices.IndexFunc(o.said.Backends, func(s status.Backend) bool { return s.Name == b.Name }); o.asked && i >= 0 {
			told := o.said.Backends[i]
			b.Status, b.Message = cmp.Or(told.Status, status.Unknown), conditions.Shorten(told.Message)
			b.LastHealthCheck = moved(b.LastHealthCheck, told.LastCheck, had == nil || had.Status != b.Status)
		}
		if problems := g.broken[b.Name]; len(problems) > 0 {
			b.Status, b.Message = status.Unavailable, conditions.Shorten("it is left out: "+conditions.Tell(problems))
		}
		if b.Status == status.Ready || b.Status == status.Unauthenticated {
			v.Status.BackendCount++
		}
		v.Status.DiscoveredBackends = append(v.Status.DiscoveredBackends, b)
	}
	switch {
	case len(g.broken) > 0:
		var all manifest.Problems
		for _, problems := range g.broken {
			all = append(all, problems...)
		}
		all = all.Sort()
		set(conditionMembers, metav1.ConditionFalse, conditions.Reason(all), "members with problems of their own are left out: "+conditions.Tell(all))
	case len(g.members) == 0:
		set(conditionMembers, metav1.ConditionFalse, "NoMembers", fmt.Sprintf("nobody names MCPGroup %s in groupRef, so nothing is served", v.Spec.GroupRef.Name))
	default:
		var away []string
		for _, b := range v.Status.DiscoveredBackends {
			if b.Status == status.Unavailable {
				away = append(away, b.Name)
			}
		}
		message := fmt.Sprintf("%d members", len(g.members))
		if len(away) > 0 {
			message += "; these do not answer: " + strings.Join(away, ", ")
		}
		set(conditionMembers, metav1.ConditionTrue, "Discovered", message)
	}
}

// aboutMember is where a member is, and which credential it is shown.
func aboutMember(m client.Object) (address, credential string) {
	entry, ok := manifests.AsMember(m).(*v1alpha1.MCPServerEntry)
	if !ok {
		return "", ""
	}
	if ref := entry.Spec.ExternalAuthConfigRef; ref != nil {
		credential = string(ref.Name)
	}
	return string(entry.Spec.RemoteURL), credential
}
