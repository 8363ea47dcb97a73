package kube

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"testing"
)

// WriteImage writes an archive of an image of static programs, in an otherwise empty root file system, and returns its path:
// an OCI image layout, which a machine imports. The first program is what a container without a command runs, as nobody.
func WriteImage(t testing.TB, name string, programs ...string) (archive string) {
	t.Helper()
	layer := tarOf(t, func(add func(name string, mode int64, text []byte)) {
		for _, program := range programs {
			text, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			add(filepath.Base(program), 0o755, text)
		}
		add("tmp/", 0o1777, nil)
	})
	blobs := map[string][]byte{}
	blob := func(mediaType string, content []byte) map[string]any {
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		blobs["blobs/sha256/"+sum] = content
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + sum, "size": len(content)}
	}
	text := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	content := blob("application/vnd.oci.image.layer.v1.tar", layer)
	config := blob("application/vnd.oci.image.config.v1+json", text(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + filepath.Base(programs[0])}, "User": "65532"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{content["digest"]}},
	}))
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	top := blob(manifest, text(map[string]any{"schemaVersion": 2, "mediaType": manifest, "config": config, "layers": []any{content}}))
	top["annotations"] = map[string]any{"io.containerd.image.name": name}
	archive = filepath.Join(t.TempDir(), path.Base(name)+".tar")
	if err := os.WriteFile(archive, tarOf(t, func(add func(string, int64, []byte)) {
		add("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
		add("index.json", 0o644, text(map[string]any{"schemaVersion": 2, "manifests": []any{top}}))
		for name, content := range blobs {
			add(name, 0o644, content)
		}
	}), 0o600); err != nil {
		t.Fatal(err)
	}
	return archive
}

// tarOf is an archive of what fill adds; a name that ends in a slash is a folder.
func tarOf(t testing.TB, fill func(add func(name string, mode int64, text []byte))) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	fill(func(name string, mode int64, text []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
