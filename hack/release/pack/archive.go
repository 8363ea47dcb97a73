package pack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"strings"
	"time"
)

// Entry is a file of an archive or image.
type Entry struct {
	Name string // with slashes; a folder ends in one
	Mode int64
	From string // a file, or
	Text []byte
}

func (e *Entry) content() ([]byte, error) {
	if e.From == "" {
		return e.Text, nil
	}
	return os.ReadFile(e.From)
}

// Tar writes entries with one date and no owner's name: the same content, the same bytes.
func Tar(entries []Entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		text, err := e.content()
		if err != nil {
			return nil, err
		}
		h := &tar.Header{Name: e.Name, Mode: e.Mode, Size: int64(len(text)), ModTime: at, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.Name, "/") {
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

// TarGz is a compressed tar archive.
func TarGz(entries []Entry, at time.Time) ([]byte, error) {
	plain, err := Tar(entries, at)
	if err != nil {
		return nil, err
	}
	return Gzip(plain)
}

// Gzip compresses, without a date.
func Gzip(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = z.Write(plain)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}

// Zip writes entries as Windows has archives.
func Zip(entries []Entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		text, err := e.content()
		if err != nil {
			return nil, err
		}
		h := &zip.FileHeader{Name: e.Name, Method: zip.Deflate, Modified: at}
		h.SetMode(os.FileMode(e.Mode))
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
