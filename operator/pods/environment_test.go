package pods_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// A Secret that has changed since a pod began is named, within the same second too, in which the times of the API server
// are equal; a pod that began afterwards has its values.
func TestOutdatedEnvironments(t *testing.T) {
	t.Parallel()
	at := func(second int) metav1.Time {
		return metav1.NewTime(time.Date(2026, 11, 1, 12, 0, second, 0, time.UTC))
	}
	pod := func(name string, second int) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: at(second)}}
	}
	secret := func(value string, second int) map[string]pods.Values {
		fields := &metav1.FieldsV1{}
		fields.SetRawBytes([]byte(`{"f:data":{"f:token":{}}}`))
		written := at(second)
		return map[string]pods.Values{"api": pods.ValuesOf(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(0), ManagedFields: []metav1.ManagedFieldsEntry{{Time: &written, FieldsV1: fields}}},
			Data:       map[string][]byte{"token": []byte(value)},
		})}
	}
	leaving := pod("old", 1)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	var e pods.Environments
	k := resource.Key{Name: "tools"}
	for _, step := range []struct {
		what    string
		secrets map[string]pods.Values
		pods    []corev1.Pod
		want    []string
	}{
		{"a pod begins", secret("one", 1), []corev1.Pod{pod("old", 1)}, nil},
		{"its Secret changes in the same second", secret("two", 1), []corev1.Pod{pod("old", 1)}, []string{"api"}},
		{"another pod begins, in the same second still", secret("two", 1), []corev1.Pod{pod("old", 1), pod("new", 1)}, []string{"api"}},
		{"the first one goes", secret("two", 1), []corev1.Pod{leaving, pod("new", 1)}, nil},
		{"the value is what it was before", secret("one", 2), []corev1.Pod{pod("new", 1)}, []string{"api"}},
		{"it comes back", secret("two", 3), []corev1.Pod{pod("new", 1)}, nil},
	} {
		got, _ := e.Outdated(k, step.secrets, step.pods)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.what, diff)
		}
	}
	// A new operator goes by the times.
	e.Forget(k)
	if got, old := e.Outdated(k, secret("two", 3), []corev1.Pod{pod("new", 1)}); !old["new"] || !cmp.Equal(got, []string{"api"}) {
		t.Errorf("a new operator finds %v", got)
	}
	if got, old := e.Outdated(k, secret("two", 3), []corev1.Pod{pod("newer", 4)}); got != nil || len(old) > 0 {
		t.Errorf("of a pod that began later it finds %v", got)
	}
}
