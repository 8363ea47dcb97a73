package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Reader reads manifests, and says when they are no longer what they were.
type Reader struct {
	Paths     []string  // files, folders, and Stdin
	Stdin     io.Reader // what [Stdin] stands for; it is read once
	Namespace string    // whose objects are wanted; "" for those of all
	// Secrets is a folder of values that stand in no manifest, NAME/KEY or
	// NAMESPACE/NAME/KEY as a mounted Secret has them; "" for none.
	Secrets string
	// LookupEnv finds values that stand in no manifest in the environment, by
	// [SecretVariable]; nil for nowhere.
	LookupEnv func(string) (string, bool)
	// Each takes each file for a configuration of its own: the set has Units then, and no
	// objects. Validate is how they are validated; nil decodes what was validated before.
	Each     bool
	Validate func(*Set) Problems

	stdin []byte
	named map[[sha256.Size]byte][]secretRef // that a file names, by the digest of its text
}

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Load reads the resources in files and folders. Of a folder it reads *.yaml,
// *.yml and *.json, those of its folders included, and leaves out what begins
// with a dot (and with it the ..data folders of a mounted ConfigMap).
//
// The set holds all that could be read even where the error is not nil. The
// error is then always [Problems].
func Load(paths []string) (*Set, error) { return (&Reader{Paths: paths}).Load() }

// Load reads everything anew, but for standard input.
func (r *Reader) Load() (*Set, error) {
	if r.Each {
		return r.loadEach()
	}
	set := &Set{from: r}
	var problems Problems
	digest, found := r.scan(func(file string, text []byte) int {
		docs, found := parseFile(file, text)
		before := len(set.Objects)
		for _, doc := range docs {
			found = append(found, set.addDocument(doc)...)
		}
		problems = append(problems, found...)
		return len(set.Objects) - before + len(found)
	})
	set.digest = digest
	problems = append(problems, found...)
	if r.Namespace != "" && len(set.Objects) > 0 {
		all := set.Namespaces()
		if set = set.In(r.Namespace); len(set.Objects) == 0 {
			problems = append(problems, Problem{Message: fmt.Sprintf("there is nothing in namespace %s; there are: %s", r.Namespace, strings.Join(all, ", "))})
		}
	}
	set.revise()
	return set, problems.Sort().Err()
}

// Namespaces are those that the set has objects in.
func (s *Set) Namespaces() []string {
	var all []string
	for _, o := range s.Objects {
		all = append(all, o.Namespace)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// In is the part of the set that is in one namespace. References never lead out of it.
func (s *Set) In(namespace string) *Set {
	part := &Set{digest: s.digest, revision: s.revision, from: s.from, foreign: s.foreign, byName: map[objectKey]*Object{}}
	for _, o := range s.Objects {
		if o.Namespace == namespace {
			part.Objects = append(part.Objects, o)
		}
	}
	for key, o := range s.byName {
		if key.namespace == namespace {
			part.byName[key] = o
		}
	}
	return part
}

// digest is what [Set.Digest] of a set would be that is loaded now.
func (r *Reader) digest() string {
	digest, _ := r.scan(nil)
	return digest
}

// scan reads what there is, hands the texts of manifests to visit, if any, and returns
// a digest of everything, secrets included.
func (r *Reader) scan(visit func(file string, text []byte) int) (string, Problems) {
	manifests, problems := scan(r.Paths, r.Each, r.read, visit)
	if r.Secrets == "" {
		return manifests, problems
	}
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, manifests)
	files, err := secretFiles(r.Secrets)
	if err != nil && visit != nil {
		problems = append(problems, Problem{Position: Position{File: r.Secrets}, Message: fmt.Sprintf("the folder of secrets cannot be read: %v", cause(err))})
	}
	for _, file := range files {
		text, err := readSecret(file)
		_, _ = fmt.Fprintf(hash, "%q %x %v\n", file, sha256.Sum256(text), err)
	}
	return hex.EncodeToString(hash.Sum(nil)), problems
}

// read reads a file, or standard input.
func (r *Reader) read(file string) ([]byte, error) {
	if file != Stdin {
		return read(file)
	}
	if r.stdin == nil && r.Stdin != nil {
		text, err := readAll(r.Stdin)
		if err != nil {
			return nil, err
		}
		r.stdin = text // empty, and not nil, where there was nothing
	}
	return r.stdin, nil
}
