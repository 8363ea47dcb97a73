package workflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/template"
)

// Problem is what is wrong with a field of a composite tool.
type Problem struct{ Field, Text string }

// reader reads one tool.
type reader struct {
	spec     *v1alpha1.CompositeTool
	tool     *Tool
	at       map[string]int    // steps by id
	before   []map[string]bool // by step: those that have ended when it begins
	params   map[string]bool   // names of the arguments; nil for any
	problems []Problem
}

// Read reads a composite tool, and says everything that is wrong with it.
func Read(spec *v1alpha1.CompositeTool) (*Tool, []Problem) {
	r := &reader{spec: spec, at: map[string]int{}, tool: &Tool{
		Name: spec.Name, Description: spec.Description, Steps: make([]*Step, len(spec.Steps)),
	}}
	if spec.Annotations != nil {
		r.tool.Annotations = *spec.Annotations
	}
	r.tool.Timeout = r.duration("timeout", spec.Timeout, DefaultTimeout)
	r.parameters()
	for i, s := range spec.Steps {
		if first, taken := r.at[string(s.ID)]; taken {
			r.bad(step(i)+".id", "%q is the id of steps[%d] too; give each step its own", s.ID, first)
			continue
		}
		r.at[string(s.ID)] = i
	}
	for i := range spec.Steps {
		r.tool.Steps[i] = &Step{ID: string(spec.Steps[i].ID), Kind: Kind(cmp.Or(spec.Steps[i].Type, string(CallTool)))}
		r.after(i)
	}
	r.order()
	for i := range spec.Steps {
		r.step(i)
	}
	r.output()
	return r.tool, r.problems
}

func step(i int) string { return fmt.Sprintf("steps[%d]", i) }

func (r *reader) bad(field, format string, args ...any) {
	r.problems = append(r.problems, Problem{field, fmt.Sprintf(format, args...)})
}

func (r *reader) duration(field string, d v1alpha1.Duration, otherwise time.Duration) time.Duration {
	if d == "" {
		return otherwise
	}
	length := d.Length()
	if length <= 0 || length > maxTimeout {
		r.bad(field, "must be more than 0 and at most %s", maxTimeout)
	}
	return length
}

// parameters reads the schema of the arguments.
func (r *reader) parameters() {
	t := r.tool
	t.Parameters = []byte(`{"type":"object","properties":{}}`)
	if r.spec.Parameters != nil {
		t.Parameters = r.spec.Parameters.Raw
	}
	var s *jsonschema.Schema
	if s, t.arguments = r.schema("parameters", t.Parameters); s == nil {
		return
	}
	if s.AdditionalProperties == nil && len(s.PatternProperties) == 0 || isFalse(s.AdditionalProperties) {
		r.params = map[string]bool{}
	}
	for name, p := range s.Properties {
		if r.params != nil {
			r.params[name] = true
		}
		if p != nil && p.Default != nil {
			if v, err := template.Decode(p.Default); err == nil {
				if t.defaults == nil {
					t.defaults = map[string]any{}
				}
				t.defaults[name] = v
			}
		}
	}
}

func isFalse(s *jsonschema.Schema) bool { return s != nil && s.Not != nil }

// schema reads a JSON Schema of an object.
func (r *reader) schema(field string, raw []byte) (*jsonschema.Schema, *jsonschema.Resolved) {
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		r.bad(field, "is no JSON Schema: %v", err)
		return nil, nil
	}
	if s.Type != "object" {
		r.bad(field, "must be of type object, with the names of its members in properties")
		return nil, nil
	}
	for name, p := range s.Properties {
		if p != nil && p.Type != "" && !slices.Contains([]string{"string", "number", "integer", "boolean", "array", "object", "null"}, p.Type) {
			r.bad(field+".properties."+name, "%q is no type of JSON Schema; use string, number, integer, boolean, array, object or null", p.Type)
		}
	}
	resolved, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		r.bad(field, "is no JSON Schema: %v", err)
		return nil, nil
	}
	return &s, resolved
}

// after reads what a step depends on.
func (r *reader) after(i int) {
	for n, id := range r.spec.Steps[i].DependsOn {
		field := fmt.Sprintf("%s.dependsOn[%d]", step(i), n)
		at, ok := r.at[string(id)]
		switch {
		case !ok:
			r.bad(field, "there is no step %q; the steps are %s", id, r.ids())
		case at == i:
			r.bad(field, "a step cannot wait for itself; remove it")
		case !slices.Contains(r.tool.Steps[i].After, at):
			r.tool.Steps[i].After = append(r.tool.Steps[i].After, at)
		}
	}
}

func (r *reader) ids() string {
	var all []string
	for _, s := range r.spec.Steps {
		all = append(all, string(s.ID))
	}
	return strings.Join(all, ", ")
}

// order finds what has ended before each step, and steps that wait for each other.
func (r *reader) order() {
	r.before = make([]map[string]bool, len(r.tool.Steps))
	var way []int
	var visit func(i int) map[string]bool
	visit = func(i int) map[string]bool {
		if r.before[i] != nil {
			return r.before[i]
		}
		if at := slices.Index(way, i); at >= 0 {
			r.cycle(way[at:])
			r.before[i] = map[string]bool{}
			return r.before[i]
		}
		way = append(way, i)
		before := map[string]bool{}
		for _, d := range r.tool.Steps[i].After {
			before[r.tool.Steps[d].ID] = true
			for id := range visit(d) {
				before[id] = true
			}
		}
		way = way[:len(way)-1]
		r.before[i] = before
		return before
	}
	for i := range r.tool.Steps {
		visit(i)
	}
}

func (r *reader) cycle(way []int) {
	var ids []string
	for _, i := range append(slices.Clone(way), way[0]) {
		ids = append(ids, r.tool.Steps[i].ID)
	}
	r.bad(step(way[0])+".dependsOn", "the steps wait for each other: %s; remove one of these", strings.Join(ids, " waits for "))
}

// step reads a step.
func (r *reader) step(i int) {
	spec, s, at := &r.spec.Steps[i], r.tool.Steps[i], step(i)
	s.Timeout = r.duration(at+".timeout", spec.Timeout, defaultStepTimeout)
	s.Condition = r.template(at+".condition", spec.Condition, i)
	if spec.DefaultResults != nil {
		if v, err := template.Decode(spec.DefaultResults.Raw); err == nil {
			s.Defaults, _ = v.(map[string]any)
		}
	}
	s.Continue = spec.OnError != nil && spec.OnError.Action == "continue"
	r.stray(i)
	switch s.Kind {
	case Ask:
		r.question(i)
	case ForEach:
		r.forEach(i)
	default:
		if spec.Tool == "" {
			r.bad(at+".tool", "is missing; name a tool, such as MEMBER.TOOL")
		}
		s.Call = r.call(at, string(spec.Tool), spec.Arguments, spec.OnError, i, nil)
	}
}

// stray finds fields that belong to steps of another kind.
func (r *reader) stray(i int) {
	s, kind := &r.spec.Steps[i], r.tool.Steps[i].Kind
	for _, f := range []struct {
		name string
		set  bool
		of   Kind
	}{
		{"tool", s.Tool != "", CallTool},
		{"arguments", s.Arguments != nil, CallTool},
		{"message", s.Message != "", Ask},
		{"schema", s.Schema != nil, Ask},
		{"onDecline", s.OnDecline != nil, Ask},
		{"onCancel", s.OnCancel != nil, Ask},
		{"collection", s.Collection != "", ForEach},
		{"itemVar", s.ItemVar != "", ForEach},
		{"maxParallel", s.MaxParallel != 0, ForEach},
		{"maxIterations", s.MaxIterations != 0, ForEach},
		{"step", s.InnerStep != nil, ForEach},
	} {
		if f.set && f.of != kind {
			r.bad(step(i)+"."+f.name, "belongs to a step of type %s, and this one is of type %s; remove it, or change type", f.of, kind)
		}
	}
	if kind != CallTool && s.OnError != nil && s.OnError.Action == "retry" {
		r.bad(step(i)+".onError.action", "a step of type %s is not repeated as a whole; use abort or continue, or for forEach put onError into step", kind)
	}
}

// call reads the call of a tool.
func (r *reader) call(at, tool string, arguments *v1alpha1.FreeForm, onError *v1alpha1.StepErrorHandling, i int, forEach []string) Call {
	c := Call{Tool: tool, arguments: map[string]any{}}
	if arguments != nil {
		if v, err := template.Decode(arguments.Raw); err == nil {
			c.arguments = compiled(v, at+".arguments",
				func(field string, t *template.Template) { r.refs(field, t, i, forEach) },
				func(field, what string) { r.bad(field, "%s", what) })
		}
	}
	if onError == nil {
		return c
	}
	retries := onError.Action == "retry"
	switch {
	case retries && onError.RetryCount < 1:
		r.bad(at+".onError.retryCount", "must be at least 1 where action is retry")
	case !retries && (onError.RetryCount != 0 || onError.RetryDelay != "" || onError.RetryUnknown):
		r.bad(at+".onError", "retryCount, retryDelay and retryUnknown belong to action retry; set it, or remove them")
	}
	if retries {
		c.Retries, c.RetryUnknown = int(onError.RetryCount), onError.RetryUnknown
		c.Pause = r.duration(at+".onError.retryDelay", onError.RetryDelay, defaultPause)
	}
	return c
}

// PauseBefore is how long to wait before a retry, the first of which is 1.
func (c *Call) PauseBefore(retry int) time.Duration {
	pause := c.Pause
	for range retry - 1 {
		pause += pause / 2
	}
	return min(pause, max(maxPause, c.Pause))
}

// question reads a step that asks the person.
func (r *reader) question(i int) {
	spec, s, at := &r.spec.Steps[i], r.tool.Steps[i], step(i)
	if spec.Message == "" {
		r.bad(at+".message", "is missing; say what the person is asked")
	}
	s.Message = r.template(at+".message", spec.Message, i)
	s.Schema = []byte(`{"type":"object","properties":{}}`)
	if spec.Schema != nil {
		s.Schema = spec.Schema.Raw
	}
	parsed, resolved := r.schema(at+".schema", s.Schema)
	if parsed != nil {
		s.answer = resolved
		for name, p := range parsed.Properties {
			if p == nil || !slices.Contains([]string{"string", "number", "integer", "boolean"}, p.Type) && !(p.Type == "array" && p.Items != nil) {
				r.bad(at+".schema.properties."+name, "must be of type string, number, integer or boolean, or an array of choices: clients ask people for nothing else")
			}
		}
	}
	respond := func(e *v1alpha1.ElicitationResponse) Response {
		if e == nil || e.Action == "" {
			return Abort
		}
		return Response(e.Action)
	}
	s.OnDecline, s.OnCancel = respond(spec.OnDecline), respond(spec.OnCancel)
}

// forEach reads a step that calls a tool with each element of a list.
func (r *reader) forEach(i int) {
	spec, s, at := &r.spec.Steps[i], r.tool.Steps[i], step(i)
	if spec.Collection == "" {
		r.bad(at+".collection", "is missing; name the list, such as {{json .steps.ID.output.list}}")
	}
	s.Collection = r.template(at+".collection", spec.Collection, i)
	s.ItemVar = cmp.Or(string(spec.ItemVar), "item")
	if s.ItemVar == "index" {
		r.bad(at+".itemVar", "index is the element's place in the list; use another name")
	}
	s.AtOnce, s.Max = int(cmp.Or(spec.MaxParallel, AtOnce)), int(cmp.Or(spec.MaxIterations, defaultMax))
	if spec.InnerStep == nil {
		r.bad(at+".step", "is missing; say which tool is called with each element")
		return
	}
	inner := spec.InnerStep
	if inner.OnError != nil && inner.OnError.Action == "continue" {
		r.bad(at+".step.onError.action", "is said by the step around it; put onError: {action: continue} there")
	}
	s.Call = r.call(at+".step", string(inner.Tool), inner.Arguments, inner.OnError, i, []string{s.ItemVar, "index"})
}
