package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/hack/release/pack"
)

// unreleased is the version that the chart and the manifests in the tree have.
const unreleased = "0.1.0"

// cluster writes what is installed into a cluster: the chart, the operator's manifests, the definitions of the kinds.
func (r *release) cluster() error {
	entries, err := r.chart()
	if err != nil {
		return err
	}
	packed, err := pack.TarGz(entries, r.date)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.file("_chart.tgz"), packed, 0o644); err != nil {
		return err
	}
	for _, name := range []string{"operator.yaml", "operator-namespaced.yaml"} {
		text, err := os.ReadFile(filepath.Join("deploy", name))
		if err != nil {
			return err
		}
		if text, err = r.stamp(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(r.file("_"+name), text, 0o644); err != nil {
			return err
		}
	}
	definitions, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil {
		return err
	}
	var all bytes.Buffer
	for _, name := range definitions {
		text, err := v1alpha1.CRDs.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "---\n%s", bytes.TrimPrefix(text, []byte("---\n")))
	}
	return os.WriteFile(r.file("_crds.yaml"), all.Bytes(), 0o644)
}

// chart is what Helm calls a package: a folder with the chart's name.
func (r *release) chart() (entries []pack.Entry, err error) {
	err = filepath.WalkDir("deploy/chart", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		e := pack.Entry{Name: strings.Replace(filepath.ToSlash(path), "deploy/chart", "sallyport", 1), Mode: 0o644, From: path}
		if e.Name == "sallyport/Chart.yaml" {
			if e.Text, err = os.ReadFile(path); err != nil {
				return err
			}
			if e.Text, err = r.stamp(e.Text); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			e.From = ""
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// stamp puts the release's version in the place of the tree's.
func (r *release) stamp(text []byte) ([]byte, error) {
	if !bytes.Contains(text, []byte(unreleased)) {
		return nil, fmt.Errorf("it does not say %s, in whose place the version comes", unreleased)
	}
	return bytes.ReplaceAll(text, []byte(unreleased), []byte(strings.TrimPrefix(r.version, "v"))), nil
}
