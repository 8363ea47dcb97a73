package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ReadFile reads policies and entities from a file as ToolHive has it. A problem
// names the line and column, where there is one, and what to write.
func ReadFile(text string) (policies []string, entitiesJSON, problem string) {
	var file struct {
		Type  string `json:"type"`
		Cedar struct {
			Policies     []string        `json:"policies"`
			EntitiesJSON json.RawMessage `json:"entities_json"`
		} `json:"cedar"`
	}
	err := json.Unmarshal([]byte(text), &file)
	if at := offset(err); at > 0 {
		before := text[:at-1]
		return nil, "", fmt.Sprintf("line %d, column %d: %v", 1+strings.Count(before, "\n"), at-1-strings.LastIndexByte(before, '\n'), err)
	}
	if err != nil || file.Type != "cedarv1" {
		return nil, "", `want JSON like {"version": "1.0", "type": "cedarv1", "cedar": {"policies": ["…"], "entities_json": "[]"}}`
	}
	entitiesJSON = string(file.Cedar.EntitiesJSON)
	var quoted string
	if json.Unmarshal(file.Cedar.EntitiesJSON, &quoted) == nil {
		entitiesJSON = quoted
	}
	return file.Cedar.Policies, entitiesJSON, ""
}

// offset is where in a text JSON is wrong, counted from one; 0 where it does not say.
func offset(err error) int {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return int(syntax.Offset)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return int(kind.Offset)
	}
	return 0
}
