package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// maxFile is the size of a file in bytes beyond which it is not read. A cluster
// takes no object above 1.5 MiB; a file may hold several.
const maxFile = 4 << 20

// scan reads the files at paths and returns a digest of them, together with
// what could not be read. visit, if any, gets each text and returns how much
// there was to say about it. A pipe gives its text once, so it is only read for
// a visitor, and has no part in the digest. Where there need not be any, none are fine.
func scan(paths []string, none bool, read func(string) ([]byte, error), visit func(file string, text []byte) int) (digest string, problems Problems) {
	hash := sha256.New()
	for _, path := range paths {
		files, found := list(path, none)
		visited := 0
		for _, file := range files {
			once := isPipe(file)
			if once && visit == nil {
				continue
			}
			text, err := read(file)
			if err != nil {
				found = append(found, Problem{Position: Position{File: file}, Message: err.Error()})
				continue
			}
			if !once {
				_, _ = fmt.Fprintf(hash, "%q %d\n", file, len(text))
				_, _ = hash.Write(text)
			}
			if visit != nil {
				visited += visit(file, text)
			}
		}
		if visit != nil && visited == 0 && len(found) == 0 && !none {
			problems = append(problems, Problem{
				Position: Position{File: path},
				Message:  "holds no resource of " + v1alpha1.Group + "; a resource begins with apiVersion and kind",
			})
		}
		_, _ = fmt.Fprintf(hash, "%q\n", found.Error())
		problems = append(problems, found...)
	}
	return hex.EncodeToString(hash.Sum(nil)), problems
}

// list returns the files to read at path, in a fixed order.
func list(path string, none bool) ([]string, Problems) {
	fail := func(path, format string, args ...any) ([]string, Problems) {
		return nil, Problems{{Position: Position{File: path}, Message: fmt.Sprintf(format, args...)}}
	}
	if path == Stdin {
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(path, "no such file or folder")
	case err != nil:
		return fail(path, "cannot be read: %v", cause(err))
	case !info.IsDir():
		return []string{path}, nil
	}
	files, err := walk(path, nil)
	if err != nil {
		return fail(path, "cannot be read: %v", cause(err))
	}
	if len(files) == 0 && !none {
		return fail(path, "holds no *.yaml, *.yml or *.json file")
	}
	return files, nil
}

// walk lists the files of a folder, following symbolic links: a mounted
// ConfigMap consists of them. above are the folders that it is in.
func walk(dir string, above []os.FileInfo) ([]string, error) {
	here, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, here) }) {
		return nil, nil // a link to a folder that it is in
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone meanwhile, or a link to nothing
		case err != nil:
			return nil, err
		case info.IsDir():
			below, err := walk(path, append(slices.Clip(above), here))
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case info.Mode().IsRegular() && isManifest(path):
			files = append(files, path)
		}
	}
	return files, nil
}

// isPipe says whether a file is no file on a disk, such as /dev/stdin.
func isPipe(file string) bool {
	if file == Stdin {
		return true
	}
	info, err := os.Stat(file)
	return err == nil && !info.Mode().IsRegular()
}

func isManifest(path string) bool {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	defer func() { _ = f.Close() }()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("is larger than %d MiB; split it", maxFile>>20)
	}
	return text, nil
}

// cause drops the operation and path from an error, since a problem says them.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func digestObjects(objects []*Object) string {
	hash := sha256.New()
	for _, o := range objects {
		_ = json.NewEncoder(hash).Encode(o.Raw)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func compareNames(a, b *Object) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
