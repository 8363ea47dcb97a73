package plan

import (
	"fmt"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Claim is something that a gateway has once, and that a configuration needs to itself,
// or shares with those that mean the same by it.
type Claim struct {
	What  string
	As    string // equal for those that can share it; "" for none
	Owner string // who claims it, for people

	at     manifest.Problem // where it stands; nothing of the plan is kept, which would keep its manifests
	format string           // what is wrong where somebody else has it, who comes first
	args   []any
}

// Against is what is wrong with the claim where another configuration has it already; nil
// for nothing.
func (c Claim) Against(other Claim) manifest.Problems {
	if c.What != other.What || c.As != "" && c.As == other.As {
		return nil
	}
	p := c.at
	p.Message = fmt.Sprintf(c.format, append([]any{other.Owner}, c.args...)...)
	return manifest.Problems{p}
}

// Claims are what the plan needs to itself in a gateway that serves other plans beside it.
func (p *Plan) Claims() (all []Claim) {
	claim := func(r *Resource, what, as, field, format string, args ...any) {
		all = append(all, Claim{what, as, r.Kind + " " + r.Name, r.Problem(field, ""), format, args})
	}
	for _, e := range p.Endpoints {
		claim(&e.Resource, "/servers/"+e.Name, "", "metadata.name", "%s has the endpoint /servers/%s already; give one of them another name", e.Name)
		if e.Link.Resource != "" {
			claim(&e.Resource, e.Link.Resource, "", "spec.oidcConfigRef.resourceUrl", "is that of %s too, and a token for one would be one for both; give each its own")
		}
	}
	for _, a := range p.AuthServers {
		// Its settings count: one that serves two endpoints cannot be two servers.
		claim(&a.Resource, "authorization server "+a.Path, a.Key, a.Field+".issuer", "is the path of %s, which is another server, or the same with other settings; each server needs a path of its own, or settings that all have")
	}
	for _, a := range p.Assertions {
		keys := []any{a.Namespace, a.Name}
		for _, k := range a.SigningKeys {
			keys = append(keys, k.Reveal())
		}
		claim(&a.Resource, "keys "+a.Name, keep.Key(keys...), "metadata.name", "%s has the address %s already, with other keys; give one of them another name", KeysPath(a.Name))
	}
	return all
}
