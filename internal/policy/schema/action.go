package schema

import (
	"iter"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Action is what a caller wants to do.
type Action uint8

// The actions.
const (
	CallTool Action = iota
	GetPrompt
	ReadResource
	ListTools
	ListPrompts
	ListResources
	ActionCount
)

// actions is what policies know of each action: its name and the type of what it
// is done to, and the attributes operation and feature that ToolHive gives that.
var actions = [ActionCount]struct {
	name               string
	resource           types.EntityType
	operation, feature string
}{
	CallTool:      {"call_tool", "Tool", "call", "tool"},
	GetPrompt:     {"get_prompt", "Prompt", "get", "prompt"},
	ReadResource:  {"read_resource", "Resource", "read", "resource"},
	ListTools:     {"list_tools", "FeatureType", "list", "tool"},
	ListPrompts:   {"list_prompts", "FeatureType", "list", "prompt"},
	ListResources: {"list_resources", "FeatureType", "list", "resource"},
}

// String is the action's name in policies.
func (a Action) String() string { return actions[a].name }

// UID is the action as an entity.
func (a Action) UID() cedar.EntityUID {
	return cedar.NewEntityUID("Action", cedar.String(actions[a].name))
}

// Resource is the type of what the action is done to.
func (a Action) Resource() types.EntityType { return actions[a].resource }

// Operation and Feature are attributes of what the action is done to.
func (a Action) Operation() string { return actions[a].operation }

// Feature is the kind of thing that the action is about: tool, prompt or resource.
func (a Action) Feature() string { return actions[a].feature }

// Lists reports whether the action lists things, which needs no permit.
func (a Action) Lists() bool { return a >= ListTools }

// Item is what the items of a list are for: an item is shown to who may do that
// with it. It is the action itself where that is no list.
func (a Action) Item() Action {
	if a.Lists() {
		return a - ListTools
	}
	return a
}

// HasArguments reports whether the action comes with arguments.
func (a Action) HasArguments() bool { return a == CallTool || a == GetPrompt }

// The type of principals, and, unless another is chosen, that of groups and roles.
const (
	Principal        types.EntityType = "Client"
	DefaultGroupType types.EntityType = "THVGroup"
)

// Attributes whose names begin like this are the caller's or the call's.
const (
	ClaimPrefix    = "claim_"
	ClaimSetPrefix = "claimset_"
	ArgPrefix      = "arg_"
	PresentSuffix  = "_present"
)

// Attributes that tell by which door a caller came: how the gateway knows (jwt,
// introspection, proxy, assertion, certificate, anonymous), and whose word it is.
const (
	SourceAttribute = "source"
	IssuerAttribute = "issuer"
)

func isClaim(name types.String) bool {
	return strings.HasPrefix(string(name), ClaimPrefix) || strings.HasPrefix(string(name), ClaimSetPrefix)
}

// IsArgument reports whether an attribute is an argument of the call.
func IsArgument(name types.String) bool { return strings.HasPrefix(string(name), ArgPrefix) }

// IsMark reports whether an attribute marks an argument that has no value here.
func IsMark(name types.String) bool { return strings.HasSuffix(string(name), PresentSuffix) }

// hintNames are the annotations of a tool that policies know, in the order of
// mcp.Hints.
var hintNames = [...]types.String{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}

// IsHint reports whether an attribute is an annotation of a tool.
func IsHint(name types.String) bool { return slices.Contains(hintNames[:], name) }

// Hints are the annotations by their names.
func Hints(h mcp.Hints) iter.Seq2[types.String, mcp.Hint] {
	return func(yield func(types.String, mcp.Hint) bool) {
		for i, hint := range [...]mcp.Hint{h.ReadOnly, h.Destructive, h.Idempotent, h.OpenWorld} {
			if !yield(hintNames[i], hint) {
				return
			}
		}
	}
}
