package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// descriptor is a reference to content (OCI image specification, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// nobody is the user the programs run as: no number of anybody's.
const nobody = 65532

// roots is where the image has the authorities that backends and identity providers are verified against.
const roots = "/etc/ssl/certs/ca-certificates.crt"

// mozilla are those that Debian's package ca-certificates brings. What it makes of them for this machine has the
// machine's own, too, which are nobody else's.
const mozilla = "/usr/share/ca-certificates/mozilla/*.crt"

// authorities are the certificates of r.roots in one text.
func (r *release) authorities() ([]byte, error) {
	files, err := filepath.Glob(r.roots) // sorted
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no certificates at %s, for the image; Debian has them in ca-certificates", r.roots)
	}
	var all []byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
	}
	return all, err
}

// image writes an OCI image layout as a tar archive, which podman load, skopeo, crane and containerd read: a file system
// with the two programs, the authorities' certificates and a folder for temporary files, for each architecture.
func (r *release) image() error {
	blobs := &layout{}
	var manifests []descriptor
	for _, p := range platforms {
		if p.os != "linux" {
			continue
		}
		m, err := r.imageOf(p, blobs)
		if err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	index, err := blobs.json(mediaIndex, map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests})
	if err != nil {
		return err
	}
	index.Annotations = map[string]string{ // by which containerd, and podman and skopeo, know an image
		"io.containerd.image.name": "localhost/sallyport:" + r.version, "org.opencontainers.image.ref.name": "localhost/sallyport:" + r.version,
	}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []descriptor{index}})
	if err != nil {
		return err
	}
	entries := append([]entry{
		{name: "oci-layout", mode: 0o644, text: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", mode: 0o644, text: top},
		{name: "blobs/", mode: 0o755},
		{name: "blobs/sha256/", mode: 0o755},
	}, blobs.entries...)
	text, err := tarred(entries, r.date)
	if err != nil {
		return err
	}
	return os.WriteFile(r.file("_image.tar"), text, 0o644)
}

func (r *release) imageOf(p platform, blobs *layout) (descriptor, error) {
	trusted, err := r.authorities()
	if err != nil {
		return descriptor{}, err
	}
	root, err := tarred([]entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: roots[1:], mode: 0o644, text: trusted},
		{name: "etc/passwd", mode: 0o644, text: fmt.Appendf(nil, "sallyport:x:%d:%d::/:/sbin/nologin\n", nobody, nobody)},
		{name: "etc/group", mode: 0o644, text: fmt.Appendf(nil, "sallyport:x:%d:\n", nobody)},
		{name: "tmp/", mode: 0o1777},
		{name: "sallyport", mode: 0o755, from: r.binaries(p) + "/sallyport"},
		{name: "sallyportd", mode: 0o755, from: r.binaries(p) + "/sallyportd"},
	}, r.date)
	if err != nil {
		return descriptor{}, err
	}
	packed, err := gzipped(root)
	if err != nil {
		return descriptor{}, err
	}
	layer := blobs.add(mediaLayer, packed)
	labels := map[string]string{
		"org.opencontainers.image.title":    "Sallyport",
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.created":  r.date.Format(time.RFC3339),
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	config, err := blobs.json(mediaConfig, map[string]any{
		"created": r.date.Format(time.RFC3339), "architecture": p.arch, "os": p.os,
		"config": map[string]any{
			"User": fmt.Sprint(nobody), "Entrypoint": []string{"/sallyportd"}, "WorkingDir": "/", "Labels": labels,
			"ExposedPorts": map[string]any{"8080/tcp": map[string]any{}, "9090/tcp": map[string]any{}},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(root)}},
		"history": []any{map[string]any{"created": r.date.Format(time.RFC3339), "created_by": "hack/release"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	m, err := blobs.json(mediaManifest, map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": []descriptor{layer}, "annotations": labels,
	})
	m.Platform = map[string]string{"os": p.os, "architecture": p.arch}
	return m, err
}

// layout gathers the blobs of an image layout.
type layout struct{ entries []entry }

func (l *layout) add(mediaType string, content []byte) descriptor {
	d := digest(content)
	l.entries = append(l.entries, entry{name: "blobs/sha256/" + d[len("sha256:"):], mode: 0o644, text: content})
	return descriptor{MediaType: mediaType, Digest: d, Size: len(content)}
}

func (l *layout) json(mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.add(mediaType, text), nil
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
