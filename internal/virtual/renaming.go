package virtual

import (
	"bytes"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// renaming has a result of one member name resources as clients know them: the
// contents of a resource, links, and resources that are part of content. Everything
// else stays byte for byte.
type renaming struct {
	target  *Target
	view    *view
	member  int
	client  string
	changed bool
}

// result renames in the result of a call, of a prompt or of a read.
func (r *renaming) result(value []byte) []byte {
	value = r.in(value, "contents", func(each []byte) []byte { return r.uri(each) })
	value = r.in(value, "content", r.block)
	return r.in(value, "messages", func(each []byte) []byte {
		return r.replace(each, "content", r.block)
	})
}

// task renames what is said of a task, and in the result that it has, if it has one.
func (r *renaming) task(value []byte) []byte {
	value = r.replace(value, "result", r.result)
	return names.Tasks{Ring: r.target.Ring}.Rename(r.client, r.target.members[r.member].Upstream.Name, value)
}

// in has change look at each element of an array of an object.
func (r *renaming) in(object []byte, key string, change func([]byte) []byte) []byte {
	return r.replace(object, key, func(array []byte) []byte {
		out := []byte{'['}
		before := r.changed
		r.changed = false
		err := mcp.Elements(array, func(each []byte) bool {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, change(each)...)
			return true
		})
		here := r.changed && err == nil
		r.changed = before || here
		if !here {
			return array
		}
		return append(out, ']')
	})
}

// replace has change look at a member of an object.
func (r *renaming) replace(object []byte, key string, change func([]byte) []byte) []byte {
	value, err := mcp.Member(object, key)
	if err != nil || value == nil {
		return object
	}
	changed := change(value)
	if bytes.Equal(changed, value) {
		return object
	}
	return mcp.Merge(object, []mcp.Field{{Name: key, Value: changed}})
}

// block renames in one block of content.
func (r *renaming) block(block []byte) []byte {
	kind, err := mcp.Member(block, "type")
	if err != nil {
		return block
	}
	switch string(kind) {
	case `"resource_link"`:
		return r.uri(block)
	case `"resource"`:
		return r.replace(block, "resource", r.uri)
	}
	return block
}

// uri renames an object that has a uri. One that stands in no list stays as it is, and
// can be read by whoever was told of it.
func (r *renaming) uri(object []byte) []byte {
	return r.replace(object, "uri", func(value []byte) []byte {
		own, ok := mcp.Text(value)
		if !ok {
			return value
		}
		public, listed := r.view.uris.Public(Own{Member: r.member, Name: own})
		if !listed {
			r.target.Memory.link(r.client, own, r.target.members[r.member].Upstream.Name)
		}
		if public == own {
			return value
		}
		r.changed = true
		return mcp.Quote(public)
	})
}
