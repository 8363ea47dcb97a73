package clientconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
)

// Change is what was done to a client's file.
type Change struct {
	File   string
	Copy   string // the file as it was before; "" where there was none
	Before string // what stood under the name, to be told; "" for nothing
	None   bool   // it stood there already, or was not there to be taken out
}

// ErrTaken is a name under which something else stands.
var ErrTaken = errors.New("another server has this name")

// Entry is a server in a client's file.
type Entry struct {
	Name string
	At   string // its URL or its command's words, for people
}

// Add writes a server under a name. Something else there stays, and is [ErrTaken] with what it is in
// [Change.Before], unless replace.
func (c *Client) Add(file, name string, s Server, replace bool) (Change, error) {
	want := map[string]any{}
	for _, m := range c.entry(s) {
		want[m.name] = plain(m.value)
	}
	return c.change(file, func(text []byte, path []string, servers map[string]any) ([]byte, error) {
		was, there := servers[name]
		switch {
		case there && reflect.DeepEqual(was, any(want)):
			return text, nil
		case there && !replace:
			return nil, ErrTaken
		case isTOML(file):
			return setTOML(text, c.container, name, c.entry(s), there)
		default:
			return setJSON(text, path, name, c.entry(s))
		}
	}, name, want)
}

// Remove takes the server of a name out.
func (c *Client) Remove(file, name string) (Change, error) {
	return c.change(file, func(text []byte, path []string, servers map[string]any) ([]byte, error) {
		if _, there := servers[name]; !there {
			return text, nil
		}
		if isTOML(file) {
			return removeTOML(text, c.container, name)
		}
		return removeJSON(text, path, name)
	}, name, nil)
}

// List tells the servers in a file, in the order of their names; none where there is no file.
func (c *Client) List(file string) ([]Entry, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	_, servers, err := c.parse(file, text)
	if err != nil {
		return nil, err
	}
	return entries(servers), nil
}

// change makes a new text of a file, sees that it differs by one entry, and puts it in the file's place.
func (c *Client) change(file string, edit func([]byte, []string, map[string]any) ([]byte, error), name string, want map[string]any) (Change, error) {
	// A file that a person keeps elsewhere stays there.
	if to, err := filepath.EvalSymlinks(file); err == nil {
		file = to
	}
	done := Change{File: file}
	text, err := read(file)
	if err != nil {
		return done, err
	}
	document, servers, err := c.parse(file, text)
	if err != nil {
		return done, err
	}
	if was, there := servers[name]; there {
		done.Before = describe(was)
	}
	changed, err := edit(text, c.path(document), servers)
	if err != nil {
		return done, inFile(file, err)
	}
	if bytes.Equal(changed, text) {
		done.None = true
		return done, nil
	}
	if err := c.check(file, changed, document, name, want); err != nil {
		return done, err
	}
	if len(text) > 0 {
		done.Copy = file + ".before-sallyport"
	}
	return done, replaceFile(file, done.Copy, text, changed)
}

// check reads a changed text as the client will: it has the entry as wanted, and everything else is what it was.
func (c *Client) check(file string, changed []byte, was map[string]any, name string, want map[string]any) error {
	is, servers, err := c.parse(file, changed)
	if err != nil {
		return fmt.Errorf("nothing was written, since the result could not be read: %w", err)
	}
	right := true
	if want != nil {
		right = reflect.DeepEqual(servers[name], any(want))
	} else if _, there := servers[name]; there {
		right = false
	}
	if !right || !reflect.DeepEqual(without(was, c.path(is), name), without(is, c.path(is), name)) {
		return fmt.Errorf("%s: nothing was written, since more would have changed than the server %s; change it by hand", file, name)
	}
	return nil
}

// without is a document but for one server, and but for a container that holds no other.
func without(document map[string]any, path []string, name string) map[string]any {
	out := maps.Clone(document)
	if len(path) == 0 {
		delete(out, name)
		return out
	}
	if held, ok := out[path[0]].(map[string]any); ok {
		if rest := without(held, path[1:], name); len(rest) > 0 {
			out[path[0]] = rest
		} else {
			delete(out, path[0])
		}
	}
	return out
}

// path is where a document holds its servers: in the client's container, or in the object
// within it where this one has that.
func (c *Client) path(document map[string]any) []string {
	if held, ok := document[c.container].(map[string]any); ok && c.within != "" {
		if inner, ok := held[c.within].(map[string]any); ok && inner["type"] == nil { // a server of that name has a type
			return []string{c.container, c.within}
		}
	}
	return []string{c.container}
}

func (c *Client) parse(file string, text []byte) (document, servers map[string]any, err error) {
	if isTOML(file) {
		document, err = parseTOML(text)
	} else {
		document, err = parseJSON(text)
	}
	if err != nil {
		return nil, nil, inFile(file, err)
	}
	servers = document
	for _, within := range c.path(document) {
		held, there := servers[within]
		if !there {
			return document, nil, nil
		}
		var ok bool
		if servers, ok = held.(map[string]any); !ok {
			return nil, nil, fmt.Errorf("%s: %s must hold an object of servers; put that right first", file, c.container)
		}
	}
	return document, servers, nil
}

func inFile(file string, err error) error { return fmt.Errorf("%s: %w", file, err) }

// maxFile bounds what is taken for a client's file. Claude Code's holds its history, too.
const maxFile = 64 << 20

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", file)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MB", file, maxFile>>20)
	}
	return os.ReadFile(file)
}

// replaceFile puts a text in a file's place if that is still what was read, and the old one beside it: all of it or
// nothing, with the mode that the file had. A new file is its owner's alone.
func replaceFile(file, kept string, was, text []byte) (err error) {
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if kept != "" {
		if err := writeWhole(kept, was, mode); err != nil {
			return err
		}
	}
	return writeChecked(file, text, mode, func() error {
		now, err := read(file)
		if err == nil && !bytes.Equal(now, was) {
			err = fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written, so try again", file)
		}
		return err
	})
}

func writeWhole(file string, text []byte, mode fs.FileMode) error {
	return writeChecked(file, text, mode, func() error { return nil })
}

func writeChecked(file string, text []byte, mode fs.FileMode, still func() error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = still()
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
