package gateway

import (
	"fmt"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// authz is where an endpoint's policies come from.
type authz struct {
	cfg   policy.Config
	owner *manifest.Object // whose fields the policies stand in
	field string           // of the list of policies in owner
}

// policies compiles what callers of an endpoint may do.
func (c *compiler) policies(o *manifest.Object, in *v1alpha1.AuthzConfig, ref *v1alpha1.ObjectRef, e *Endpoint) {
	a, ok := c.authz(o, in, ref)
	if !ok {
		return
	}
	set, problems := policy.Compile(a.cfg)
	for _, p := range problems {
		field := a.field
		if p.Policy >= 0 {
			field = index(field, p.Policy)
		}
		text := p.Message
		if p.Line > 0 {
			text = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, text)
		}
		if p.Warning {
			c.warnings = append(c.warnings, a.owner.Problem(field, "%s", text))
		} else {
			c.problem(a.owner, field, "%s", text)
		}
	}
	e.policy, e.settings = set, append(e.settings, a.cfg)
	if set != nil {
		e.hints = newToolHints(set.ReadsHints())
	}
}

// authz finds the policies; false where there are none, or with a problem.
func (c *compiler) authz(o *manifest.Object, in *v1alpha1.AuthzConfig, ref *v1alpha1.ObjectRef) (authz, bool) {
	switch {
	case ref != nil:
		cfg, ok := manifest.Get[v1alpha1.MCPAuthzConfig](c.set, o.Namespace, string(ref.Name))
		if !ok {
			c.missing(o, "spec.authzConfigRef.name", "MCPAuthzConfig", string(ref.Name))
			return authz{}, false
		}
		s := &cfg.Value.Spec
		return authz{policy.Config{
			Policies: s.Config.Policies, EntitiesJSON: s.Config.EntitiesJSON, Shadow: s.Mode == "shadow",
			GroupEntityType: s.Config.GroupEntityType, GroupClaim: string(s.Config.GroupClaimName), RoleClaim: string(s.Config.RoleClaimName),
		}, cfg.Object, "spec.config.policies"}, true
	case in == nil:
		return authz{}, false
	}
	cfg := policy.Config{
		Shadow: in.Mode == "shadow", GroupEntityType: in.GroupEntityType,
		GroupClaim: string(in.GroupClaimName), RoleClaim: string(in.RoleClaimName),
	}
	if in.Inline != nil {
		cfg.Policies, cfg.EntitiesJSON = in.Inline.Policies, in.Inline.EntitiesJSON
		return authz{cfg, o, "spec.authzConfig.inline.policies"}, true
	}
	return c.authzFile(o, in.ConfigMap, cfg)
}

// authzFile reads policies from a ConfigMap, as ToolHive's authz.json has them.
func (c *compiler) authzFile(o *manifest.Object, ref *v1alpha1.AuthzConfigMap, cfg policy.Config) (authz, bool) {
	const field = "spec.authzConfig.configMap"
	cm, ok := c.set.ConfigMap(o.Namespace, string(ref.Name))
	if !ok {
		c.missing(o, field+".name", "ConfigMap", string(ref.Name))
		return authz{}, false
	}
	text, ok := cm.Data[string(ref.Key)]
	if !ok {
		c.problem(o, field+".key", "ConfigMap %q has no key %q", ref.Name, ref.Key)
		return authz{}, false
	}
	var problem string
	if cfg.Policies, cfg.EntitiesJSON, problem = policy.ReadFile(text); problem != "" {
		c.problem(cm.Object, "data."+string(ref.Key), "%s", problem)
		return authz{}, false
	}
	return authz{cfg, cm.Object, "data." + string(ref.Key)}, true
}
