package operator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What resources become, to the last field: the manifests of a file, and everything
// that is made for them.
//
// REQ B-10, B-13, B-14
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			objects := readObjects(t, file)
			c := newCluster(t, objects...)
			for _, o := range objects {
				if _, serves := asServing(o); serves {
					c.mustLook(resource.Of(o).Kind, o.GetName())
					if s, _ := asServing(read(c, o.GetName(), o)); *s.status.phase != phasePending {
						t.Errorf("%s: phase %s: %s", o.GetName(), *s.status.phase, *s.status.message)
					}
				}
			}
			got := c.made()
			if strings.Contains(got, "CANARY") || got == "" {
				t.Error("nothing was made, or a secret is in it")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("objects (-want +got), with -update if this is right:\n%s", diff)
			}
			before := c.writes.Load()
			for _, o := range objects {
				if _, serves := asServing(o); serves {
					c.mustLook(resource.Of(o).Kind, o.GetName())
				}
			}
			if n := c.writes.Load() - before; n > 0 {
				t.Errorf("%d writes though nothing changed", n)
			}
		})
	}
}

// readObjects reads the objects of a file into their types, all in one namespace.
func readObjects(t *testing.T, file string) (all []client.Object) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	addToScheme(scheme)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(text), "\n---\n") {
		var head metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		o, err := scheme.New(head.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), o); err != nil {
			t.Fatal(err)
		}
		obj := o.(client.Object)
		if s, ok := obj.(*corev1.Secret); ok && s.Name == "signing" {
			s.Data["key"] = signingKey(t)
		}
		obj.SetNamespace(namespace)
		obj.SetUID(types.UID("uid-" + obj.GetName()))
		obj.SetGeneration(1)
		all = append(all, obj)
	}
	return all
}

// made are all objects that there are of the kinds that are made, as YAML.
func (c *cluster) made() string {
	c.Helper()
	var b strings.Builder
	for _, list := range []client.ObjectList{
		&corev1.ServiceAccountList{}, &corev1.ConfigMapList{}, &corev1.ServiceList{}, &appsv1.DeploymentList{},
		&policyv1.PodDisruptionBudgetList{}, &networkingv1.NetworkPolicyList{}, httpRoutes(),
	} {
		if err := c.direct.(client.Client).List(c.Context(), list, client.MatchingLabels{"app.kubernetes.io/managed-by": "sallyport"}); err != nil {
			c.Fatal(err)
		}
		if err := meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			kinds, _, err := c.store().Scheme().ObjectKinds(o)
			if err != nil {
				return err
			}
			o.GetObjectKind().SetGroupVersionKind(kinds[0])
			o.SetResourceVersion("")
			o.SetManagedFields(nil)
			raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return err
			}
			delete(raw, "status")
			apply.DropNulls(raw)
			text, err := yaml.Marshal(raw)
			b.WriteString("---\n" + string(text))
			return err
		}); err != nil {
			c.Fatal(err)
		}
	}
	return b.String()
}

// httpRoutes is a list of them, which are of no type.
func httpRoutes() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(render.HTTPRoute.GroupVersion().WithKind("HTTPRouteList"))
	return list
}

// signingKey is a new key, as PEM.
func signingKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
