package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/template"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file reads templates, and finds what they read that is not there.

const ofOutput = -1 // in place of a step: the template is of the tool's output

// template reads a template of a step; nil where there is none.
func (r *reader) template(field string, text v1alpha1.Template, i int) *template.Template {
	if text == "" {
		return nil
	}
	t, err := template.Parse(string(text))
	if err != nil {
		r.bad(field, "%s", err)
		return nil
	}
	r.refs(field, t, i, nil)
	return t
}

// refs checks what a template reads. forEach are the names of an element; nil outside of
// one.
func (r *reader) refs(field string, t *template.Template, i int, forEach []string) {
	for _, path := range t.Refs() {
		switch path[0] {
		case "params":
			if len(path) > 1 && r.params != nil && !r.params[path[1]] {
				r.bad(field, "reads .params.%s, and parameters has no property %s; add it there", path[1], path[1])
			}
		case "steps":
			r.stepRef(field, path, i)
		case "forEach":
			if forEach == nil {
				r.bad(field, "reads .forEach, which only the arguments of the step in a forEach step have")
			} else if len(path) > 1 && !slices.Contains(forEach, path[1]) {
				r.bad(field, "reads .forEach.%s; there are .forEach.%s and .forEach.index", path[1], forEach[0])
			}
		case "workflow":
			if known := []string{"id", "step_count", "start_time", "duration_ms", "status"}; len(path) > 1 && !slices.Contains(known, path[1]) {
				r.bad(field, "reads .workflow.%s; there are %s", path[1], strings.Join(known, ", "))
			}
		case "vars":
			r.bad(field, "reads .vars, which nothing sets; use .params or .steps")
		case "timestamp":
			r.bad(field, "reads .timestamp, which there is none of; use .workflow.start_time")
		default:
			r.bad(field, "reads .%s; templates have .params, .steps, .forEach and .workflow", path[0])
		}
	}
}

// outputs are the members that the outputs of some kinds of steps have.
var outputs = map[Kind][]string{
	Ask:     {"action", "content"},
	ForEach: {"iterations", "count", "completed", "failed"},
}

// stepRef checks what a template reads of a step.
func (r *reader) stepRef(field string, path []string, i int) {
	if len(path) == 1 {
		r.bad(field, "reads .steps as a whole; name the step, as in .steps.ID.output")
		return
	}
	id := path[1]
	at, ok := r.at[id]
	switch {
	case !ok:
		r.bad(field, "reads .steps.%s, and there is no such step; the steps are %s", id, r.ids())
		return
	case at == i:
		r.bad(field, "reads the result of its own step")
		return
	case i != ofOutput && !r.before[i][id]:
		r.bad(field, "reads the result of step %s and may run before it; add %s to dependsOn", id, id)
		return
	case len(path) == 2:
		return
	}
	kind := r.tool.Steps[at].Kind
	switch known := []string{"output", "status", "error", "content"}; {
	case !slices.Contains(known, path[2]):
		r.bad(field, "reads .steps.%s.%s; a step has %s", id, path[2], strings.Join(known, ", "))
	case path[2] != "output" || len(path) == 3:
	case outputs[kind] != nil && !slices.Contains(outputs[kind], path[3]):
		r.bad(field, "reads .steps.%s.output.%s; a step of type %s has %s there", id, path[3], kind, strings.Join(outputs[kind], ", "))
	default:
		r.mayLack(field, id, path[3], &r.spec.Steps[at])
	}
}

// mayLack finds a result that is not there where its step is skipped, or has failed.
func (r *reader) mayLack(field, id, name string, of *v1alpha1.CompositeStep) {
	var why string
	switch {
	case of.Condition != "":
		why = "may be skipped"
	case of.OnError != nil && of.OnError.Action == "continue" && of.Type != string(ForEach):
		why = "may fail"
	default:
		return
	}
	if of.DefaultResults == nil || mcp.Path(of.DefaultResults.Raw, name) == nil {
		r.bad(field, "reads .steps.%s.output.%s, and that step %s; add %s to its defaultResults", id, name, why, name)
	}
}

const maxOutputDepth = 8

// output reads what the tool returns.
func (r *reader) output() {
	out := r.spec.Output
	if out == nil {
		return
	}
	schema := map[string]any{"type": "object"}
	r.tool.properties, schema["properties"] = r.properties("output.properties", out.Properties, 0)
	for i, name := range out.Required {
		if _, ok := out.Properties[string(name)]; !ok {
			r.bad(fmt.Sprintf("output.required[%d]", i), "there is no property %q in output.properties", name)
		}
		r.tool.required = append(r.tool.required, string(name))
	}
	if r.tool.required != nil {
		schema["required"] = r.tool.required
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		r.bad("output", "cannot be written as a JSON Schema: %v", err)
	}
	r.tool.OutputSchema = raw
}

func (r *reader) properties(at string, all map[string]v1alpha1.OutputProperty, depth int) (map[string]property, map[string]any) {
	made, schemas := map[string]property{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		field, of := at+"."+name, all[name]
		p, schema := property{kind: of.Type}, map[string]any{"type": of.Type}
		if of.Description != "" {
			schema["description"] = of.Description
		}
		switch {
		case (of.Value == "") == (of.Properties == nil):
			r.bad(field, "has to have value, or properties where it is an object, and not both")
		case of.Properties != nil && of.Type != "object":
			r.bad(field+".properties", "belongs to type object; set value")
		case of.Properties != nil && depth == maxOutputDepth:
			r.bad(field+".properties", "objects are nested deeper than %d; make a text of some with json", maxOutputDepth)
		case of.Properties != nil:
			inner, err := nested(of.Properties.Raw)
			if err != nil {
				r.bad(field+".properties", "cannot be read: %v", err)
			}
			p.members, schema["properties"] = r.properties(field+".properties", inner, depth+1)
		default:
			p.value = r.template(field+".value", of.Value, ofOutput)
		}
		if of.Default != nil {
			p.fallback, p.falls = r.fallback(field+".default", of.Default.Raw, of.Type)
		}
		made[name], schemas[name] = p, schema
	}
	return made, schemas
}

// nested reads the properties of an object, which the schema of the resource leaves
// alone, as strictly as those around it.
func nested(raw []byte) (all map[string]v1alpha1.OutputProperty, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	for name, p := range all {
		if !slices.Contains([]string{"string", "integer", "number", "boolean", "object", "array"}, p.Type) {
			return nil, fmt.Errorf("the type of %s is none of string, integer, number, boolean, object, array", name)
		}
	}
	return all, nil
}

func (r *reader) fallback(field string, raw []byte, kind string) (any, bool) {
	v, err := template.Decode(raw)
	if err == nil && v != nil {
		v, err = convert(v, kind)
	}
	if err != nil {
		r.bad(field, "must be of type %s: %v", kind, err)
	}
	return v, v != nil
}
