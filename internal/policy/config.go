package policy

import (
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Config is what a Set is made of.
type Config struct {
	// Policies are texts of one or more Cedar policies each.
	Policies []string
	// EntitiesJSON are entities that policies can refer to, in Cedar's JSON format; ""
	// for none. Where the gateway knows the same entity by itself, it has the parents
	// and attributes of both. Of an attribute that both have, the gateway's counts;
	// of a tool's annotation, the operator's.
	EntitiesJSON string
	// Shadow lets everything pass, and tells what would not have.
	Shadow bool
	// GroupEntityType is the type of groups and roles; "" means THVGroup.
	GroupEntityType string
	// GroupClaim and RoleClaim are claims, or paths of claims with dots, to read
	// groups and roles from. Where the caller has the claim GroupClaim, it is instead
	// of the caller's groups; RoleClaim is besides its roles.
	GroupClaim, RoleClaim string
}

// Problem is what is wrong with a policy, or with the entities.
type Problem struct {
	Policy       int // index in Config.Policies; -1 for the entities, or for the set as a whole
	Line, Column int // from 1, in characters; 0 where there is no place
	Message      string
	// Warning is set where the policy can be used but, as far as can be told, can
	// never match: a name that nothing has.
	Warning bool
}

// Action is what a caller wants to do.
type Action = schema.Action

// The actions.
const (
	CallTool      = schema.CallTool
	GetPrompt     = schema.GetPrompt
	ReadResource  = schema.ReadResource
	ListTools     = schema.ListTools
	ListPrompts   = schema.ListPrompts
	ListResources = schema.ListResources
)

// Query is what a caller wants to do, to what.
type Query struct {
	Action Action
	// Target is the name of a tool or prompt, or a resource's URI; for a list it is
	// of no account.
	Target string
	// Server is the endpoint's name, Backend that of the server behind it.
	Server, Backend string
	// Hints are the tool's annotations, as its server gives them.
	Hints mcp.Hints
	// Arguments are those of the call, a raw JSON object; nil for none. They are read
	// only when a policy that may apply looks at one.
	Arguments []byte
}

// Decision is the answer to a Query.
type Decision struct {
	// Allow says whether to go on; always in shadow mode.
	Allow bool `json:"allow"`
	// Shadow says that it would be denied if it were not for shadow mode.
	Shadow bool `json:"shadow,omitempty"`
	// ID names a denial, Shadow ones too, so that the caller can be told of one and
	// the operator find it; "" where nothing was denied. No two are the same.
	ID string `json:"id,omitempty"`
	// Policies are the names of the policies that decided, in their order: those that
	// forbid, else those that permit. Empty where no policy permits.
	Policies []string `json:"policies,omitempty"`
	// Reason is why nothing could have permitted it; "" where policies decided.
	Reason string `json:"reason,omitempty"`
	// Errors say which policies could not be evaluated, and why. They are for the
	// operator.
	Errors []string `json:"errors,omitempty"`
}
