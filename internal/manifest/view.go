package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// View is a set as the reader of one resource sees it. It notes everything that was
// looked at, there or not: what the resource rests on.
type View struct {
	set  *Set
	seen map[Use][sha256.Size]byte // with a digest of what stood there
}

// Use is one thing that was looked at.
type Use struct {
	Kind, Namespace, Name string
	Key                   string // in the data of a Secret or ConfigMap; "" for a whole object
}

// String returns Kind/name, with the key where there is one.
func (u Use) String() string {
	if u.Key == "" {
		return u.Kind + "/" + u.Name
	}
	return u.Kind + "/" + u.Name + "[" + u.Key + "]"
}

// View begins to look.
func (s *Set) View() *View { return &View{set: s, seen: map[Use][sha256.Size]byte{}} }

// Note notes a use of something that is in no set, such as a variable of the
// environment, and what it holds.
func (v *View) Note(u Use, text string) { v.seen[u] = sha256.Sum256([]byte("=" + text)) }

// Lookup is [Get] by a view.
func Lookup[T Resource](v *View, namespace, name string) (Item[T], bool) {
	it, ok := Get[T](v.set, namespace, name)
	u := Use{Kind: reflect.TypeFor[T]().Name(), Namespace: namespace, Name: name}
	if !ok {
		v.seen[u] = [sha256.Size]byte{}
		return it, false
	}
	v.noteObject(u, it.Object)
	return it, true
}

func (v *View) noteObject(u Use, o *Object) {
	text, err := json.Marshal(o.Raw["spec"])
	if err != nil {
		panic(err) // it was read from JSON or YAML
	}
	v.Note(u, string(text))
}

// Secret is one value of a Secret. The object is nil where there is no such Secret, or
// one that has problems of its own; ok is false where it has no such key.
func (v *View) Secret(namespace, name, key string) (value secret.Value, object *Object, ok bool) {
	u := Use{Kind: "Secret", Namespace: namespace, Name: name, Key: key}
	v.seen[u] = [sha256.Size]byte{}
	s, found := v.set.Secret(namespace, name)
	if !found {
		return secret.Value{}, nil, false
	}
	if value, ok = s.Data[key]; ok {
		v.Note(u, value.Reveal())
	}
	return value, s.Object, ok
}

// ConfigMap is one text of a ConfigMap, as [View.Secret] is one value of a Secret.
func (v *View) ConfigMap(namespace, name, key string) (text string, object *Object, ok bool) {
	u := Use{Kind: "ConfigMap", Namespace: namespace, Name: name, Key: key}
	v.seen[u] = [sha256.Size]byte{}
	c, found := v.set.ConfigMap(namespace, name)
	if !found {
		return "", nil, false
	}
	if text, ok = c.Data[key]; ok {
		v.Note(u, text)
	}
	return text, c.Object, ok
}

// Include notes what another view has looked at.
func (v *View) Include(other *View) { maps.Copy(v.seen, other.seen) }

// Uses are what was looked at, in a fixed order.
func (v *View) Uses() []Use {
	return slices.SortedFunc(maps.Keys(v.seen), func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
}

// Digest is equal where the same was looked at and the same was found. It is made of
// secrets too, so it stays in memory.
func (v *View) Digest() string {
	hash := sha256.New()
	for _, u := range v.Uses() {
		sum := v.seen[u]
		_, _ = fmt.Fprintf(hash, "%s/%q %x\n", u.Namespace, u.String(), sum)
	}
	return hex.EncodeToString(hash.Sum(nil))
}
