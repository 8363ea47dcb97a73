// Package deploy_test looks at what is installed into a cluster: the manifests of the
// operator, which are made out of the chart.
package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// object is as much of an object of Kubernetes as is looked at here.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Rules    []rule
	RoleRef  struct{ Kind, Name string }
	Subjects []struct{ Kind, Name, Namespace string }
	Spec     struct {
		Template struct {
			Spec struct {
				ServiceAccountName string
				Containers         []struct{ Command, Args []string }
			}
		}
	}
}

type rule struct {
	APIGroups, Resources, ResourceNames, NonResourceURLs, Verbs []string
}

func read(t *testing.T, file string) (objects []object) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind != "" {
			objects = append(objects, o)
		}
	}
	return objects
}

// plurals are the names that the API server has for our kinds.
func plurals(t *testing.T) (names []string) {
	t.Helper()
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("definitions: %v (%v)", files, err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(file, "crds/"+v1alpha1.Group+"_"), ".yaml"))
	}
	return names
}

// manifests are the operator's, for a whole cluster and for one namespace.
var manifests = []string{"operator.yaml", "operator-namespaced.yaml"}

// REQ B-14: the operator may do what it needs and nothing else. Whoever takes it over
// reads no node, changes no Secret and gives nobody rights.
func TestRightsOfTheOperator(t *testing.T) {
	t.Parallel()
	kinds := plurals(t)
	for _, file := range manifests {
		granted := map[string][]string{} // verbs by group/resource
		for _, o := range read(t, file) {
			if (o.Kind != "Role" && o.Kind != "ClusterRole") || o.Metadata.Labels["rbac.authorization.k8s.io/aggregate-to-edit"] != "" {
				continue
			}
			for _, r := range o.Rules {
				if len(r.NonResourceURLs) > 0 {
					t.Errorf("%s: %s is about URLs: %q", file, o.Metadata.Name, r.NonResourceURLs)
				}
				for _, group := range r.APIGroups {
					for _, resource := range r.Resources {
						granted[group+"/"+resource] = append(granted[group+"/"+resource], r.Verbs...)
					}
				}
			}
		}
		owned := "create delete get list patch watch"
		want := map[string]string{
			"/secrets": "create get list watch",
			"/pods":    "get list watch",

			"/configmaps": owned, "/services": owned, "/serviceaccounts": owned,
			"apps/deployments": owned, "apps/statefulsets": owned,
			"policy/poddisruptionbudgets": owned, "networking.k8s.io/networkpolicies": owned,
			"gateway.networking.k8s.io/httproutes": owned,
			"gateway.networking.k8s.io/gateways":   "get", // the scheme and port of status.externalUrl

			"discovery.k8s.io/endpointslices": "get", // of that name alone: where API servers listen, for NetworkPolicies

			"/events": "create patch", "events.k8s.io/events": "create patch",
			"coordination.k8s.io/leases": "create get update",
		}
		for _, kind := range kinds {
			want["sallyport.dev/"+kind] = "get list patch watch"
			want["sallyport.dev/"+kind+"/status"] = "get patch update"
			want["sallyport.dev/"+kind+"/finalizers"] = "update"
		}
		got := map[string]string{}
		for resource, verbs := range granted {
			slices.Sort(verbs)
			got[resource] = strings.Join(slices.Compact(verbs), " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: rights (-want +got); whoever adds one says here why nothing less does:\n%s", file, diff)
		}
	}
}

// With a namespace the operator has no rights elsewhere, and needs nobody who may grant
// some in the whole cluster.
func TestNamespacedManifestStaysThere(t *testing.T) {
	t.Parallel()
	for _, o := range read(t, "operator-namespaced.yaml") {
		if o.Kind != "Namespace" && o.Metadata.Namespace != "sallyport" {
			t.Errorf("%s %s is not in the namespace", o.Kind, o.Metadata.Name)
		}
		if strings.HasPrefix(o.Kind, "Cluster") {
			t.Errorf("%s %s is of the whole cluster", o.Kind, o.Metadata.Name)
		}
	}
}

// Rights are bound to the account that the operator runs as, and to nobody else.
func TestBindings(t *testing.T) {
	t.Parallel()
	for _, file := range manifests {
		account, bound := "", 0
		for _, o := range read(t, file) {
			if o.Kind == "Deployment" {
				account = o.Metadata.Namespace + "/" + o.Spec.Template.Spec.ServiceAccountName
			}
		}
		for _, o := range read(t, file) {
			if !strings.HasSuffix(o.Kind, "Binding") {
				continue
			}
			bound++
			if len(o.Subjects) != 1 || o.Subjects[0].Kind != "ServiceAccount" || o.Subjects[0].Namespace+"/"+o.Subjects[0].Name != account {
				t.Errorf("%s: %s %s is for %v, want %s", file, o.Kind, o.Metadata.Name, o.Subjects, account)
			}
		}
		if bound != 2 {
			t.Errorf("%s: %d bindings, want those of the operator and of its leader", file, bound)
		}
	}
}

// The kinds are in the cluster's own roles: people who may look may look at ours, and people who
// may edit may edit ours.
func TestAggregatedRoles(t *testing.T) {
	t.Parallel()
	want := map[string]string{"view": "get list watch", "edit": "create update patch delete deletecollection"}
	got := map[string]string{}
	for _, o := range read(t, "operator.yaml") {
		for _, role := range []string{"view", "edit", "admin"} {
			if o.Metadata.Labels["rbac.authorization.k8s.io/aggregate-to-"+role] != "true" {
				continue
			}
			name := strings.TrimPrefix(o.Metadata.Name, "sallyport-")
			for _, kind := range plurals(t) {
				if len(o.Rules) != 1 || !slices.Contains(o.Rules[0].Resources, kind) {
					t.Errorf("%s says nothing of %s", o.Metadata.Name, kind)
				}
			}
			got[name] = strings.Join(o.Rules[0].Verbs, " ")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("aggregated roles (-want +got):\n%s", diff)
	}
}

// REQ B-1: the chart has the kinds' definitions that are in api/v1alpha1/crds.
func TestDefinitionsOfTheChart(t *testing.T) {
	t.Parallel()
	in := func(f fs.FS, pattern string) map[string]string {
		files, err := fs.Glob(f, pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v (%v)", pattern, files, err)
		}
		texts := map[string]string{}
		for _, file := range files {
			text, err := fs.ReadFile(f, file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(file)] = string(text)
		}
		return texts
	}
	if diff := cmp.Diff(in(v1alpha1.CRDs, "crds/*.yaml"), in(os.DirFS("chart"), "files/crds/*")); diff != "" {
		t.Errorf("definitions of the kinds (-api/v1alpha1/crds +deploy/chart/files/crds); go generate ./api/... copies them:\n%s", diff)
	}
}
