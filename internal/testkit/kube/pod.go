package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// pod is as much of a Pod as a node looks at.
type pod struct {
	Metadata struct {
		Name, UID, DeletionTimestamp string
		DeletionGracePeriodSeconds   int64
		Labels                       map[string]string
	}
	Spec struct {
		ServiceAccountName         string
		Volumes                    []volume
		InitContainers, Containers []container
	}
}

type container struct {
	Name, Image, WorkingDir string
	Command, Args           []string
	Env                     []variable
	VolumeMounts            []struct{ Name, MountPath string }
	Ports                   []struct {
		Name          string
		ContainerPort int
	}
	ReadinessProbe *struct {
		HTTPGet *struct {
			Path string
			Port any // a name or a number
		}
	}
	Lifecycle struct {
		PreStop struct {
			Sleep struct{ Seconds int64 }
		}
	}
}

type variable struct {
	Name, Value string
	ValueFrom   *struct {
		SecretKeyRef, ConfigMapKeyRef *keyRef
		FieldRef                      *struct{ FieldPath string }
	}
}

type keyRef struct {
	Name, Key string
	Optional  bool
}

// runningPod is one that this node runs.
type runningPod struct {
	node       *Node
	spec       pod
	address    string
	dir        string
	volumes    map[string]*mountedVolume
	containers []*process // init containers excepted

	moments int // that it was looked at

	since time.Time // when it became ready, or ceased to be

	mu    sync.Mutex
	ready bool
	ends  bool
	told  string // the status that the API server was told of

	leaving chan time.Duration // has the grace, once it is to end
	once    sync.Once
}

func newPod(n *Node, spec pod, address string) *runningPod {
	r := &runningPod{
		node: n, spec: spec, address: address, dir: filepath.Join(n.dir, spec.Metadata.UID),
		volumes: map[string]*mountedVolume{}, leaving: make(chan time.Duration, 1), since: time.Now(),
	}
	for _, c := range spec.Spec.Containers {
		r.containers = append(r.containers, &process{pod: r, spec: c})
	}
	return r
}

func (r *runningPod) leave(grace time.Duration) {
	r.mu.Lock()
	r.ends = true
	r.mu.Unlock()
	r.once.Do(func() { r.leaving <- grace })
}

// isReady tells whether it is, and was not told to end.
func (r *runningPod) isReady() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready && !r.ends
}

func (r *runningPod) ref(subresource string) Ref {
	return Ref{"v1", "Pod", r.node.namespace, r.spec.Metadata.Name, subresource}
}

// run is the life of a pod.
func (r *runningPod) run(ctx context.Context) {
	tick := time.NewTicker(moment)
	defer tick.Stop()
	started := false
	for {
		if !started {
			started = r.start(ctx) == nil // or what it needs is not there yet
		}
		if started {
			r.keep(ctx)
		}
		r.tell(ctx)
		select {
		case <-tick.C:
		case grace := <-r.leaving:
			r.end(ctx, grace)
			return
		case <-ctx.Done():
			r.end(ctx, 0)
			return
		}
	}
}

// start lays out the volumes, runs the init containers and starts the others.
func (r *runningPod) start(ctx context.Context) error {
	binding := []byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":%q},"target":{"apiVersion":"v1","kind":"Node","name":"testkit"}}`, r.spec.Metadata.Name))
	_, err := r.node.plane.ask(ctx, http.MethodPost, r.ref("binding"), nil, "application/json", binding)
	if refusal, ok := errors.AsType[*Refusal](err); err != nil && (!ok || refusal.Code != http.StatusConflict) { // it was bound before
		return err
	}
	if err := r.layOut(ctx); err != nil {
		return err
	}
	for _, c := range r.spec.Spec.InitContainers {
		init := &process{pod: r, spec: c}
		if err := init.start(ctx); err != nil {
			return err
		}
		select {
		case <-init.ended:
		case <-ctx.Done():
			init.kill()
			return errEnded
		}
		if !init.cmd.ProcessState.Success() {
			return fmt.Errorf("init container %s: %s", c.Name, init.out.String())
		}
	}
	for _, c := range r.containers {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keep looks at the containers, and now and then at the volumes.
func (r *runningPod) keep(ctx context.Context) {
	if r.moments++; r.moments%5 == 0 {
		_ = r.layOut(ctx) // what is gone stays as it was
	}
	ready := true
	for _, c := range r.containers {
		if c.hasEnded() && time.Now().After(c.next) {
			_ = c.start(ctx) // or the next time
		}
		ready = c.look(ctx) && ready
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ready != r.ready {
		r.ready, r.since = ready, time.Now()
	}
}

// end is the end of it: a sleep, a word, and the end of patience.
func (r *runningPod) end(ctx context.Context, grace time.Duration) {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	over := false
	wait := func(c <-chan struct{}) {
		if over {
			return
		}
		select {
		case <-c:
		case <-patience.C:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
	for _, c := range r.containers {
		if c.cmd == nil {
			continue
		}
		sleep := make(chan struct{})
		timer := time.AfterFunc(time.Duration(c.spec.Lifecycle.PreStop.Sleep.Seconds)*time.Second, func() { close(sleep) })
		wait(sleep)
		timer.Stop()
		c.terminate()
		wait(c.ended)
		c.kill()
	}
	r.mu.Lock()
	r.ready = false
	r.mu.Unlock()
	if ctx.Err() == nil {
		_, _ = r.node.plane.ask(ctx, http.MethodDelete, r.ref(""), []string{"gracePeriodSeconds=0"}, "", nil)
	}
}

// tell writes the pod's status where it is another than before.
func (r *runningPod) tell(ctx context.Context) {
	type m = map[string]any
	ready, status, started := "False", []any{}, true
	if r.isReady() {
		ready = "True"
	}
	for _, c := range r.containers {
		s := m{
			"name": c.spec.Name, "image": c.spec.Image, "imageID": c.spec.Image, "ready": c.ready, "restartCount": max(c.starts-1, 0), "started": c.running(),
			"state": m{"waiting": m{"reason": "ContainerCreating"}},
		}
		switch {
		case c.running():
			s["state"] = m{"running": m{}}
		case c.starts > 0:
			s["state"] = m{"waiting": m{"reason": "CrashLoopBackOff", "message": c.lastWords()}}
		default:
			started = false
		}
		status = append(status, s)
	}
	phase := "Running"
	if !started {
		phase = "Pending"
	}
	since := r.since.UTC().Format(time.RFC3339)
	condition := func(kind, status string) m { return m{"type": kind, "status": status, "lastTransitionTime": since} }
	text, _ := json.Marshal(m{"status": m{
		"phase": phase, "podIP": r.address, "podIPs": []any{m{"ip": r.address}}, "hostIP": "127.0.0.1", "containerStatuses": status,
		"conditions": []any{condition("PodScheduled", "True"), condition("Initialized", "True"), condition("ContainersReady", ready), condition("Ready", ready)},
	}})
	if string(text) == r.told {
		return
	}
	if _, err := r.node.plane.ask(ctx, http.MethodPatch, r.ref("status"), nil, "application/merge-patch+json", text); err == nil {
		r.told = string(text)
	}
}

// value is what a variable has; false where there is none.
func (r *runningPod) value(ctx context.Context, v variable) (string, bool, error) {
	if v.ValueFrom == nil {
		return v.Value, true, nil
	}
	var of *keyRef
	var kind string
	switch {
	case v.ValueFrom.FieldRef != nil:
		return map[string]string{
			"status.podIP": r.address, "metadata.name": r.spec.Metadata.Name, "metadata.namespace": r.node.namespace,
		}[v.ValueFrom.FieldRef.FieldPath], true, nil
	case v.ValueFrom.SecretKeyRef != nil:
		of, kind = v.ValueFrom.SecretKeyRef, "Secret"
	case v.ValueFrom.ConfigMapKeyRef != nil:
		of, kind = v.ValueFrom.ConfigMapKeyRef, "ConfigMap"
	default:
		return "", false, fmt.Errorf("variable %s: a source that this node does not know", v.Name)
	}
	data, err := r.node.data(ctx, kind, of.Name)
	value, ok := data[of.Key]
	if err == nil && !ok && !of.Optional {
		err = fmt.Errorf("there is no %s %s with the key %s", kind, of.Name, of.Key)
	}
	return string(value), ok, err
}

// data is what a Secret or ConfigMap holds; nothing where there is none.
func (n *Node) data(ctx context.Context, kind, name string) (map[string][]byte, error) {
	text, err := n.plane.ask(ctx, http.MethodGet, Ref{APIVersion: "v1", Kind: kind, Namespace: n.namespace, Name: name}, nil, "", nil)
	if IsNotFound(err) {
		return nil, nil
	}
	var o struct{ Data, BinaryData map[string]string }
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for key, value := range o.Data {
		data[key] = []byte(value)
		if kind == "Secret" {
			if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
				return nil, err
			}
		}
	}
	for key, value := range o.BinaryData {
		if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
			return nil, err
		}
	}
	return data, nil
}
