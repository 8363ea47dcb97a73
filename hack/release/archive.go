package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport-dev/sallyport/hack/release/pack"
)

// program is a program's name on a platform.
func (p platform) program(name string) string {
	if p.os == "windows" {
		return name + ".exe"
	}
	return name
}

func (r *release) archives() error {
	for _, p := range platforms {
		var entries []pack.Entry
		for _, name := range []string{"sallyport", "sallyportd"} {
			entries = append(entries, pack.Entry{Name: p.program(name), Mode: 0o755, From: filepath.Join(r.binaries(p), p.program(name))})
		}
		for _, name := range []string{"LICENSE", "README.md"} {
			entries = append(entries, pack.Entry{Name: name, Mode: 0o644, From: name})
		}
		if p.os == "linux" {
			entries = append(entries, pack.Entry{Name: "systemd/sallyport.service", Mode: 0o644, From: "deploy/package/sallyport.service"})
		}
		for _, folder := range []string{"completions", "man"} {
			files, err := filepath.Glob(filepath.Join(r.work(), folder, "*"))
			if err != nil {
				return err
			}
			for _, f := range files {
				entries = append(entries, pack.Entry{Name: folder + "/" + filepath.Base(f), Mode: 0o644, From: f})
			}
		}
		write, end := pack.TarGz, ".tar.gz"
		if p.os == "windows" {
			write, end = pack.Zip, ".zip"
		}
		text, err := write(entries, r.date)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.file("_"+p.String()+end), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checksums is for sha256sum -c.
func (r *release) checksums() error {
	files, err := filepath.Glob(filepath.Join(r.out, "*"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	var list bytes.Buffer
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() {
			hash := sha256.New()
			_, err = io.Copy(hash, f)
			fmt.Fprintf(&list, "%x  %s\n", hash.Sum(nil), filepath.Base(name))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), list.Bytes(), 0o644)
}
