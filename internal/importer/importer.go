package importer

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Result is what a file became.
type Result struct {
	Format  string // of the file, for people: "mcpServers, as Claude, Cursor and others write it"
	Entries []Entry
}

// Entry is one server or resource of the file.
type Entry struct {
	Name      string // in the file
	As        string // "MCPRemoteProxy/docs"; empty where it was left out
	Manifests string // YAML documents, without any secret value
	Secrets   []Secret
	Notes     []string // what is different here, or missing, and what to do
	LeftOut   string   // why there is no manifest
}

// Secret is one value that a manifest refers to.
type Secret struct {
	Name, Key string
	Value     secret.Value
	// Missing says what the value is where the file does not hold it: it refers to a variable that is not set, or
	// to something a person would have been asked for.
	Missing string
}

// Read recognises what text is and turns it into manifests. file is its name, for messages and where the content leaves
// a choice; lookup is the environment that the file's references are resolved in. An error says what cannot be read, and
// where; then nothing is to be used.
func Read(file string, text []byte, lookup func(string) (string, bool)) (*Result, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d MiB, which no configuration of MCP servers is", file, maxFile>>20)
	}
	in := &input{file: file, lookup: lookup}
	var err error
	var result *Result
	switch trimmed := bytes.TrimSpace(text); {
	case len(trimmed) == 0:
		err = errors.New("is empty")
	case tooDeep(text):
		err = fmt.Errorf("is nested deeper than %d levels", maxDepth)
	case strings.EqualFold(filepath.Ext(file), ".toml"):
		result, err = in.toml(text)
	case trimmed[0] == '{' || trimmed[0] == '/' || trimmed[0] == '[':
		result, err = in.json(text)
	case isTOML(trimmed):
		result, err = in.toml(text)
	default:
		result, err = in.toolHive(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return result, nil
}

const (
	maxFile  = 8 << 20
	maxDepth = 1000 // parsers of JSON and TOML recurse without a limit of their own
)

// tooDeep counts the brackets in strings, too, so that nothing hides any.
func tooDeep(text []byte) bool {
	depth := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			if depth++; depth > maxDepth {
				return true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}

// input is one file on its way.
type input struct {
	file   string
	lookup func(string) (string, bool)
	names  map[string]bool // of manifests, taken
}

// name makes a free name of a resource out of an entry's.
func (in *input) name(text string) string {
	if in.names == nil {
		in.names = map[string]bool{}
	}
	base := resourceName(text)
	name := base
	for n := 2; in.names[name]; n++ {
		end := fmt.Sprintf("-%d", n)
		name = strings.Trim(base[:min(len(base), maxName-len(end))], "-") + end
	}
	in.names[name] = true
	return name
}

// maxName is the length of a name in DNS, and so of a resource.
const maxName = 63

func resourceName(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := b.String()
	if name = strings.Trim(name[:min(len(name), maxName)], "-"); name == "" {
		return "server"
	}
	return name
}
