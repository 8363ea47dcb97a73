package plan

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// Policy is what callers may do. The zero Policy permits nothing.
type Policy struct {
	// Unrestricted says that there are no policies: who gets in may do everything.
	Unrestricted bool
	Config       policy.Config
	Set          *policy.Set // made of Config; nil where there is none, or a problem

	from *authz
}

// Place says where a policy stands that Config has, by its index there.
func (x *Policy) Place(i int) string {
	if x.from == nil {
		return ""
	}
	field := x.from.field
	if x.from.lists {
		field = Index(field, i)
	}
	at := x.from.owner.Problem(field, "")
	return strings.TrimPrefix(at.Position.String()+", ", ", ") + at.Object
}

// Problem puts something about one of the policies, or about all, in its place.
func (x *Policy) Problem(about policy.Problem) manifest.Problem { return x.from.says(about) }

// authz is where an endpoint's policies come from.
type authz struct {
	cfg   policy.Config
	owner *manifest.Object // whose fields the policies stand in
	field string           // of the list of policies in owner
	lists bool             // it is that list, and no text that holds it
}

// policy plans what callers may do.
func (c one) policy(s *v1alpha1.Serving, d *Door) Policy {
	if s.AuthzConfig == nil && s.AuthzConfigRef == nil {
		return Policy{Unrestricted: true}
	}
	a := c.authz(s.AuthzConfig, s.AuthzConfigRef)
	if a == nil {
		return Policy{} // a problem has been noted
	}
	set := c.compiled(a)
	if set != nil {
		for _, p := range set.Advice(len(d.Methods) > 1) {
			c.plan.Advice = append(c.plan.Advice, a.says(p))
		}
	}
	return Policy{Config: a.cfg, Set: set, from: a}
}

// compiled are policies as they are asked. What is wrong with them is noted.
func (c one) compiled(a *authz) *policy.Set {
	set, problems := policy.Compile(a.cfg)
	for _, p := range problems {
		to := &c.plan.Problems
		if p.Warning {
			to = &c.plan.Warnings
		}
		*to = append(*to, a.says(p))
	}
	return set
}

// says puts what is wrong with a policy in its place.
func (a *authz) says(p policy.Problem) manifest.Problem {
	field, text := a.field, p.Message
	if p.Policy >= 0 {
		field = Index(field, p.Policy)
	}
	if p.Line > 0 {
		text = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, text)
	}
	return a.owner.Problem(field, "%s", text)
}

// authz finds the policies; nil with a problem.
func (c one) authz(in *v1alpha1.AuthzConfig, ref *v1alpha1.ObjectRef) *authz {
	if ref != nil {
		cfg, ok := manifest.Lookup[v1alpha1.MCPAuthzConfig](c.view, c.Namespace, string(ref.Name))
		if !ok {
			c.missing("spec.authzConfigRef.name", "MCPAuthzConfig", string(ref.Name))
			return nil
		}
		return c.of(cfg.Object).sharedAuthz(&cfg.Value.Spec)
	}
	cfg := policy.Config{
		Shadow: in.Mode == "shadow", GroupEntityType: in.GroupEntityType,
		GroupClaim: string(in.GroupClaimName), RoleClaim: string(in.RoleClaimName),
	}
	if in.Inline != nil {
		cfg.Policies, cfg.EntitiesJSON = in.Inline.Policies, in.Inline.EntitiesJSON
		return &authz{cfg, c.Object, c.at("spec.authzConfig.inline.policies"), true}
	}
	return c.authzFile(in.ConfigMap, cfg)
}

// sharedAuthz are the policies of an MCPAuthzConfig.
func (c one) sharedAuthz(s *v1alpha1.MCPAuthzConfigSpec) *authz {
	return &authz{policy.Config{
		Policies: s.Config.Policies, EntitiesJSON: s.Config.EntitiesJSON, Shadow: s.Mode == "shadow",
		GroupEntityType: s.Config.GroupEntityType, GroupClaim: string(s.Config.GroupClaimName), RoleClaim: string(s.Config.RoleClaimName),
	}, c.Object, "spec.config.policies", true}
}

// authzFile reads policies from a ConfigMap, as ToolHive's authz.json has them.
func (c one) authzFile(ref *v1alpha1.AuthzConfigMap, cfg policy.Config) *authz {
	text, object, ok := c.text("spec.authzConfig.configMap", string(ref.Name), string(ref.Key))
	if !ok {
		return nil
	}
	var problem string
	if cfg.Policies, cfg.EntitiesJSON, problem = policy.ReadFile(text); problem != "" {
		c.of(object).problem("data."+string(ref.Key), "%s", problem)
		return nil
	}
	return &authz{cfg, object, "data." + string(ref.Key), false}
}
