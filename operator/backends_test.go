package operator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/operator/pods"
)

// of is what a pod says of the backend docs, and of the exchange before it.
func of(state, hash string, exchange *bool) pods.Answer {
	s := &status.Status{Servers: []status.Server{{Name: "docs", Backends: []status.Backend{{Name: "docs", Status: state, LastCheck: time.Unix(1000, 0)}}}}}
	s.Config.Hash = hash
	if exchange != nil {
		s.Servers[0].TokenExchange = &status.Exchange{Ready: exchange, Message: "why"}
	}
	return pods.Answered(s)
}

// What pods say together is what the one says that has seen most; and the status of the
// resource says that.
//
// REQ B-11
func TestTogether(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		answers   []pods.Answer
		condition string // RemoteAvailable
		reachable *bool
		exchange  *bool
	}{
		"nobody":             {nil, "Unknown NotTold", nil, nil},
		"one that is silent": {[]pods.Answer{pods.Unanswered("it hangs")}, "Unknown NotTold", nil, nil},
		"not asked yet":      {[]pods.Answer{of("unknown", "a", nil)}, "Unknown NotChecked", nil, nil},
		"there":              {[]pods.Answer{of("unknown", "a", nil), of("ready", "a", nil)}, "True Reachable", &yes, nil},
		"locked":             {[]pods.Answer{of("unauthenticated", "a", nil)}, "True Unauthenticated", &yes, nil},
		"away for one":       {[]pods.Answer{of("ready", "a", nil), of("unavailable", "a", nil), pods.Unanswered("it hangs")}, "False Unreachable", &no, nil},
		"exchange":           {[]pods.Answer{of("ready", "a", &yes)}, "True Reachable", &yes, &yes},
		"no exchange":        {[]pods.Answer{of("ready", "a", &yes), of("ready", "a", &no)}, "True Reachable", &yes, &no},
	} {
		s, _ := asServing(proxy("docs"))
		o := &observed{asked: true, said: pods.Together(pods.Guest{Server: "docs"}, c.answers...), deployment: &appsv1.Deployment{Status: appsv1.DeploymentStatus{ReadyReplicas: 1}}}
		got := ""
		(&reconciler{}).tellBackends(s, &gathered{}, o, func(kind string, is metav1.ConditionStatus, reason, _ string) {
			if kind == conditionRemote {
				got = string(is) + " " + reason
			}
		})
		st := s.object.(*v1alpha1.MCPRemoteProxy).Status
		if got != c.condition || cmp.Diff(c.reachable, st.RemoteReachable) != "" || cmp.Diff(c.exchange, st.TokenExchangeReady) != "" {
			t.Errorf("%s: %s, reachable %v, exchange %v", name, got, st.RemoteReachable, st.TokenExchangeReady)
		}
	}
}

// Ready is about the configuration of now, where pods can be asked.
func TestLoaded(t *testing.T) {
	t.Parallel()
	refused := pods.Answered(&status.Status{Config: status.Config{Hash: "old", Error: "it is broken"}})
	for name, c := range map[string]struct {
		answers []pods.Answer
		want    string
	}{
		"nobody":    {nil, "True PodsReady"},
		"silent":    {[]pods.Answer{pods.Unanswered("it hangs")}, "True PodsReady"},
		"of now":    {[]pods.Answer{of("ready", "old", nil), of("ready", "now", nil)}, "True PodsReady"},
		"of before": {[]pods.Answer{of("ready", "old", nil)}, "False ConfigurationPending"},
		"refused":   {[]pods.Answer{refused}, "False ConfigurationRefused"},
	} {
		is, _, reason, _ := loaded(&observed{asked: true, said: pods.Together(pods.Guest{Server: "docs"}, c.answers...)}, "now", "pods are ready")
		if got := string(is) + " " + reason; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// The time of the last check moves once a minute, or with news.
func TestMoved(t *testing.T) {
	t.Parallel()
	before := metav1.NewTime(time.Unix(1000, 0))
	for name, c := range map[string]struct {
		checked time.Time
		news    bool
		want    int64
	}{
		"soon":         {time.Unix(1030, 0), false, 1000},
		"with news":    {time.Unix(1030, 0), true, 1030},
		"a minute on":  {time.Unix(1060, 0), false, 1060},
		"never at all": {time.Time{}, true, 1000},
	} {
		if got := moved(&before, c.checked, c.news); got.Unix() != c.want {
			t.Errorf("%s: %d, want %d", name, got.Unix(), c.want)
		}
	}
}
