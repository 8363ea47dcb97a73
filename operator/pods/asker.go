package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Asker asks the gateway's pods how they are, again and again. It dials pods and nothing
// else: what is behind them, they know.
type Asker struct {
	client client.Reader
	every  time.Duration
	http   *http.Client
	tell   func(resource.Key) // that something has changed

	mu     sync.Mutex
	served map[resource.Key]*servedPods
	names  map[string]resource.Key // by namespace and the label of the pods

	waiting map[resource.Key]map[resource.Key]*guest // who is to share the pods of a gateway that is not known yet
}

// servedPods are the pods of one resource.
type servedPods struct {
	namespace string
	selector  map[string]string
	asking    bool // since another round: one that hangs is not asked again
	answered
	guests map[resource.Key]*guest // resources that share the pods
}

// Guest is a resource that shares the pods of a gateway, as they know it.
type Guest struct {
	Unit   string // the file that it is in; "" for a resource with pods of its own
	Server string // the endpoint
}

type guest struct {
	Guest
	answered
}

// answered is what pods said last of a resource.
type answered struct {
	known bool
	said  Said
}

// take takes in what they say now, and reports whether to tell. The time of the last check
// waits for the next look: it alone would have a thousand resources looked at each minute.
func (a *answered) take(now Said) (news bool) {
	news = !a.known || !a.said.same(now)
	a.said, a.known = now, true
	return news
}

// longestAnswer is how much a pod may say, in bytes.
const longestAnswer = 4 << 20

// NewAsker asks those pods that [Asker.Serves] is told of, every so often, and tells of what
// is news.
func NewAsker(c client.Reader, every time.Duration, tell func(resource.Key)) *Asker {
	return &Asker{
		client: c, every: every, tell: tell, served: map[resource.Key]*servedPods{}, names: map[string]resource.Key{}, waiting: map[resource.Key]map[resource.Key]*guest{},
		// Without a proxy, whatever the environment says: pods are near. Each question has a
		// connection of its own, so that none is held to a thousand pods.
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext},
			Timeout:       min(max(every, time.Second), 5*time.Second),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// NeedLeaderElection says that only the replica that works asks.
func (a *Asker) NeedLeaderElection() bool { return true }

// Start asks until ctx ends.
func (a *Asker) Start(ctx context.Context) error {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.round(ctx)
		}
	}
}

// Serves says that a resource has pods, from now on.
func (a *Asker) Serves(k resource.Key, gw *render.Gateway) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.served[k] == nil {
		a.served[k] = &servedPods{namespace: gw.Namespace, selector: gw.Selector(), guests: a.waiting[k]}
		delete(a.waiting, k)
		a.names[gw.Namespace+"/"+gw.ObjectName()] = k
	}
}

// Forget says that there is no such resource any more.
func (a *Asker) Forget(k resource.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.served[k]; s != nil {
		delete(a.names, s.namespace+"/"+s.selector[render.LabelInstance])
		delete(a.served, k)
	}
}

// Of is what the pods of a resource say; false where nobody has asked them yet.
func (a *Asker) Of(k resource.Key) (Said, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.served[k]; s != nil {
		return s.said, s.known
	}
	for _, s := range a.served {
		if g := s.guests[k]; g != nil {
			return g.said, g.known
		}
	}
	return Said{}, false
}

// Joins says that a resource is served by the pods of a gateway of many, from now on.
func (a *Asker) Joins(gateway, k resource.Key, as Guest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	guests := a.waiting[gateway]
	if s := a.served[gateway]; s != nil {
		if s.guests == nil {
			s.guests = map[resource.Key]*guest{}
		}
		guests = s.guests
	} else if guests == nil {
		guests = map[resource.Key]*guest{}
		a.waiting[gateway] = guests
	}
	if guests[k] == nil {
		guests[k] = &guest{Guest: as}
	}
}

// Leaves says that it is not any more.
func (a *Asker) Leaves(gateway, k resource.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting[gateway], k)
	if s := a.served[gateway]; s != nil {
		delete(s.guests, k)
	}
}

// Guest is what the pods of a gateway say of a resource that shares them; false where
// nobody has asked them yet.
func (a *Asker) Guest(gateway, k resource.Key) (Said, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.served[gateway]; s != nil && s.guests[k] != nil {
		return s.guests[k].said, s.guests[k].known
	}
	return Said{}, false
}

// ResourceOf is the resource that a pod belongs to.
func (a *Asker) ResourceOf(o client.Object) []resource.Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.names[o.GetNamespace()+"/"+o.GetLabels()[render.LabelInstance]]
	if !ok {
		return nil
	}
	return []resource.Key{k}
}

// round begins to ask the pods of every resource.
func (a *Asker) round(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, s := range a.served {
		if s.asking {
			continue
		}
		s.asking = true
		go a.ask(ctx, k, s)
	}
}

// ask asks the ready pods of one resource, all at once.
func (a *Asker) ask(ctx context.Context, k resource.Key, s *servedPods) {
	var list corev1.PodList
	err := a.client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingLabels(s.selector))
	var answers []Answer
	if err == nil {
		answers = make([]Answer, 0, len(list.Items))
		var mu sync.Mutex
		var asking sync.WaitGroup
		for i := range list.Items {
			pod := &list.Items[i]
			if pod.Status.PodIP == "" || !isReady(pod) {
				continue
			}
			asking.Go(func() {
				got := a.askPod(ctx, pod)
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, got)
			})
		}
		asking.Wait()
	}
	for _, k := range a.note(k, s, answers, err == nil && ctx.Err() == nil) {
		a.tell(k)
	}
}

// note notes what pods have answered, if all was well, and returns whom that is news to.
func (a *Asker) note(k resource.Key, s *servedPods, answers []Answer, well bool) (tell []resource.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.asking = false
	if !well {
		return nil
	}
	for guest, known := range s.guests {
		if known.take(Together(known.Guest, answers...)) {
			tell = append(tell, guest)
		}
	}
	if s.take(Together(Guest{Server: k.Name}, answers...)) || len(tell) > 0 {
		tell = append(tell, k)
	}
	return tell
}

// Take takes in what the pods of a resource have answered, as if they had been asked, and
// returns whom that is news to.
func (a *Asker) Take(k resource.Key, answers ...Answer) (tell []resource.Key) {
	a.mu.Lock()
	s := a.served[k]
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	return a.note(k, s, answers, true)
}

func isReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// askPod asks one pod.
func (a *Asker) askPod(ctx context.Context, pod *corev1.Pod) Answer {
	told, err := a.fetch(ctx, "http://"+net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(adminPort(pod)))+status.Path)
	if err != nil {
		return Unanswered(fmt.Sprintf("pod %s cannot be asked: %s", pod.Name, plain(err)))
	}
	return Answered(told)
}

// plain is an error without what differs from one try to the next.
func plain(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		if outer.Timeout() {
			return "it does not answer in time"
		}
		err = outer.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

// adminPort is the port of a pod that is named admin.
func adminPort(pod *corev1.Pod) int {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if c.Name == render.Container && p.Name == render.PortAdmin {
				return int(p.ContainerPort)
			}
		}
	}
	return 0
}

func (a *Asker) fetch(ctx context.Context, address string) (*status.Status, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("it has no address")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, resp.Status)
	}
	var s status.Status
	if err := json.NewDecoder(io.LimitReader(resp.Body, longestAnswer)).Decode(&s); err != nil {
		return nil, fmt.Errorf("read what %s answers: %w", address, err)
	}
	return &s, nil
}
