package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// SecretVariable is the environment variable that holds a value of a Secret.
func SecretVariable(namespace, name, key string) string {
	word := strings.NewReplacer("-", "_", ".", "_")
	parts := []string{word.Replace(name), word.Replace(key)}
	if namespace != DefaultNamespace {
		parts = append([]string{word.Replace(namespace)}, parts...)
	}
	return "SALLYPORT_SECRET_" + strings.ToUpper(strings.Join(parts, "__"))
}

// secretRef is what a reference names.
type secretRef struct{ namespace, name, key string }

// fetchSecrets adds the values that references name and that no manifest has, from
// where else the set's reader looks for them.
func (s *Set) fetchSecrets() Problems {
	if s.from == nil || s.from.Secrets == "" && s.from.LookupEnv == nil {
		return nil
	}
	var problems Problems
	taken := map[string]secretRef{} // by variable: no two values share one
	for _, o := range slices.Clone(s.Objects) {
		eachSecretRef(reflect.ValueOf(o.typed), func(name, key string) {
			ref := secretRef{o.Namespace, name, key}
			at, there := s.Find("Secret", ref.namespace, ref.name)
			if there && at.Failed {
				return
			}
			sec, _ := s.Secret(ref.namespace, ref.name)
			if sec != nil && hasKey(sec.Data, key) {
				return
			}
			value, from, err := s.from.elsewhere(ref)
			switch other, isTaken := taken[from]; {
			case err != nil:
				problems = append(problems, o.Problem("", "key %q of Secret %q: %v", key, name, err))
				return
			case from == "":
				return
			case isTaken && other != ref:
				problems = append(problems, o.Problem("", "%s stands for key %q of Secret %q, and for key %q of %q; rename one of them", from, key, name, other.key, other.name))
				return
			}
			taken[from] = ref
			if sec == nil {
				sec = s.newSecret(ref.namespace, ref.name, Position{File: from})
			}
			sec.Data[key] = value
		})
	}
	return problems
}

func hasKey(data map[string]secret.Value, key string) bool { _, ok := data[key]; return ok }

// newSecret adds a Secret that stands in no manifest.
func (s *Set) newSecret(namespace, name string, at Position) *Secret {
	o := &Object{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name, Pos: at, Raw: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "namespace": namespace},
	}}
	sec := &Secret{Object: o, Type: "Opaque", Data: map[string]secret.Value{}}
	o.typed = sec
	_ = s.add(o) // there is none of this name
	return sec
}

// eachSecretRef calls found for every reference to a value of a Secret that a resource
// has, wherever in it.
func eachSecretRef(v reflect.Value, found func(name, key string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachSecretRef(v.Elem(), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachSecretRef(v.Index(i), found)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			eachSecretRef(v.MapIndex(key), found)
		}
	case reflect.Struct:
		switch ref := v.Interface().(type) {
		case v1alpha1.SecretKeyRef:
			found(string(ref.Name), string(ref.Key))
		case v1alpha1.SecretEnv:
			found(string(ref.Name), string(ref.Key))
		case Secret, ConfigMap:
		default:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					eachSecretRef(v.Field(i), found)
				}
			}
		}
	}
}

// elsewhere looks for a value that is in no manifest, and says where it found it.
func (r *Reader) elsewhere(ref secretRef) (v secret.Value, from string, err error) {
	if path := secretFile(r.Secrets, ref); path != "" {
		text, err := readSecret(path)
		switch {
		case err == nil:
			return secret.New(string(text)), path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return v, "", fmt.Errorf("%s cannot be read: %w", path, cause(err))
		}
	}
	if r.LookupEnv != nil {
		name := SecretVariable(ref.namespace, ref.name, ref.key)
		if text, ok := r.LookupEnv(name); ok {
			return secret.New(text), "environment variable " + name, nil
		}
	}
	return v, "", nil
}

// SecretPlaces says where a value that is missing could be put, besides a manifest.
func (s *Set) SecretPlaces(namespace, name, key string) string {
	if s.from == nil {
		return ""
	}
	var places string
	if path := secretFile(s.from.Secrets, secretRef{namespace, name, key}); path != "" {
		places += ", or the value to " + path
	}
	if s.from.LookupEnv != nil {
		places += ", or the value to the environment variable " + SecretVariable(namespace, name, key)
	}
	return places
}

// secretFile is where a folder of secrets has a value; "" where it has none.
func secretFile(dir string, ref secretRef) string {
	path := filepath.Join(ref.name, ref.key)
	if ref.namespace != DefaultNamespace {
		path = filepath.Join(ref.namespace, path)
	}
	if dir == "" || !filepath.IsLocal(path) || strings.ContainsAny(ref.namespace+ref.name+ref.key, `/\`) {
		return ""
	}
	return filepath.Join(dir, path)
}

// readSecret reads a value. A line break at its end, as editors and `echo` leave it, is
// not part of it.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxData+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxData:
		return nil, fmt.Errorf("is larger than %d MiB", maxData>>20)
	}
	return []byte(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")), nil
}

// secretFiles lists a folder of secrets, without what begins with two dots: the folders
// behind a mounted Secret.
func secretFiles(dir string) ([]string, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	var files []string
	for _, depth := range []string{"*/*", "*/*/*"} {
		found, _ := fs.Glob(os.DirFS(dir), depth) // the pattern is good
		for _, name := range found {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if info, err := os.Stat(path); err == nil && !info.IsDir() && !strings.Contains("/"+name, "/..") {
				files = append(files, path)
			}
		}
	}
	return files, nil
}
