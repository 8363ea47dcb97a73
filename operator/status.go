package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/conditions"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// The conditions of serving kinds.
const (
	conditionReady  = "Ready"
	conditionAuth   = "AuthConfigured"
	conditionRemote = "RemoteAvailable"
	conditionGroup  = "GroupRefValidated"
	conditionValid  = "Valid" // of configuration kinds

	conditionSecrets = "SecretsCurrent"     // of a server's environment; there where they are not
	conditionMembers = "BackendsDiscovered" // of a virtual server
)

// reasonScaledToZero is why a resource is not ready that somebody wants to rest.
const reasonScaledToZero = "ScaledToZero"

// The phases.
const (
	phasePending = "Pending"
	phaseReady   = "Ready"
	phaseFailed  = "Failed"
	phaseValid   = "Valid"
)

// observed is what runs of a resource.
type observed struct {
	deployment *appsv1.Deployment // nil where there is none
	trouble    string             // why a pod of it does not start
	said       pods.Said
	asked      bool     // said is of now
	outdated   []string // Secrets that a server's environment has not followed
	url        string
	unserved   bool // the pods have nothing of it, as far as is known
	pending    bool // the pods are not yet those that serve it
}

// observe looks at what runs of a resource that has pods of its own.
func (r *reconciler) observe(ctx context.Context, k key, gw *render.Gateway, c *container) (*observed, error) {
	o := &observed{url: gw.URL()}
	if err := r.runs(ctx, o, gw, func() (pods.Said, bool) { return r.asker.Of(k) }); err != nil {
		return nil, err
	}
	return o, r.environmentOf(ctx, o, k, c)
}

// runs looks at the pods of a gateway, and at what they have said.
func (r *reconciler) runs(ctx context.Context, o *observed, gw *render.Gateway, of func() (pods.Said, bool)) error {
	var d appsv1.Deployment
	err := r.client.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: gw.ObjectName()}, &d)
	switch {
	case apierrors.IsNotFound(err) || err == nil && !slices.ContainsFunc(d.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == gw.Owner.UID }):
		return nil
	case err != nil:
		return fmt.Errorf("read Deployment %s: %w", gw.ObjectName(), err)
	}
	o.deployment = &d
	if o.said, o.asked = of(); d.Status.ReadyReplicas == 0 {
		o.said, o.asked = pods.Said{}, false // what they said before they went
	}
	running, err := r.pods(ctx, gw.Namespace, gw.Selector())
	o.trouble = pods.Trouble(running)
	return err
}

// environmentOf looks at the pods of a server in a container.
func (r *reconciler) environmentOf(ctx context.Context, o *observed, k key, c *container) error {
	if c == nil || o.deployment == nil {
		return nil
	}
	running, err := r.pods(ctx, c.Namespace, c.Selector())
	if err != nil {
		return err
	}
	o.outdated, _ = r.environments.Outdated(k, c.secrets, running)
	if o.trouble == "" {
		o.trouble = pods.Trouble(running)
	}
	return nil
}

func (r *reconciler) pods(ctx context.Context, namespace string, selector map[string]string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := r.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels(selector)); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return list.Items, nil
}

// tellServing sets the status of a serving kind.
func (r *reconciler) tellServing(s *serving, gw *render.Gateway, g *gathered, v *verdict, o *observed, failed error) {
	st, generation := s.status, s.object.GetGeneration()
	*st.generation = generation
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		conditions.Set(st.conditions, generation, kind, status, reason, message)
	}
	ready, phase, reason, message := readiness(o, failed)
	if ready == metav1.ConditionTrue && len(v.problems) == 0 {
		ready, phase, reason, message = loaded(o, g.set.Revision(), message)
		if had := meta.FindStatusCondition(*st.conditions, conditionReady); !o.asked && had != nil && had.ObservedGeneration == generation && strings.HasPrefix(had.Reason, "Configuration") {
			ready, phase, reason, message = had.Status, *st.phase, had.Reason, had.Message // until somebody was asked
		}
	}
	if ready == metav1.ConditionTrue && o.pending {
		ready, phase, reason, message = metav1.ConditionFalse, phasePending, "ConfigurationPending", "the pods do not serve it yet; a node brings changed files to its pods within about a minute"
	}
	if len(v.problems) > 0 {
		reason, message = conditions.Reason(v.problems), conditions.Tell(v.problems)
		ready, phase = metav1.ConditionFalse, phaseFailed
		if strings.HasSuffix(reason, "NotFound") {
			phase = phasePending
		}
		set(conditionAuth, metav1.ConditionFalse, reason, message)
		if o.deployment != nil && !o.unserved {
			message = conditions.Shorten("the last good configuration is still served; " + message)
		}
	} else {
		set(conditionAuth, metav1.ConditionTrue, "Configured", authMessage(v, s.object.GetName()))
	}
	set(conditionReady, ready, reason, message)
	if len(o.outdated) > 0 {
		set(conditionSecrets, metav1.ConditionFalse, "RestartNeeded", fmt.Sprintf(
			"Secret %s has changed since the server's pods started, and an environment does not follow; restart them: kubectl -n %s rollout restart deployment/%s; or set restartOnSecretChange",
			strings.Join(o.outdated, ", "), s.object.GetNamespace(), render.ServerName(s.object.GetName())))
	} else {
		meta.RemoveStatusCondition(st.conditions, conditionSecrets)
	}
	if s.shares() {
		gw = nil // the gateway's own policy holds, and the gateway tells of it
	}
	tellPolicy(gw, st.conditions, set)
	r.tellBackends(s, g, o, set)
	*st.phase, *st.message = phase, message
	*st.url = ""
	if o.deployment != nil {
		*st.url = o.url
	}
}

// loaded says whether the configuration of now is what ready pods serve.
func loaded(o *observed, revision, message string) (status metav1.ConditionStatus, phase, reason, text string) {
	switch s := o.said; {
	case !o.asked || s.Pods == 0 || len(s.Hashes) == 0: // nobody could be asked: the Deployment has the word
		return metav1.ConditionTrue, phaseReady, "PodsReady", message
	case slices.Contains(s.Hashes, revision):
		return metav1.ConditionTrue, phaseReady, "PodsReady", message
	case s.Refused != "":
		return metav1.ConditionFalse, phaseFailed, "ConfigurationRefused", "the pods refuse the configuration and serve the one before it: " + s.Refused
	}
	return metav1.ConditionFalse, phasePending, "ConfigurationPending",
		"the pods serve the configuration before this one; a node brings changed files to its pods within about a minute"
}

// authMessage says who is let in.
func authMessage(v *verdict, name string) string {
	e := v.endpoint(name)
	if e == nil || e.Door.Everybody() {
		return "anonymous: everybody who reaches the endpoint is let in"
	}
	return "callers are asked who they are"
}

// readiness is whether pods serve, by their Deployment.
func readiness(o *observed, failed error) (status metav1.ConditionStatus, phase, reason, message string) {
	var template render.TemplateError
	var name apply.TakenError
	var conflict ConflictError
	switch {
	case errors.As(failed, &conflict):
		return metav1.ConditionFalse, phaseFailed, "Conflict", conditions.Tell(conflict.Problems)
	case errors.As(failed, &template):
		return metav1.ConditionFalse, phaseFailed, "PodTemplateInvalid", template.Error()
	case errors.As(failed, &name):
		return metav1.ConditionFalse, phaseFailed, "NameTaken", name.Error()
	case apierrors.IsForbidden(failed):
		return metav1.ConditionFalse, phaseFailed, "Forbidden", "the operator lacks a right: " + failed.Error()
	case failed != nil:
		return metav1.ConditionFalse, phaseFailed, "ApplyFailed", failed.Error()
	case o.deployment == nil:
		return metav1.ConditionFalse, phasePending, "Creating", "the Deployment is being made"
	}
	d := o.deployment
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return metav1.ConditionFalse, phaseFailed, "PodsRefused", c.Message
		}
	}
	switch {
	case d.Spec.Replicas != nil && *d.Spec.Replicas == 0:
		return metav1.ConditionFalse, phasePending, reasonScaledToZero, "the Deployment is scaled to zero: nobody serves"
	case d.Status.ReadyReplicas == 0 && o.trouble != "":
		return metav1.ConditionFalse, phasePending, "PodsNotStarting", o.trouble
	case d.Status.ObservedGeneration < d.Generation || d.Status.ReadyReplicas == 0 || d.Status.UpdatedReplicas == 0:
		return metav1.ConditionFalse, phasePending, "NoPodReady", fmt.Sprintf("no pod of Deployment %s is ready yet", d.Name)
	}
	return metav1.ConditionTrue, phaseReady, "PodsReady", fmt.Sprintf("%d of %d pods are ready", d.Status.ReadyReplicas, d.Status.Replicas)
}

// writeStatus writes a status that changed, and an event for each condition that turned
// for the worse.
func (r *reconciler) writeStatus(ctx context.Context, before, after client.Object, now, then []metav1.Condition) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, after, client.MergeFrom(before), apply.FieldOwner); err != nil {
		return client.IgnoreNotFound(err)
	}
	for _, c := range now {
		old := meta.FindStatusCondition(then, c.Type)
		if old != nil && old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			continue
		}
		bad := c.Status == metav1.ConditionFalse && !slices.Contains([]string{"Creating", "NoPodReady", reasonScaledToZero, "ConfigurationPending", "NotYetServed", "NotYet", "AnyAddress"}, c.Reason)
		switch {
		case bad && (c.Type != conditionReady || !r.told(now, c)):
			r.events.Eventf(after, nil, corev1.EventTypeWarning, c.Reason, "Reconcile", "%s", conditions.Shorten(c.Message))
		case c.Type == conditionReady && c.Status == metav1.ConditionTrue && (old == nil || old.Status != c.Status):
			r.events.Eventf(after, nil, corev1.EventTypeNormal, c.Reason, "Reconcile", "%s", c.Message)
		}
	}
	return nil
}

// told tells whether another condition says the same: one event is enough.
func (r *reconciler) told(conditions []metav1.Condition, c metav1.Condition) bool {
	return slices.ContainsFunc(conditions, func(o metav1.Condition) bool {
		return o.Type != c.Type && o.Status == c.Status && o.Reason == c.Reason
	})
}

// conditionsIn are the conditions of a resource of any of our kinds.
func conditionsIn(obj client.Object) []metav1.Condition {
	if s, ok := asServing(obj); ok {
		return *s.status.conditions
	}
	if list, _ := conditionsOf(obj); list != nil {
		return *list
	}
	return nil
}
