package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-dev/sallyport/hack/release/pack"
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

// image writes an image for each architecture: a file system with the two programs, the authorities' certificates and a
// folder for temporary files.
func (r *release) image() error {
	trusted, err := r.authorities()
	if err != nil {
		return err
	}
	var images []pack.Image
	for _, p := range platforms {
		if p.os == "linux" {
			images = append(images, r.imageOf(p, trusted))
		}
	}
	text, err := pack.Layout("localhost/sallyport:"+r.version, r.date, images...)
	if err != nil {
		return err
	}
	return os.WriteFile(r.file("_image.tar"), text, 0o644)
}

func (r *release) imageOf(p platform, trusted []byte) pack.Image {
	return pack.Image{
		Arch: p.arch,
		Root: []pack.Entry{
			{Name: "etc/", Mode: 0o755},
			{Name: "etc/ssl/", Mode: 0o755},
			{Name: "etc/ssl/certs/", Mode: 0o755},
			{Name: roots[1:], Mode: 0o644, Text: trusted},
			{Name: "etc/passwd", Mode: 0o644, Text: fmt.Appendf(nil, "sallyport:x:%d:%d::/:/sbin/nologin\n", nobody, nobody)},
			{Name: "etc/group", Mode: 0o644, Text: fmt.Appendf(nil, "sallyport:x:%d:\n", nobody)},
			{Name: "tmp/", Mode: 0o1777},
			{Name: "sallyport", Mode: 0o755, From: r.binaries(p) + "/sallyport"},
			{Name: "sallyportd", Mode: 0o755, From: r.binaries(p) + "/sallyportd"},
		},
		Config: map[string]any{
			"User": fmt.Sprint(nobody), "Entrypoint": []string{"/sallyportd"}, "WorkingDir": "/",
			"ExposedPorts": map[string]any{"8080/tcp": map[string]any{}, "9090/tcp": map[string]any{}},
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Sallyport",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": r.commit,
			"org.opencontainers.image.created":  r.date.Format(time.RFC3339),
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
}
