package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive or image.
type entry struct {
	name string // with slashes; a folder ends in one
	mode int64
	from string // a file, or
	text []byte
}

// program is a program's name on a platform.
func (p platform) program(name string) string {
	if p.os == "windows" {
		return name + ".exe"
	}
	return name
}

func (r *release) archives() error {
	for _, p := range platforms {
		var entries []entry
		for _, name := range []string{"sallyport", "sallyportd"} {
			entries = append(entries, entry{name: p.program(name), mode: 0o755, from: filepath.Join(r.binaries(p), p.program(name))})
		}
		for _, name := range []string{"LICENSE", "README.md"} {
			entries = append(entries, entry{name: name, mode: 0o644, from: name})
		}
		if p.os == "linux" {
			entries = append(entries, entry{name: "systemd/sallyport.service", mode: 0o644, from: "deploy/package/sallyport.service"})
		}
		for _, folder := range []string{"completions", "man"} {
			files, err := filepath.Glob(filepath.Join(r.work(), folder, "*"))
			if err != nil {
				return err
			}
			for _, f := range files {
				entries = append(entries, entry{name: folder + "/" + filepath.Base(f), mode: 0o644, from: f})
			}
		}
		pack, end := tarGz, ".tar.gz"
		if p.os == "windows" {
			pack, end = zipped, ".zip"
		}
		text, err := pack(entries, r.date)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.file("_"+p.String()+end), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) content() ([]byte, error) {
	if e.from == "" {
		return e.text, nil
	}
	return os.ReadFile(e.from)
}

// tarred writes entries with one date and no owner's name: the same content, the same bytes.
func tarred(entries []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		text, err := e.content()
		if err != nil {
			return nil, err
		}
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(text)), ModTime: at, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func tarGz(entries []entry, at time.Time) ([]byte, error) {
	plain, err := tarred(entries, at)
	if err != nil {
		return nil, err
	}
	return gzipped(plain)
}

func gzipped(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = z.Write(plain)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}

func zipped(entries []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		text, err := e.content()
		if err != nil {
			return nil, err
		}
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		h.SetMode(os.FileMode(e.mode))
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
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
