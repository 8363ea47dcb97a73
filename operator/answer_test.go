package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/webhook"
)

// change is what somebody asks the API server for.
type change struct {
	before, after client.Object // nil for none
	user          string
	subresource   string
}

// question is what the API server asks about a change.
func (c change) question(t *testing.T) []byte {
	t.Helper()
	obj, op := c.after, admissionv1.Update
	if obj == nil {
		obj, op = c.before, admissionv1.Delete
	} else if c.before == nil {
		op = admissionv1.Create
	}
	raw := func(o client.Object) (r runtime.RawExtension) {
		if o != nil {
			var err error
			if r.Raw, err = json.Marshal(o); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	text, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "u", Kind: metav1.GroupVersionKind{Group: v1alpha1.Group, Version: v1alpha1.Version, Kind: resource.Of(obj).Kind}, SubResource: c.subresource,
			Name: obj.GetName(), Namespace: obj.GetNamespace(), Operation: op, Object: raw(c.after), OldObject: raw(c.before),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &review); err != nil {
		t.Fatal(err)
	}
	review.Request.UserInfo.Username = c.user
	if text, err = json.Marshal(review); err != nil {
		t.Fatal(err)
	}
	return text
}

// ask asks a cluster's webhook, and returns why a change is refused, or what it warns of.
func (c *cluster) ask(ch change) (refusal string, warnings []string) {
	c.Helper()
	r := &webhook.Reviewer{Judge: c.judgement(), Cache: c.store(), Live: c.store(), Namespaces: []string{namespace}, Log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(c.Context(), http.MethodPost, webhook.Path, bytes.NewReader(ch.question(c.T))))
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil || review.Response.UID != "u" {
		c.Fatalf("%d %s", w.Code, w.Body)
	}
	if review.Response.Allowed != (review.Response.Result == nil) {
		c.Errorf("allowed %v with %+v", review.Response.Allowed, review.Response.Result)
	}
	if !review.Response.Allowed {
		refusal = review.Response.Result.Message
	}
	return refusal, review.Response.Warnings
}

// signIn is an authorization server, which is no credential.
func signIn(name string) *v1alpha1.MCPExternalAuthConfig {
	return &v1alpha1.MCPExternalAuthConfig{ObjectMeta: objectMeta(name), Spec: v1alpha1.MCPExternalAuthConfigSpec{
		Type: v1alpha1.AuthEmbeddedAuthServer, EmbeddedAuthServer: &v1alpha1.EmbeddedAuthServer{
			Issuer: "https://mcp.example.com",
			UpstreamProviders: v1alpha1.UpstreamProviders{{Name: "corp", Type: "oidc", OIDCConfig: &v1alpha1.UpstreamOIDC{
				IssuerURL: "https://idp.example.com", ClientID: "gateway",
			}}},
		},
	}}
}

// permits makes a proxy permit what a policy says.
func permits(policy string) func(*v1alpha1.MCPRemoteProxySpec) {
	return func(s *v1alpha1.MCPRemoteProxySpec) {
		s.AuthzConfig = &v1alpha1.AuthzConfig{Type: "inline", Inline: &v1alpha1.AuthzInline{Policies: []string{policy}}}
	}
}

func templated(template string) func(*v1alpha1.MCPRemoteProxySpec) {
	return func(s *v1alpha1.MCPRemoteProxySpec) { s.PodTemplateSpec = &v1alpha1.FreeForm{Raw: []byte(template)} }
}

func changed[T client.Object](obj T, how func(T)) T {
	obj = obj.DeepCopyObject().(T)
	how(obj)
	return obj
}

// What is plainly wrong is refused, what waits for something is let through with a warning,
// and what changes nothing is let through. What is said are the words of the conditions.
//
// REQ B-12
func TestChanges(t *testing.T) {
	t.Parallel()
	going := metav1.NewTime(time.Unix(1000, 0))
	deleted := func(o client.Object) client.Object {
		o.SetDeletionTimestamp(&going)
		o.SetFinalizers([]string{finalizer})
		return o
	}
	authz := &v1alpha1.MCPAuthzConfig{ObjectMeta: objectMeta("rules"), Spec: v1alpha1.MCPAuthzConfigSpec{Type: "cedarv1"}}
	authz.Spec.Config.Policies = []string{"permit(principal"}
	theirs := &corev1.Service{ObjectMeta: objectMeta("docs-proxy")}
	earlier := theirs.DeepCopy()
	yes := true
	earlier.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.APIVersion, Kind: "MCPRemoteProxy", Name: "docs", UID: "earlier", Controller: &yes}}
	inGroup := func(s *v1alpha1.MCPRemoteProxySpec) { s.GroupRef = &v1alpha1.ObjectRef{Name: "all"} }
	group := &v1alpha1.MCPGroup{ObjectMeta: objectMeta("all")}
	all := &v1alpha1.VirtualMCPServer{ObjectMeta: objectMeta("one"), Spec: v1alpha1.VirtualMCPServerSpec{GroupRef: v1alpha1.ObjectRef{Name: "all"}}}
	entry := &v1alpha1.MCPServerEntry{ObjectMeta: objectMeta("docs")}
	entry.Spec.RemoteURL, entry.Spec.Transport, entry.Spec.GroupRef = "https://search.example.com/mcp", "streamable-http", &v1alpha1.ObjectRef{Name: "all"}
	ending := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, DeletionTimestamp: &going, Finalizers: []string{"kubernetes"}}}
	elsewhere := proxy("docs", permits("nonsense"))
	elsewhere.Namespace = "other"
	local := &v1alpha1.MCPServer{ObjectMeta: objectMeta("files"), Spec: v1alpha1.MCPServerSpec{Command: []v1alpha1.Argument{"files"}}}
	const broken, server = "permit(principal", `MCPExternalAuthConfig "people" is an authorization server`

	for name, c := range map[string]struct {
		there           []client.Object
		change          change
		refused, warned string // a part of it
	}{
		"good":                       {[]client.Object{apiKey(), secretOf("v")}, change{after: proxy("docs", shows("key"))}, "", ""},
		"nothing there yet":          {nil, change{after: proxy("docs", shows("key"))}, "", `there is no MCPExternalAuthConfig "key"`},
		"no Secret yet":              {[]client.Object{apiKey()}, change{after: proxy("docs", shows("key"))}, "", `there is no Secret "api" with the key "token"`},
		"a Secret without the key":   {[]client.Object{apiKey(), &corev1.Secret{ObjectMeta: objectMeta("api")}}, change{after: proxy("docs", shows("key"))}, "", `Secret "api" has no key "token"`},
		"no group yet":               {nil, change{after: proxy("docs", inGroup)}, "", `there is no MCPGroup "all"`},
		"a config before its Secret": {nil, change{after: apiKey()}, "", `there is no Secret "api"`},
		"a server before its group":  {nil, change{after: all}, "", `there is no MCPGroup "all"`},

		"another type":         {[]client.Object{signIn("people")}, change{after: proxy("docs", shows("people"))}, server, ""},
		"a policy":             {nil, change{after: proxy("docs", permits(broken))}, "spec.authzConfig.inline.policies[0]", ""},
		"a shared policy":      {nil, change{after: authz}, "MCPAuthzConfig/rules: spec.config.policies[0]", ""},
		"a template of pods":   {nil, change{after: proxy("docs", templated(`{"spec":{"nodeSelectr":{}}}`))}, "nodeSelectr", ""},
		"a name that is taken": {[]client.Object{theirs}, change{after: proxy("docs")}, "there is a Service docs-proxy already", ""},
		"a command":            {nil, change{after: local}, "set image", ""},
		"an earlier one's":     {[]client.Object{earlier}, change{after: proxy("docs")}, "", ""},

		"an edit that breaks":     {[]client.Object{signIn("people"), proxy("docs")}, change{before: proxy("docs"), after: proxy("docs", shows("people"))}, server, ""},
		"an edit that mends":      {[]client.Object{signIn("people"), proxy("docs", shows("people"))}, change{before: proxy("docs", shows("people")), after: proxy("docs")}, "", ""},
		"an edit that leaves it":  {[]client.Object{proxy("docs", permits(broken))}, change{before: proxy("docs", permits(broken)), after: proxy("docs", permits(broken), shows("key"))}, "", "spec.authzConfig.inline.policies[0]"},
		"no edit":                 {nil, change{before: proxy("docs", permits(broken)), after: proxy("docs", permits(broken))}, "", ""},
		"labels":                  {nil, change{before: proxy("docs", permits(broken)), after: changed(proxy("docs", permits(broken)), func(p *v1alpha1.MCPRemoteProxy) { p.Labels = map[string]string{"a": "b"} })}, "", ""},
		"an edit of what is gone": {nil, change{before: deleted(proxy("docs")), after: deleted(proxy("docs", permits(broken)))}, "", ""},
		"a status":                {nil, change{before: proxy("docs"), after: proxy("docs", permits(broken)), subresource: "status"}, "", ""},
		"another namespace":       {nil, change{after: elsewhere}, "", ""},

		"an edit that breaks a user": {
			[]client.Object{apiKey(), secretOf("v"), proxy("docs", shows("key"))},
			change{before: apiKey(), after: changed(signIn("people"), func(x *v1alpha1.MCPExternalAuthConfig) { x.Name = "key" })},
			`this would break MCPRemoteProxy docs: MCPRemoteProxy/docs: spec.externalAuthConfigRef.name: MCPExternalAuthConfig "key" is an authorization server`, "",
		},
		"an edit under a broken user": {
			[]client.Object{signIn("key"), proxy("docs", shows("key"))}, change{before: signIn("key"), after: changed(signIn("key"), func(x *v1alpha1.MCPExternalAuthConfig) {
				x.Spec.EmbeddedAuthServer.Issuer = "https://other.example.com"
			})}, "", "",
		},
		"a member with a name twice": {[]client.Object{group, all, proxy("docs", inGroup)}, change{after: entry}, "this would break VirtualMCPServer one: ", ""},
		"a member":                   {[]client.Object{group, all}, change{after: entry}, "", ""},

		"deletion of what is used":        {[]client.Object{apiKey(), proxy("docs", shows("key"))}, change{before: apiKey()}, "MCPExternalAuthConfig/key: used by MCPRemoteProxy docs", ""},
		"deletion of what is not":         {[]client.Object{apiKey(), proxy("docs")}, change{before: apiKey()}, "", ""},
		"deletion after its user's":       {[]client.Object{apiKey(), deleted(proxy("docs", shows("key")))}, change{before: apiKey()}, "", ""},
		"deletion by the namespace":       {[]client.Object{apiKey(), proxy("docs", shows("key"))}, change{before: apiKey(), user: "system:serviceaccount:kube-system:namespace-controller"}, "", ""},
		"deletion within its namespace's": {[]client.Object{ending, apiKey(), proxy("docs", shows("key"))}, change{before: apiKey()}, "", ""},
		"deletion once more":              {[]client.Object{apiKey(), proxy("docs", shows("key"))}, change{before: deleted(apiKey())}, "", ""},
		"deletion of what is served":      {[]client.Object{proxy("docs")}, change{before: proxy("docs")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var there []client.Object
			for _, o := range c.there {
				there = append(there, o.DeepCopyObject().(client.Object))
			}
			cl := newCluster(t, there...)
			refusal, warnings := cl.ask(c.change)
			told := strings.Join(warnings, "\n")
			if !strings.Contains(refusal, c.refused) || (refusal == "") != (c.refused == "") || !strings.Contains(told, c.warned) || (told == "") != (c.warned == "") {
				t.Fatalf("refused: %q, warned: %q; want %q and %q", refusal, told, c.refused, c.warned)
			}
			if n := cl.writes.Load(); n != 0 || cl.queue.Len() != 0 || cl.tracker.Len() != 0 {
				t.Errorf("it leaves traces: %d writes, %d to look at, %d that rest on something", n, cl.queue.Len(), cl.tracker.Len())
			}
			if c.change.before != nil || refusal+told == "" || strings.HasPrefix(refusal, "this would break") {
				return
			}
			// Whoever comes past the webhook is told the same by conditions.
			obj := c.change.after.DeepCopyObject().(client.Object)
			if err := cl.store().Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			_ = cl.look(resource.Of(obj).Kind, obj.GetName())
			if err := cl.store().Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
				t.Fatal(err)
			}
			want := c.refused + c.warned
			if !slices.ContainsFunc(conditionsIn(obj), func(c metav1.Condition) bool {
				return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, want)
			}) {
				t.Errorf("no condition says %q: %v", want, conditionsIn(obj))
			}
		})
	}
}

// Whoever cannot judge has no answer, so that the failure policy decides; and a question
// has a bound.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	away := interceptor.NewClient(c.store().(client.WithWatch), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("the API server is away")
		},
	})
	good := change{after: proxy("docs", shows("key"))}.question(t)
	for name, q := range map[string]struct {
		body []byte
		live client.Client
		want int
	}{
		"the API server is away": {good, away, http.StatusInternalServerError},
		"a text":                 {[]byte("hello"), c.store(), http.StatusBadRequest},
		"nothing":                {nil, c.store(), http.StatusBadRequest},
		"another version":        {bytes.Replace(good, []byte("admission.k8s.io/v1"), []byte("admission.k8s.io/v1beta1"), 1), c.store(), http.StatusBadRequest},
		"too much":               {append(bytes.Repeat([]byte(" "), 5<<20), good...), c.store(), http.StatusRequestEntityTooLarge},
	} {
		r := &webhook.Reviewer{Judge: c.judgement(), Cache: q.live, Live: q.live, Log: slog.New(slog.DiscardHandler)}
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, bytes.NewReader(q.body)))
		if w.Code != q.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, q.want)
		}
	}
}

// A cluster that is behind refuses nothing: what it says is asked for again.
func TestRefusedByWhatIsNow(t *testing.T) {
	t.Parallel()
	lately, now := newCluster(t, signIn("key")), newCluster(t, apiKey(), secretOf("v"))
	r := &webhook.Reviewer{Judge: now.judgement(), Cache: lately.store(), Live: now.store(), Log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, bytes.NewReader(change{after: proxy("docs", shows("key"))}.question(t))))
	if !strings.Contains(w.Body.String(), `"allowed":true`) || strings.Contains(w.Body.String(), "warnings") {
		t.Errorf("%s", w.Body)
	}
}
