package clientconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func parseTOML(text []byte) (map[string]any, error) {
	document := map[string]any{}
	err := toml.Unmarshal(text, &document)
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := at.Position()
		return nil, fmt.Errorf("line %d, column %d: %s", row, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return document, err
}

// setTOML writes an entry as a table behind all that the file holds. One that is there is taken out before.
func setTOML(text []byte, container, name string, entry []member, there bool) ([]byte, error) {
	if there {
		var err error
		if text, err = removeTOML(text, container, name); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	b.Write(text)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte{'\n'}) {
		b.WriteByte('\n')
	}
	if len(text) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "[%s.%s]\n", container, key(name))
	for _, m := range entry {
		value, err := json.Marshal(m.value) // a string of JSON is one of TOML
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s = %s\n", m.name, unescaped(value))
	}
	return b.Bytes(), nil
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// key writes a key of TOML, quoted where it has to be.
func key(name string) string {
	if bareKey.MatchString(name) {
		return name
	}
	quoted, _ := json.Marshal(name) // a string always can
	return unescaped(quoted)
}

var tableHead = regexp.MustCompile(`^\s*\[`)

// removeTOML takes out the table of an entry and those below it, to the head of the next one. An entry that is written
// in another way stays, which the caller notices.
func removeTOML(text []byte, container, name string) ([]byte, error) {
	quoted, _ := json.Marshal(name)
	names := regexp.QuoteMeta(name) + "|" + regexp.QuoteMeta(string(quoted)) + "|'" + regexp.QuoteMeta(name) + "'"
	head := regexp.MustCompile(`^\s*\[\s*` + regexp.QuoteMeta(container) + `\s*\.\s*(?:` + names + `)\s*(?:\.[^\]]*)?\]\s*(?:#.*)?$`)
	var out []byte
	ours := false
	for line := range bytes.Lines(text) {
		if bare := bytes.TrimRight(line, "\r\n"); tableHead.Match(bare) {
			ours = head.Match(bare)
		}
		if !ours {
			out = append(out, line...)
		}
	}
	return append(bytes.TrimRight(out, "\n"), '\n'), nil
}

// plain is a value as it is read back.
func plain(v any) any {
	list, ok := v.([]string)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// withoutSecrets is a URL with neither user nor query.
func withoutSecrets(at string) string {
	u, err := url.Parse(at)
	if err != nil {
		return "a URL that does not parse"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
