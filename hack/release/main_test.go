package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/hack/release/pack"
)

// standIn is a release whose programs are a few bytes each.
func standIn(t *testing.T) *release {
	t.Helper()
	r := &release{version: "v1.2.3", commit: "abc", date: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), out: t.TempDir()}
	r.roots = filepath.Join(r.out, "roots.pem")
	if err := os.WriteFile(r.roots, []byte("authorities"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range platforms {
		if err := os.MkdirAll(r.binaries(p), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"sallyport", "sallyportd"} {
			if err := os.WriteFile(filepath.Join(r.binaries(p), p.program(name)), []byte(name+" for "+p.String()), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// unpack reads a tar archive.
func unpack(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(packed)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// The chart and the manifests have the release's version, and the chart is a folder with its name, as Helm wants it.
func TestCluster(t *testing.T) {
	r := standIn(t)
	t.Chdir("../..")
	if err := r.cluster(); err != nil {
		t.Fatal(err)
	}
	read := func(rest string) []byte {
		text, err := os.ReadFile(r.file(rest))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	chart := unpack(t, ungzip(t, read("_chart.tgz")))
	for name, want := range map[string]string{
		"sallyport/Chart.yaml": "\nversion: 1.2.3\nappVersion: v1.2.3\n", "sallyport/values.yaml": "replicas: 1", "sallyport/.helmignore": "",
		"sallyport/files/crds/sallyport.dev_mcpgroups.yaml": "kind: CustomResourceDefinition",
	} {
		if text, ok := chart[name]; !ok || !strings.Contains(string(text), want) {
			t.Errorf("%s: %.200q, want it with %q", name, text, want)
		}
	}
	for _, rest := range []string{"_operator.yaml", "_operator-namespaced.yaml"} {
		if text := string(read(rest)); !strings.Contains(text, "image: sallyport:v1.2.3\n") || strings.Contains(text, unreleased) {
			t.Errorf("%s is not of the release:\n%s", rest, text)
		}
	}
	if n := strings.Count(string(read("_crds.yaml")), "\nkind: CustomResourceDefinition\n"); n < 9 {
		t.Errorf("there are %d kinds", n)
	}
}

func ungzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// REQ G-11: the image is an OCI layout for both architectures, whose parts are what their digests say: from scratch, the
// two programs, the certificates, a user who is nobody.
func TestImage(t *testing.T) {
	t.Parallel()
	r := standIn(t)
	if err := r.image(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.file("_image.tar"))
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, text)
	blob := func(d pack.Descriptor) []byte {
		content, ok := files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if !ok || pack.Digest(content) != d.Digest || len(content) != d.Size {
			t.Fatalf("%s: %d bytes with digest %s", d.Digest, len(content), pack.Digest(content))
		}
		return content
	}
	read := func(text []byte, into any) {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	var top, index struct{ Manifests []pack.Descriptor }
	read(files["index.json"], &top)
	read(blob(top.Manifests[0]), &index)
	var found []string
	for _, d := range index.Manifests {
		var m struct {
			Config pack.Descriptor
			Layers []pack.Descriptor
		}
		read(blob(d), &m)
		var config struct {
			Architecture, OS string
			Config           struct {
				User       string
				Entrypoint []string
			}
			Rootfs struct {
				DiffIDs []string `json:"diff_ids"`
			}
		}
		read(blob(m.Config), &config)
		plain := ungzip(t, blob(m.Layers[0]))
		if config.Rootfs.DiffIDs[0] != pack.Digest(plain) || config.Config.User == "0" || config.Config.Entrypoint[0] != "/sallyportd" || d.Platform["architecture"] != config.Architecture {
			t.Errorf("%+v", config)
		}
		root := unpack(t, plain)
		if want := "sallyportd for linux_" + config.Architecture; string(root["sallyportd"]) != want || string(root[roots[1:]]) != "authorities" || root["tmp/"] == nil {
			t.Errorf("%s: %d files, sallyportd is %q", config.Architecture, len(root), root["sallyportd"])
		}
		found = append(found, config.OS+"/"+config.Architecture)
	}
	if slices.Sort(found); !slices.Equal(found, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("the image is for %v", found)
	}
	again := standIn(t)
	if err := again.image(); err != nil {
		t.Fatal(err)
	}
	if other, err := os.ReadFile(again.file("_image.tar")); err != nil || !bytes.Equal(other, text) {
		t.Errorf("the same programs make another image: %v", err)
	}
}

// The image trusts whom Mozilla does, and nobody whom this machine trusts besides; without any it is not made.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	r := standIn(t)
	folder := t.TempDir()
	for name, text := range map[string]string{"b.crt": "B\n", "a.crt": "A\n", "notes.txt": "no"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.roots = filepath.Join(folder, "*.crt")
	if got, err := r.authorities(); err != nil || string(got) != "A\nB\n" {
		t.Errorf("%q, %v", got, err)
	}
	r.roots = filepath.Join(folder, "*.pem")
	if err := r.image(); err == nil || !strings.Contains(err.Error(), "ca-certificates") {
		t.Errorf("without certificates: %v", err)
	}
}

// A help text becomes a page that man shows as it is.
func TestManPage(t *testing.T) {
	t.Parallel()
	r := standIn(t)
	got := string(r.manPage("sallyport-run", "Serve one backend\n\nUsage:\n  sallyport run URL\n\nFlags:\n.hidden\n'quoted' \\ back\n"))
	for _, want := range []string{`.TH SALLYPORT-RUN 1 2026-11-01 "sallyport v1.2.3"`, `sallyport\-run \- Serve one backend`, ".SH USAGE", ".SH FLAGS", `\&.hidden`, `\&'quoted' \e back`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3 ", "v01.2.3", "latest"} {
		r := &release{version: version, out: filepath.Join(t.TempDir(), "dist")}
		if err := r.make(); err == nil || !strings.Contains(err.Error(), "is no version") {
			t.Errorf("%q: %v", version, err)
		}
	}
}
