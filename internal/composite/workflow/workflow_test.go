package workflow_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
)

// read reads a composite tool as manifests have it.
func read(t *testing.T, text string) (*workflow.Tool, []string) {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var object map[string]any
	if err := utiljson.Unmarshal(raw, &object); err != nil { // with whole numbers as they are
		t.Fatalf("%v: %s", err, text)
	}
	var spec v1alpha1.CompositeTool
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &spec); err != nil {
		t.Fatal(err)
	}
	tool, problems := workflow.Read(&spec)
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Field+": "+p.Text)
	}
	return tool, texts
}

// Every rule, broken once. Each problem names the field, what is wrong, and what to do.
func TestProblems(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`steps: [{id: a, tool: x.y}, {id: a, tool: x.y}]`: `steps[1].id: "a" is the id of steps[0] too; give each step its own`,
		`steps: [{id: a, tool: x.y, dependsOn: [b]}]`:     `steps[0].dependsOn[0]: there is no step "b"; the steps are a`,
		`steps: [{id: a, tool: x.y, dependsOn: [a]}]`:     `steps[0].dependsOn[0]: a step cannot wait for itself; remove it`,
		`steps: [{id: a, tool: x.y, dependsOn: [c]}, {id: b, tool: x.y, dependsOn: [a]}, {id: c, tool: x.y, dependsOn: [b]}]`:                                           `steps[0].dependsOn: the steps wait for each other: a waits for c waits for b waits for a; remove one of these`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.steps.b.output.text}}"}}]`:                                                                                       `steps[0].arguments.q: reads .steps.b, and there is no such step; the steps are a`,
		`steps: [{id: a, tool: x.y}, {id: b, tool: x.y, arguments: {q: ["{{.steps.a.output.text}}"]}}]`:                                                                 `steps[1].arguments.q[0]: reads the result of step a and may run before it; add a to dependsOn`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.steps.a.output.text}}"}}]`:                                                                                       `steps[0].arguments.q: reads the result of its own step`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{json .steps}}"}}]`:                                                                                                `steps[0].arguments.q: reads .steps as a whole; name the step, as in .steps.ID.output`,
		`steps: [{id: a, tool: x.y}, {id: b, tool: x.y, dependsOn: [a], condition: "{{.steps.a.result}}"}]`:                                                             `steps[1].condition: reads .steps.a.result; a step has output, status, error, content`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.params.z}}"}}]`:                                                                                                  `steps[0].arguments.q: reads .params.z, and parameters has no property z; add it there`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.vars.z}}"}}]`:                                                                                                    `steps[0].arguments.q: reads .vars, which nothing sets; use .params or .steps`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.timestamp}}"}}]`:                                                                                                 `steps[0].arguments.q: reads .timestamp, which there is none of; use .workflow.start_time`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.env.z}}"}}]`:                                                                                                     `steps[0].arguments.q: reads .env; templates have .params, .steps, .forEach and .workflow`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.forEach.item}}"}}]`:                                                                                              `steps[0].arguments.q: reads .forEach, which only the arguments of the step in a forEach step have`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{.workflow.name}}"}}]`:                                                                                             `steps[0].arguments.q: reads .workflow.name; there are id, step_count, start_time, duration_ms, status`,
		`steps: [{id: a, tool: x.y, arguments: {q: "{{upper .params}}"}}]`:                                                                                              `steps[0].arguments.q: in {{upper .params}}: there is no function upper`,
		`steps: [{id: a, tool: x.y, condition: "{{range .params}}{{end}}"}]`:                                                                                            `steps[0].condition: in {{range .params}}: range is not supported; repeat a call with a step of type forEach`,
		`steps: [{id: a, tool: x.y, condition: "{{true}}"}, {id: b, tool: x.y, dependsOn: [a], arguments: {q: "{{.steps.a.output.n}}"}}]`:                               `steps[1].arguments.q: reads .steps.a.output.n, and that step may be skipped; add n to its defaultResults`,
		`{steps: [{id: a, tool: x.y, onError: {action: continue}, defaultResults: {m: 1}}], output: {properties: {q: {type: string, value: "{{.steps.a.output.n}}"}}}}`: `output.properties.q.value: reads .steps.a.output.n, and that step may fail; add n to its defaultResults`,
		`steps: [{id: a}]`:                                                          `steps[0].tool: is missing; name a tool, such as MEMBER.TOOL`,
		`steps: [{id: a, tool: x.y, message: hm}]`:                                  `steps[0].message: belongs to a step of type elicitation, and this one is of type tool; remove it, or change type`,
		`steps: [{id: a, type: elicitation, message: hm, tool: x.y}]`:               `steps[0].tool: belongs to a step of type tool, and this one is of type elicitation; remove it, or change type`,
		`steps: [{id: a, type: elicitation}]`:                                       `steps[0].message: is missing; say what the person is asked`,
		`steps: [{id: a, type: elicitation, message: hm, schema: {type: boolean}}]`: `steps[0].schema: must be of type object, with the names of its members in properties`,
		`steps: [{id: a, type: elicitation, message: hm, schema: {type: object, properties: {o: {type: object}}}}]`:          `steps[0].schema.properties.o: must be of type string, number, integer or boolean`,
		`steps: [{id: a, type: elicitation, message: hm, onError: {action: retry}}]`:                                         `steps[0].onError.action: a step of type elicitation is not repeated as a whole`,
		`steps: [{id: a, type: forEach, step: {tool: x.y}}]`:                                                                 `steps[0].collection: is missing; name the list`,
		`steps: [{id: a, type: forEach, collection: "[]"}]`:                                                                  `steps[0].step: is missing; say which tool is called with each element`,
		`steps: [{id: a, type: forEach, collection: "[]", itemVar: index, step: {tool: x.y}}]`:                               `steps[0].itemVar: index is the element's place in the list; use another name`,
		`steps: [{id: a, type: forEach, collection: "[]", step: {tool: x.y, arguments: {q: "{{.forEach.it}}"}}}]`:            `steps[0].step.arguments.q: reads .forEach.it; there are .forEach.item and .forEach.index`,
		`steps: [{id: a, type: forEach, collection: "[]", step: {tool: x.y, onError: {action: continue}}}]`:                  `steps[0].step.onError.action: is said by the step around it`,
		`steps: [{id: a, tool: x.y, onError: {action: retry}}]`:                                                              `steps[0].onError.retryCount: must be at least 1 where action is retry`,
		`steps: [{id: a, tool: x.y, onError: {retryCount: 1}}]`:                                                              `steps[0].onError: retryCount, retryDelay and retryUnknown belong to action retry; set it, or remove them`,
		`steps: [{id: a, tool: x.y, timeout: 0s}]`:                                                                           `steps[0].timeout: must be more than 0 and at most 24h0m0s`,
		`{timeout: 25h, steps: [{id: a, tool: x.y}]}`:                                                                        `timeout: must be more than 0 and at most 24h0m0s`,
		`{parameters: {type: string}, steps: [{id: a, tool: x.y}]}`:                                                          `parameters: must be of type object`,
		`{parameters: {type: object, properties: {a: {type: text}}}, steps: [{id: a, tool: x.y}]}`:                           `parameters.properties.a: "text" is no type of JSON Schema; use string, number, integer, boolean, array, object or null`,
		`{parameters: {type: object, properties: {a: {type: integer, default: x}}}, steps: [{id: a, tool: x.y}]}`:            `parameters: is no JSON Schema: `,
		`{parameters: {type: object, properties: {a: {$ref: "https://example.com/s"}}}, steps: [{id: a, tool: x.y}]}`:        `parameters: is no JSON Schema: `,
		`{steps: [{id: a, tool: x.y}], output: {properties: {q: {type: string}}}}`:                                           `output.properties.q: has to have value, or properties where it is an object, and not both`,
		`{steps: [{id: a, tool: x.y}], output: {properties: {q: {type: string, properties: {}}}}}`:                           `output.properties.q.properties: belongs to type object; set value`,
		`{steps: [{id: a, tool: x.y}], output: {properties: {q: {type: object, properties: {r: {type: string, valu: x}}}}}}`: `output.properties.q.properties: cannot be read: json: unknown field "valu"`,
		`{steps: [{id: a, tool: x.y}], output: {properties: {q: {type: integer, value: "1", default: x}}}}`:                  `output.properties.q.default: must be of type integer`,
		`{steps: [{id: a, tool: x.y}], output: {properties: {q: {type: string, value: x}}, required: [r]}}`:                  `output.required[0]: there is no property "r" in output.properties`,
	} {
		_, problems := read(t, "name: t\ndescription: d\n"+flat(spec))
		if len(problems) != 1 || !strings.HasPrefix(problems[0], want) {
			t.Errorf("%s\n got %q\nwant %q", spec, problems, want)
		}
	}
}

// flat makes the members of an object those of a document.
func flat(spec string) string {
	if !strings.HasPrefix(spec, "{") {
		return spec
	}
	var object map[string]any
	_ = yaml.Unmarshal([]byte(spec), &object)
	text, _ := yaml.Marshal(object)
	return string(text)
}

const all = `
name: t
description: d
parameters: {type: object, properties: {num: {type: integer, default: 9007199254740993}, s: {type: string}, o: {type: object}}}
steps:
  - id: a
    tool: x.y
    arguments:
      big: "{{.params.num}}"
      text: "{{.params.num}}"
      left: "{{.params.s}}"
      mixed: "n is {{.params.num}}"
      list: ["{{.params.num}}", 1.5, {deep: "{{.params.o}}"}]
      flag: "{{eq 1 1}}"
      parsed: '{"a": 1}'
      plain: 12345678901234567890
  - {id: b, type: elicitation, message: m, schema: {type: object, properties: {fine: {type: boolean}}, required: [fine]}, dependsOn: [a]}
`

func TestArguments(t *testing.T) {
	t.Parallel()
	tool, problems := read(t, all)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	params, err := tool.Params([]byte(`{"o": {"k": [1, "x"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	schema := []byte(`{"type":"object","properties":{"text":{"type":"string"},"parsed":{"type":"object"},"flag":{"type":"string"},"list":{"type":"array","items":{"type":"string"}}}}`)
	raw, err := (&workflow.Data{Params: params}).Arguments(&tool.Steps[0].Call, schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"big":9007199254740993,"flag":"true","list":["9007199254740993","1.5","{\"deep\":{\"k\":[1,\"x\"]}}"],"mixed":"n is 9007199254740993",` +
		`"parsed":{"a":1},"plain":12345678901234567000,"text":"9007199254740993"}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for given, want := range map[string]string{`{"num": "1"}`: "num", `[]`: "arguments is no object", `{"s": 1}`: "s"} {
		if _, err := tool.Params([]byte(given)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is taken, or refused as %v", given, err)
		}
	}
	if tool.Steps[0].Call.PauseBefore(1) != 0 {
		t.Error("a step without retries has a pause")
	}
	for given, ok := range map[string]bool{`{"fine": true}`: true, `{}`: false, `{"fine": "true"}`: false, `[]`: false} {
		if _, err := tool.Steps[1].Answer([]byte(given)); (err == nil) != ok {
			t.Errorf("the answer %s: %v", given, err)
		}
	}
}

// What a tool returns is valid by the schema that clients are told.
func TestOutput(t *testing.T) {
	t.Parallel()
	tool, problems := read(t, `
name: t
description: d
parameters: {type: object, properties: {v: {}}}
steps: [{id: a, tool: x.y}]
output:
  properties:
    s: {type: string, description: a text, value: "{{.params.v}}"}
    i: {type: integer, value: "{{.params.v}}", default: 7}
    num: {type: number, value: "{{.params.v}}", default: 0.5}
    b: {type: boolean, value: "{{.params.v}}", default: false}
    l: {type: array, value: "{{json .params.v}}", default: []}
    o: {type: object, properties: {inner: {type: string, value: "x{{.params.v}}"}}}
  required: [s]
`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const schema = `{"properties":{"b":{"type":"boolean"},"i":{"type":"integer"},"l":{"type":"array"},"num":{"type":"number"},` +
		`"o":{"properties":{"inner":{"type":"string"}},"type":"object"},"s":{"description":"a text","type":"string"}},"required":["s"],"type":"object"}`
	if diff := cmp.Diff(schema, string(tool.OutputSchema)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for given, want := range map[string]string{
		`{"v": 12}`:      `{"b":false,"i":12,"l":[],"num":12,"o":{"inner":"x12"},"s":"12"}`,
		`{"v": "1.25"}`:  `{"b":false,"i":7,"l":[],"num":1.25,"o":{"inner":"x1.25"},"s":"1.25"}`,
		`{"v": "1"}`:     `{"b":true,"i":1,"l":[],"num":1,"o":{"inner":"x1"},"s":"1"}`,
		`{"v": true}`:    `{"b":true,"i":7,"l":[],"num":0.5,"o":{"inner":"xtrue"},"s":"true"}`,
		`{"v": [1, {}]}`: `{"b":false,"i":7,"l":[1,{}],"num":0.5,"o":{"inner":"x[1,{}]"},"s":"[1,{}]"}`,
		`{"v": null}`:    "output.properties.s has no value, and is required",
		`{}`:             "output.properties.s has no value, and is required",
	} {
		params, err := tool.Params([]byte(given))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := tool.Result(&workflow.Data{Params: params})
		got := string(raw)
		if err != nil {
			got = err.Error()
		} else if !json.Valid(raw) {
			t.Errorf("%s is no JSON", raw)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", given, diff)
		}
	}
}
