package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Unit is a file that is a configuration of its own, beside others (see [Reader.Each]).
// What is wrong with it is not wrong with them.
type Unit struct {
	Name string // the file's, without its folder and what it ends with

	reader   *Reader
	file     string
	text     []byte
	loaded   bool
	set      *Set
	problems Problems
}

// Load is what stands in the file, validated, and what is wrong with it.
func (u *Unit) Load() (*Set, Problems) {
	if u.loaded {
		return u.set, u.problems
	}
	u.loaded, u.set = true, &Set{from: u.reader}
	docs, problems := parseFile(u.file, u.text)
	for _, doc := range docs {
		problems = append(problems, u.set.addDocument(doc)...)
	}
	if u.reader.Namespace != "" {
		u.set = u.set.In(u.reader.Namespace)
	}
	u.set.revise()
	validate := u.reader.Validate
	if validate == nil {
		validate = (*Set).Decode
	}
	u.problems = append(problems, validate(u.set)...).Sort()
	return u.set, u.problems
}

// Digest is equal where the file says the same and the values are the same that it names
// and does not have itself. It is made of secrets too, so it stays in memory.
func (u *Unit) Digest() string {
	text := sha256.Sum256(u.text)
	refs, known := u.reader.named[text]
	if !known {
		set, _ := u.Load()
		refs = set.named()
		if u.reader.named == nil {
			u.reader.named = map[[sha256.Size]byte][]secretRef{}
		}
		u.reader.named[text] = refs
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%x\n", text)
	for _, ref := range refs {
		value, from, err := u.reader.elsewhere(ref)
		_, _ = fmt.Fprintf(hash, "%q %x %v\n", from, sha256.Sum256([]byte(value.Reveal())), err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// named are the values of Secrets that the set's objects name.
func (s *Set) named() (refs []secretRef) {
	for _, o := range s.Objects {
		eachSecretRef(reflect.ValueOf(o.typed), func(name, key string) {
			if ref := (secretRef{o.Namespace, name, key}); !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		})
	}
	return refs
}

// loadEach reads each file as a configuration of its own. None are fine: there may be
// some later.
func (r *Reader) loadEach() (*Set, error) {
	set := &Set{from: r, Units: []*Unit{}}
	var problems Problems
	named := map[string]string{} // file by name
	digest, found := r.scan(func(file string, text []byte) int {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if other, taken := named[name]; taken {
			problems = append(problems, Problem{Position: Position{File: file}, Message: "has the name of " + other + "; rename one of them"})
			return 1
		}
		named[name] = file
		set.Units = append(set.Units, &Unit{Name: name, reader: r, file: file, text: text})
		return 1
	})
	set.digest = digest
	r.forget(set.Units)
	return set, append(problems, found...).Sort().Err()
}

// forget drops what is known of files that are no more.
func (r *Reader) forget(units []*Unit) {
	there := map[[sha256.Size]byte]bool{}
	for _, u := range units {
		there[sha256.Sum256(u.text)] = true
	}
	for text := range r.named {
		if !there[text] {
			delete(r.named, text)
		}
	}
}
