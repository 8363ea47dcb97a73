package pack

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Descriptor is a reference to content (OCI image specification, descriptor.md).
type Descriptor struct {
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

// Image is what a container is made of, on Linux.
type Image struct {
	Arch   string
	Root   []Entry           // of its file system
	Config map[string]any    // Entrypoint, User and so on (OCI image specification, config.md)
	Labels map[string]string // nil for none
}

// Layout is an OCI image layout (OCI image specification, image-layout.md) as a tar archive, which podman load, skopeo, crane
// and containerd read: one image under a name, for each architecture. The same content and date, the same bytes.
func Layout(name string, at time.Time, images ...Image) ([]byte, error) {
	blobs := &blobs{}
	var manifests []Descriptor
	for _, i := range images {
		m, err := blobs.image(i, at)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, m)
	}
	index, err := blobs.json(mediaIndex, map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests})
	if err != nil {
		return nil, err
	}
	// By which containerd, and podman and skopeo, know an image.
	index.Annotations = map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []Descriptor{index}})
	if err != nil {
		return nil, err
	}
	return Tar(append([]Entry{
		{Name: "oci-layout", Mode: 0o644, Text: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{Name: "index.json", Mode: 0o644, Text: top},
		{Name: "blobs/", Mode: 0o755},
		{Name: "blobs/sha256/", Mode: 0o755},
	}, blobs.entries...), at)
}

// blobs gathers those of an image layout.
type blobs struct{ entries []Entry }

func (b *blobs) image(i Image, at time.Time) (Descriptor, error) {
	root, err := Tar(i.Root, at)
	if err != nil {
		return Descriptor{}, err
	}
	packed, err := Gzip(root)
	if err != nil {
		return Descriptor{}, err
	}
	layer := b.add(mediaLayer, packed)
	settings := maps.Clone(i.Config)
	settings["Labels"] = i.Labels
	config, err := b.json(mediaConfig, map[string]any{
		"created": at.Format(time.RFC3339), "architecture": i.Arch, "os": "linux", "config": settings,
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{Digest(root)}},
		"history": []any{map[string]any{"created": at.Format(time.RFC3339), "created_by": "hack/release"}},
	})
	if err != nil {
		return Descriptor{}, err
	}
	m, err := b.json(mediaManifest, map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": []Descriptor{layer}, "annotations": i.Labels,
	})
	m.Platform = map[string]string{"os": "linux", "architecture": i.Arch}
	return m, err
}

func (b *blobs) add(mediaType string, content []byte) Descriptor {
	d := Digest(content)
	b.entries = append(b.entries, Entry{Name: "blobs/sha256/" + d[len("sha256:"):], Mode: 0o644, Text: content})
	return Descriptor{MediaType: mediaType, Digest: d, Size: len(content)}
}

func (b *blobs) json(mediaType string, v any) (Descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Descriptor{}, err
	}
	return b.add(mediaType, text), nil
}

// Digest is how content is referred to (OCI image specification, descriptor.md).
func Digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
