package toollock

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Tool is what a lock knows of a tool.
type Tool struct {
	Hash string // of all parts, as hex
	// Parts tell what has changed: short hashes, "-" for a part that is not there.
	Parts [partCount]string
	Says  string // the beginning of its description, and its arguments, for people
}

const partCount = 4

// parts are the names of parts in lock files, and the members of a tool that each is
// made of.
var parts = [partCount]struct {
	name, people string
	members      []string
}{
	{"description", "description", []string{"title", "description"}},
	{"input", "input schema", []string{"inputSchema"}},
	{"output", "output schema", []string{"outputSchema"}},
	{"annotations", "annotations", []string{"annotations"}},
}

// Server are the tools of a server, by its own names.
type Server map[string]Tool

// Of is what a lock would say of a tool, as its server lists it.
func Of(raw []byte) (name string, t Tool, err error) {
	values := map[string][]byte{}
	if err := mcp.Members(raw, func(key, value []byte) bool {
		values[string(key)] = value
		return true
	}); err != nil {
		return "", Tool{}, err
	}
	name, _ = mcp.Text(values["name"])
	whole := sha256.New()
	add := func(label string, value []byte) {
		_, _ = whole.Write([]byte(label + "\x00"))
		_, _ = whole.Write(value)
		_, _ = whole.Write([]byte("\x00"))
	}
	add("name", []byte(name))
	for i, p := range parts {
		part := sha256.New()
		there := false
		for _, member := range p.members {
			value := values[member]
			if value == nil || string(value) == "null" {
				continue
			}
			canonical, err := mcp.Canonical(value)
			if err != nil {
				return "", Tool{}, err
			}
			there = true
			add(member, canonical)
			_, _ = part.Write(append([]byte(member+"\x00"), canonical...))
		}
		t.Parts[i] = "-"
		if there {
			t.Parts[i] = hex.EncodeToString(part.Sum(nil)[:4])
		}
	}
	t.Hash, t.Says = hex.EncodeToString(whole.Sum(nil)), says(values)
	return name, t, nil
}

// maxSays is how much of a description stands in a lock file, in bytes.
const maxSays = 100

func says(values map[string][]byte) string {
	text, _ := mcp.Text(values["description"])
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxSays {
		text = strings.ToValidUTF8(text[:maxSays], "") + "…"
	}
	var names []string
	if properties := mcp.Path(values["inputSchema"], "properties"); properties != nil {
		_ = mcp.Members(properties, func(key, _ []byte) bool { // it has been read
			names = append(names, string(key))
			return true
		})
	}
	slices.Sort(names)
	return strings.TrimSpace(text + " (" + strings.Join(names, ", ") + ")")
}

// Changes says in words how a tool differs from what it was; "" if it does not.
func (t *Tool) Changes(now *Tool) string {
	if t.Hash == now.Hash {
		return ""
	}
	var changed []string
	for i, p := range parts {
		if t.Parts[i] != now.Parts[i] {
			changed = append(changed, p.people)
		}
	}
	text := "other " + strings.Join(changed, ", ")
	if t.Says == now.Says {
		return text + ", beyond its first words " + string(mcp.Quote(now.Says))
	}
	return text + ": was " + string(mcp.Quote(t.Says)) + ", is " + string(mcp.Quote(now.Says))
}

// Added says of a tool that is in no lock what it is.
func Added(now *Tool) string { return "new: " + string(mcp.Quote(now.Says)) }

// Gone says of a tool that it is not there any more.
const Gone = "gone"
