package inside

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/ownfile"
)

// files looks who else can read what is secret.
func (x *exam) files(set *manifest.Set) {
	const check = "files"
	looked, clean := map[string]bool{}, true
	look := func(path string, at manifest.Problem, whose string) {
		if looked[path] || path == "" || path == "-" {
			return
		}
		looked[path] = true
		if err := ownfile.Check(path, ownfile.Private); err != nil {
			clean = false
			x.Add(doctor.Finding{Level: doctor.Warning, Check: check, Message: whose + ": " + err.Error(), Place: at})
		}
	}
	for _, flag := range slices.Sorted(maps.Keys(x.SecretFiles)) {
		look(x.SecretFiles[flag], manifest.Problem{}, flag)
	}
	for _, path := range storeFiles(x.StoreFile) {
		look(path, manifest.Problem{}, "--store")
	}
	for _, o := range set.Objects {
		if o.Kind == "Secret" {
			look(o.Position("").File, o.Problem("", ""), "it has Secrets")
		}
	}
	if x.Secrets != "" {
		most := 1000
		_ = filepath.WalkDir(x.Secrets, func(path string, d fs.DirEntry, err error) error { // what cannot be read was said when manifests were
			if most--; err != nil || most < 0 {
				return fs.SkipAll
			}
			if d.Type().IsRegular() {
				look(path, manifest.Problem{}, "--secrets-folder")
			}
			return nil
		})
	}
	if clean && len(looked) > 0 {
		x.OK(check, "nobody else can read %s with secrets", doctor.Count(len(looked), "file"))
	}
}

// storeFiles are the file of a store, and that of its key.
func storeFiles(path string) []string {
	if path == "" {
		return nil
	}
	files := []string{path, path + ".key"}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files = []string{filepath.Join(path, "sallyport.db"), filepath.Join(path, "sallyport.key")}
	}
	return slices.DeleteFunc(files, func(f string) bool { _, err := os.Stat(f); return err != nil })
}
