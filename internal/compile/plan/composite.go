package plan

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// compositeTool checks a composite tool for itself.
func (c one) compositeTool(field string, spec *v1alpha1.CompositeTool) *workflow.Tool {
	tool, problems := workflow.Read(spec)
	for _, p := range problems {
		c.problem(field+"."+p.Field, "%s", p.Text)
	}
	return tool
}

// composites plans the composite tools of a virtual server, in place and named.
func (c one) composites(v *Virtual, cfg *v1alpha1.VirtualConfig, members []member) {
	add := func(field string, tool *workflow.Tool) {
		if slices.ContainsFunc(v.Composites, func(other *workflow.Tool) bool { return other.Name == tool.Name }) {
			c.problem(field, "%q is the name of another composite tool of this server; give each its own", tool.Name)
			return
		}
		if v.Optimizer != nil && (tool.Name == "find_tool" || tool.Name == "call_tool") {
			c.problem(field, "%q is what clients call by config.optimizer; give the composite tool another name", tool.Name)
		}
		if owner := v.gives(tool.Name, members); owner != "" {
			c.problem(field, "%q is the name of a tool of %s too, by config.aggregation; give one of them another", tool.Name, owner)
		}
		v.Composites = append(v.Composites, tool)
	}
	for i := range cfg.CompositeTools {
		field := Index("spec.config.compositeTools", i)
		tool := c.compositeTool(field, &cfg.CompositeTools[i])
		c.stepTools(field, &cfg.CompositeTools[i], v, members)
		add(field+".name", tool)
	}
	for i, ref := range cfg.CompositeToolRefs {
		field := Index("spec.config.compositeToolRefs", i) + ".name"
		def, ok := manifest.Lookup[v1alpha1.VirtualMCPCompositeToolDefinition](c.view, c.Namespace, string(ref.Name))
		if !ok {
			c.missing(field, "VirtualMCPCompositeToolDefinition", string(ref.Name))
			continue
		}
		tool, problems := workflow.Read(&def.Value.Spec) // which are spoken of where it stands
		if len(problems) > 0 {
			c.unsaid++
		}
		c.of(def.Object).stepTools("spec", &def.Value.Spec, v, members)
		add(field, tool)
	}
}

// stepTools checks which members the tools in steps are of.
func (c one) stepTools(field string, spec *v1alpha1.CompositeTool, v *Virtual, members []member) {
	check := func(field, tool string) {
		if tool == "" || len(members) == 0 {
			return
		}
		of := func(member string) bool {
			return strings.HasPrefix(tool, member+".") || v.Strategy == "prefix" && strings.HasPrefix(tool, v.prefix(member))
		}
		if slices.ContainsFunc(v.failed, of) {
			c.unsaid++
			return
		}
		if slices.ContainsFunc(members, func(m member) bool { return of(m.name) }) || v.Strategy != "prefix" && !strings.Contains(tool, ".") {
			return
		}
		var names []string
		for _, m := range members {
			names = append(names, m.name)
		}
		c.lacks(field, aMember, "%q is no tool of a member of MCPGroup %q; write MEMBER.TOOL with one of %s", tool, v.Group, strings.Join(names, ", "))
	}
	for i, s := range spec.Steps {
		at := Index(field+".steps", i)
		check(at+".tool", string(s.Tool))
		if s.InnerStep != nil {
			check(at+".step.tool", string(s.InnerStep.Tool))
		}
	}
}

func (v *Virtual) prefix(member string) string {
	return strings.ReplaceAll(v.Format, "{workload}", member)
}

// gives is the member whose tool has a name by what the manifest says; "" for none.
func (v *Virtual) gives(name string, members []member) string {
	for i, m := range v.Members {
		if m.Tools == nil || m.Hidden {
			continue
		}
		names := map[string]bool{}
		for _, tool := range m.Tools.ToolsFilter {
			names[string(tool)] = true
		}
		for tool, o := range m.Tools.ToolsOverride {
			if o.Name != "" && (len(m.Tools.ToolsFilter) == 0 || names[tool]) {
				delete(names, tool)
				names[string(o.Name)] = true
			}
		}
		for own := range names {
			if v.Strategy == "prefix" && v.prefix(members[i].name)+own == name || v.Strategy != "prefix" && own == name {
				return members[i].name
			}
		}
	}
	return ""
}
