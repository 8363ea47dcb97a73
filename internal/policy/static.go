package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

const maxEntities = 10_000

// readEntities reads the operator's entities. Besides Cedar's own format it takes
// what ToolHive's documentation shows: a uid that is text, Tool::weather, and
// entities without parents or attributes.
func readEntities(text string) (cedar.EntityMap, *Problem) {
	all := cedar.EntityMap{}
	if strings.TrimSpace(text) == "" {
		return all, nil
	}
	fail := func(offset int64, format string, args ...any) (cedar.EntityMap, *Problem) {
		at := placeAt(text, int(offset))
		return nil, &Problem{Policy: -1, Line: at.line, Column: at.column, Message: "entities: " + fmt.Sprintf(format, args...)}
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fail(0, "expected a JSON array of entities")
	}
	for dec.More() {
		from := dec.InputOffset()
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fail(dec.InputOffset(), "%v", err)
		}
		from += int64(strings.Index(text[from:], string(raw[:1]))) // over the comma and white space
		e, err := readEntity(raw)
		if err != nil {
			return fail(from, "%v", err)
		}
		if _, twice := all[e.UID]; twice {
			return fail(from, "duplicate entity %s", e.UID)
		}
		if all[e.UID] = e; len(all) > maxEntities {
			return fail(from, "more than %d", maxEntities)
		}
	}
	if _, err := dec.Token(); err != nil {
		return fail(dec.InputOffset(), "%v", err)
	}
	if rest := strings.TrimSpace(text[dec.InputOffset():]); rest != "" {
		return fail(dec.InputOffset(), "the array is followed by more")
	}
	return all, nil
}

func readEntity(raw []byte) (e cedar.Entity, err error) {
	members := map[string]json.RawMessage{"parents": json.RawMessage("[]"), "attrs": json.RawMessage("{}")}
	unknown := ""
	err = mcp.Members(raw, func(key, value []byte) bool {
		switch string(key) {
		case "uid", "parents", "attrs", "tags":
			members[string(key)] = value
		default:
			unknown = string(key)
		}
		return unknown == ""
	})
	if err != nil {
		return e, errors.New("an entity is not a JSON object with every key once")
	}
	if unknown != "" {
		return e, fmt.Errorf("an entity has uid, parents, attrs and tags, not %q", unknown)
	}
	if text, ok := mcp.Text(members["uid"]); ok {
		uid, err := uidOfText(text)
		if err != nil {
			return e, err
		}
		if members["uid"], err = json.Marshal(map[string]string{"type": string(uid.Type), "id": string(uid.ID)}); err != nil {
			return e, err
		}
	}
	if raw, err = json.Marshal(members); err != nil {
		return e, err
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, err
	}
	for uid := range e.Parents.All() {
		if _, err := types.NewEntityType(string(uid.Type)); err != nil {
			return e, fmt.Errorf("%q is not the name of an entity type", uid.Type)
		}
	}
	if _, err := types.NewEntityType(string(e.UID.Type)); err != nil {
		return e, fmt.Errorf("%q is not the name of an entity type", e.UID.Type)
	}
	return e, nil
}

// uidOfText reads Type::id, with or without quotes around the id.
func uidOfText(text string) (uid cedar.EntityUID, err error) {
	typ, id, ok := strings.Cut(text, "::")
	if quoted := strings.Index(text, `::"`); quoted >= 0 {
		typ, id = text[:quoted], text[quoted+2:]
		if err := json.Unmarshal([]byte(id), &id); err != nil {
			return uid, fmt.Errorf("uid %q is not of the form Type::\"id\"", text)
		}
	}
	if !ok {
		return uid, fmt.Errorf("uid %q is not of the form Type::\"id\"", text)
	}
	return cedar.NewEntityUID(cedar.EntityType(typ), cedar.String(id)), nil
}

// placeAt is the place of a byte of a text.
func placeAt(text string, offset int) place {
	offset = min(max(offset, 0), len(text))
	before := text[:offset]
	line := strings.Count(before, "\n") + 1
	return place{line, len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1}
}

// ancestors are all entities that an entity with such parents is in, by what the
// operator declared, its parents among them.
func ancestors(static cedar.EntityMap, parents cedar.EntityUIDSet) []cedar.EntityUID {
	var all []cedar.EntityUID
	seen := map[cedar.EntityUID]bool{}
	add := func(set cedar.EntityUIDSet) {
		for uid := range set.All() {
			if !seen[uid] {
				seen[uid] = true
				all = append(all, uid)
			}
		}
	}
	add(parents)
	for i := 0; i < len(all); i++ {
		add(static[all[i]].Parents)
	}
	slices.SortFunc(all, func(a, b cedar.EntityUID) int {
		return bytes.Compare(a.MarshalCedar(), b.MarshalCedar())
	})
	return all
}
