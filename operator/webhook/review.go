package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Judge knows our kinds. Its functions read the cluster that they are given, and nothing
// of them is left behind.
type Judge struct {
	// New is an empty object of a kind; nil for none of ours.
	New func(kind string) client.Object
	// Spec is what a resource says.
	Spec func(client.Object) any
	// Fields are what an index has of a resource.
	Fields func(o client.Object, field string) []string
	// Problems are what is wrong with a resource, as its conditions say it.
	Problems func(context.Context, Cluster, client.Object) (problems, warnings manifest.Problems, err error)
	// Users are the resources that rest on one directly.
	Users func(context.Context, Cluster, client.Object) ([]client.Object, error)
	// InUse says who uses a configuration; "" where nobody does, and for other kinds.
	InUse func(context.Context, Cluster, client.Object) (string, error)
}

// Reviewer decides about changes.
type Reviewer struct {
	Judge      Judge
	Cache      client.Client // what there is, as of a moment ago
	Live       client.Client // the API server
	Namespaces []string      // whose resources are judged; none for all
	Log        *slog.Logger
}

// mostUsers is how many resources are looked at that rest on a changed one: one of many
// is broken as the first of them are.
const mostUsers = 20

// verdict is what becomes of a change: it is made, with warnings, unless there is a refusal.
type verdict struct {
	refusal  string
	warnings []string
}

// review decides about a change. An error says that nobody could judge.
func (r *Reviewer) review(ctx context.Context, req *admissionv1.AdmissionRequest) (verdict, error) {
	var none verdict
	ours := req.Kind.Group == v1alpha1.Group && req.SubResource == "" && (len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, req.Namespace))
	if !ours || r.Judge.New(req.Kind.Kind) == nil {
		return none, nil
	}
	before, err := r.read(req, req.OldObject.Raw)
	if err != nil {
		return none, err
	}
	after, err := r.read(req, req.Object.Raw)
	if err != nil {
		return none, err
	}
	switch req.Operation {
	case admissionv1.Delete:
		return r.deletion(ctx, req, before)
	case admissionv1.Create, admissionv1.Update:
	default:
		return none, nil
	}
	if after == nil || after.GetDeletionTimestamp() != nil || before != nil && reflect.DeepEqual(r.Judge.Spec(before), r.Judge.Spec(after)) {
		return none, nil // what it says has not changed, or is going
	}
	v, err := r.own(ctx, before, after)
	if err == nil && v.refusal == "" {
		v.refusal, err = r.others(ctx, before, after)
	}
	return v, err
}

// read is the object in a request; nil for none.
func (r *Reviewer) read(req *admissionv1.AdmissionRequest, raw []byte) (client.Object, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	obj := r.Judge.New(req.Kind.Kind)
	if err := json.Unmarshal(raw, obj); err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", req.Kind.Kind, req.Namespace, req.Name, err)
	}
	return obj, nil
}

// with is the cluster with an object as it is to be; nil for as it is.
func (r *Reviewer) with(changed client.Object, at moment) Cluster {
	w := &world{Client: client.NewDryRunClient(r.Live), from: r.Cache, asked: at == now, changed: changed, fields: r.Judge.Fields}
	if w.asked {
		w.from = r.Live
	}
	return Cluster{Client: w, Direct: r.Live}
}

// moment is as of when a cluster is looked at: a moment ago, which costs nothing, or now.
// Whoever applies several files changes one right after the other, so that nothing is
// refused by what was.
type moment bool

const (
	lately moment = false
	now    moment = true
)

// own decides by what is wrong with a resource itself. What was wrong before is no reason
// to refuse a change that leaves it so.
func (r *Reviewer) own(ctx context.Context, before, after client.Object) (v verdict, err error) {
	problems, warnings, err := r.Judge.Problems(ctx, r.with(after, lately), after)
	if err == nil && len(problems) > 0 { // is that so now, too?
		problems, warnings, err = r.Judge.Problems(ctx, r.with(after, now), after)
	}
	if err != nil {
		return v, err
	}
	refused := wrong(problems)
	if len(refused) > 0 && before != nil {
		had, _, err := r.Judge.Problems(ctx, r.with(before, now), before)
		if err != nil {
			return v, err
		}
		refused = without(refused, had)
	}
	v.refusal = lines(refused)
	for _, p := range append(problems, warnings...) {
		if !slices.Contains(refused, p) {
			v.warnings = append(v.warnings, p.String())
		}
	}
	return v, nil
}

// others refuses a change that breaks who rests on the resource.
func (r *Reviewer) others(ctx context.Context, before, after client.Object) (refusal string, err error) {
	users, err := r.Judge.Users(ctx, r.with(after, lately), after)
	if err != nil {
		return "", err
	}
	for _, u := range users[:min(len(users), mostUsers)] {
		problems, _, err := r.Judge.Problems(ctx, r.with(after, lately), u)
		if err == nil && len(wrong(problems)) > 0 {
			problems, _, err = r.Judge.Problems(ctx, r.with(after, now), u)
		}
		if err != nil {
			return "", err
		}
		broken := wrong(problems)
		if len(broken) == 0 {
			continue
		}
		had, _, err := r.Judge.Problems(ctx, r.with(before, now), u)
		if err != nil {
			return "", err
		}
		if broken = without(broken, had); len(broken) > 0 {
			return fmt.Sprintf("this would break %s %s: %s", resource.Of(u).Kind, u.GetName(), lines(broken)), nil
		}
	}
	return "", nil
}

// controllers are who deletes on behalf of others: what belongs to a namespace or to an
// owner that goes. They are never held up.
var controllers = []string{
	"system:serviceaccount:kube-system:namespace-controller",
	"system:serviceaccount:kube-system:generic-garbage-collector",
	"system:kube-controller-manager",
}

// deletion refuses to delete configuration that is in use.
func (r *Reviewer) deletion(ctx context.Context, req *admissionv1.AdmissionRequest, obj client.Object) (v verdict, err error) {
	if obj == nil || obj.GetDeletionTimestamp() != nil || slices.Contains(controllers, req.UserInfo.Username) {
		return v, nil
	}
	by, err := r.Judge.InUse(ctx, r.with(nil, lately), obj)
	if err == nil && by != "" {
		by, err = r.Judge.InUse(ctx, r.with(nil, now), obj)
	}
	if err != nil || by == "" || r.ending(ctx, req.Namespace) {
		return v, err
	}
	v.refusal = fmt.Sprintf("%s/%s: %s; delete those first, or name something else in them", resource.Of(obj).Kind, obj.GetName(), by)
	return v, nil
}

// ending tells whether a namespace is being deleted. Where nobody may say so it is not.
func (r *Reviewer) ending(ctx context.Context, namespace string) bool {
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, ns)
	return err == nil && ns.DeletionTimestamp != nil
}

// wrong are the problems that nothing heals which may come later.
func wrong(problems manifest.Problems) (list manifest.Problems) {
	for _, p := range problems {
		if p.Missing == "" {
			list = append(list, p)
		}
	}
	return list
}

// places are those of elements in lists, which move when another element goes.
var places = regexp.MustCompile(`\[\d+\]`)

// without leaves out the problems that there were before.
func without(problems, before manifest.Problems) manifest.Problems {
	same := func(p manifest.Problem) [3]string {
		return [3]string{p.Object, places.ReplaceAllString(p.Field, ""), p.Message}
	}
	had := map[[3]string]bool{}
	for _, p := range before {
		had[same(p)] = true
	}
	return slices.DeleteFunc(slices.Clone(problems), func(p manifest.Problem) bool { return had[same(p)] })
}

// lines are problems as a person reads them, a line each, and not more than fit.
func lines(problems manifest.Problems) string {
	const most = 10
	var all []string
	for _, p := range problems[:min(len(problems), most)] {
		all = append(all, p.String())
	}
	if more := len(problems) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, "\n")
}
