package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func tool(name string) string {
	return "apiVersion: sallyport.dev/v1alpha1\nkind: MCPToolConfig\nmetadata: {name: " + name + "}\nspec: {}\n"
}

func names(set *manifest.Set) (names []string) {
	for _, o := range set.Objects {
		names = append(names, o.Name)
	}
	return names
}

// load returns the objects' names and the problems, with the folder left out.
func load(t *testing.T, dir string, paths ...string) ([]string, string) {
	t.Helper()
	for i := range paths {
		paths[i] = filepath.Join(dir, paths[i])
	}
	set, err := manifest.Load(paths)
	if err == nil {
		return names(set), ""
	}
	if _, ok := errors.AsType[manifest.Problems](err); !ok {
		t.Fatalf("error is %T, want Problems", err)
	}
	return names(set), strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
}

func TestLoadFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml": tool("b"), "a.yml": tool("a"), "sub/deep/c.json": `{"apiVersion": "sallyport.dev/v1alpha1", "kind": "MCPToolConfig", "metadata": {"name": "c"}, "spec": {}}`,
		"README.md": "not read", ".hidden.yaml": "not read", ".git/x.yaml": "not read", "..data/x.yaml": "not read", "x.yaml~": "not read",
		"other/d.txt": tool("d"),
	} {
		writeIn(t, dir, name, text)
	}
	writeIn(t, dir, "loop/README.md", "")
	if err := os.Symlink(dir, filepath.Join(dir, "loop", "back")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "gone.yaml")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		paths    []string
		want     []string
		problems string
	}{
		{[]string{"."}, []string{"a", "b", "c"}, ""},
		{[]string{"b.yaml", "sub"}, []string{"b", "c"}, ""},
		{[]string{"other/d.txt"}, []string{"d"}, ""}, // named, so it is meant
		{[]string{"b.yaml", "nowhere", "other"}, []string{"b"}, "nowhere: no such file or folder\nother: holds no *.yaml, *.yml or *.json file"},
		{[]string{"README.md"}, nil, "README.md:1: is not a resource: a document is a mapping that begins with apiVersion and kind"},
		{[]string{"b.yaml", "b.yaml"}, []string{"b", "b"}, "b.yaml:3:12: MCPToolConfig/b: metadata.name: is the name of another MCPToolConfig, at " +
			"b.yaml:1:1; rename or remove one of them"},
	}
	for _, tt := range tests {
		got, problems := load(t, dir, tt.paths...)
		if diff := cmp.Diff(tt.want, got); diff != "" || problems != tt.problems {
			t.Errorf("%v: problems %q; objects (-want +got):\n%s", tt.paths, problems, diff)
		}
	}
}

func TestLoadFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, "empty.yaml", "# nothing\n---\n")
	writeIn(t, dir, "large.yaml", strings.Repeat("#", 4<<20+1))
	writeIn(t, dir, "two/good.yaml", tool("good"))
	writeIn(t, dir, "two/empty.yaml", "")
	if got, problems := load(t, dir, "empty.yaml"); got != nil || problems != "empty.yaml: holds no resource of sallyport.dev; a resource begins with apiVersion and kind" {
		t.Errorf("empty: %v, %q", got, problems)
	}
	if got, problems := load(t, dir, "large.yaml"); got != nil || problems != "large.yaml: is larger than 4 MiB; split it" {
		t.Errorf("large: %v, %q", got, problems)
	}
	if got, problems := load(t, dir, "two"); len(got) != 1 || problems != "" {
		t.Errorf("an empty file beside another: %v, %q", got, problems)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(filepath.Join(dir, "two", "good.yaml"), 0); err != nil {
			t.Fatal(err)
		}
		if _, problems := load(t, dir, "two"); !strings.Contains(problems, "good.yaml: cannot be read: permission denied") {
			t.Errorf("unreadable: %q", problems)
		}
	}
}

// A mounted ConfigMap consists of links through the folder ..data.
func TestLoadMountedConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount(t, dir, "1", tool("one"))
	if got, problems := load(t, dir, "."); problems != "" || len(got) != 1 {
		t.Errorf("got %v, %q", got, problems)
	}
}

// mount makes, or swaps, the content of a ConfigMap volume as a kubelet does.
func mount(t *testing.T, dir, version, text string) {
	t.Helper()
	writeIn(t, dir, "..v"+version+"/a.yaml", text)
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink("..v"+version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a.yaml")); err != nil {
		if err := os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	digest := func() string {
		set, err := manifest.Load([]string{dir})
		if err != nil {
			t.Fatal(err)
		}
		return set.Digest()
	}
	writeIn(t, dir, "a.yaml", tool("a"))
	first := digest()
	if again := digest(); again != first || first == "" {
		t.Errorf("the same files have the digests %q and %q", first, again)
	}
	writeIn(t, dir, "b.yaml", tool("b"))
	second := digest()
	writeIn(t, dir, "b.yaml", tool("c"))
	if third := digest(); second == first || third == second {
		t.Error("other files have the same digest")
	}
}

// REQ B-6: namespaces are kept apart, and one that is not named is the default.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	set, err := manifest.Load([]string{write(t, "a.yaml", tool("a")+"---\n"+
		strings.Replace(tool("a"), "name: a", "name: a, namespace: other", 1)+"---\n"+tool("b"))})
	if err != nil {
		t.Fatal(err)
	}
	if problems := set.Decode(); len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, item := range manifest.All[v1alpha1.MCPToolConfig](set) {
		got = append(got, item.Namespace+"/"+item.Name)
	}
	if diff := cmp.Diff([]string{"default/a", "default/b", "other/a"}, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if _, ok := manifest.Get[v1alpha1.MCPToolConfig](set, "other", "b"); ok {
		t.Error("other/b was found")
	}
	if _, ok := manifest.Get[v1alpha1.MCPServer](set, "default", "a"); ok {
		t.Error("an object was found as another kind")
	}
}

func TestDecodeWithoutValidation(t *testing.T) {
	t.Parallel()
	set, err := manifest.Load([]string{write(t, "a.yaml",
		"apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: a}\nspec: {proxyPort: CANARY}\n---\n"+tool("b"))})
	if err != nil {
		t.Fatal(err)
	}
	problems := set.Decode()
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "MCPRemoteProxy/a: does not fit its kind") || strings.Contains(problems.Error(), "CANARY") {
		t.Errorf("got %v", problems)
	}
	if len(manifest.All[v1alpha1.MCPRemoteProxy](set)) != 0 || len(manifest.All[v1alpha1.MCPToolConfig](set)) != 1 {
		t.Error("want the object that fits alone")
	}
}

func TestFromObjects(t *testing.T) {
	t.Parallel()
	proxy := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	proxy.Spec.RemoteURL = "https://a"
	set, err := manifest.FromObjects(proxy)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.AddSecret("s", map[string]secret.Value{"k": secret.New("v")}); err != nil {
		t.Fatal(err)
	}
	if err := set.AddSecret("s", nil); err == nil {
		t.Error("a second Secret of the same name was added")
	}
	want := map[string]any{
		"apiVersion": "sallyport.dev/v1alpha1", "kind": "MCPRemoteProxy",
		"metadata": map[string]any{"name": "a"}, "spec": map[string]any{"remoteUrl": "https://a"},
	}
	if diff := cmp.Diff(want, set.Objects[0].Raw); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
	if s, ok := set.Secret("default", "s"); !ok || s.Data["k"].Reveal() != "v" {
		t.Error("the Secret is not there")
	}
	if _, err := manifest.FromObjects(&v1alpha1.MCPRemoteProxyList{}); err == nil {
		t.Error("a list was taken for a resource")
	}
	if _, err := manifest.FromObjects(proxy, proxy); err == nil {
		t.Error("two objects of one name were taken")
	}
	other := proxy.DeepCopy()
	other.Spec.RemoteURL = "https://b"
	if b, _ := manifest.FromObjects(other); b.Digest() == set.Digest() {
		t.Error("other objects have the same digest")
	}
}
