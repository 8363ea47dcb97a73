package workflow

import (
	"encoding/json"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/template"
)

// Tool is a composite tool. It is immutable.
type Tool struct {
	Name, Description string
	Parameters        []byte // JSON Schema of the arguments
	OutputSchema      []byte // of the result; nil where that is what a step returned
	Annotations       v1alpha1.ToolAnnotations
	Timeout           time.Duration
	Steps             []*Step

	arguments  *jsonschema.Resolved
	defaults   map[string]any
	properties map[string]property // of the result
	required   []string
}

// Kind is what a step does.
type Kind string

// The kinds of steps, by their names in manifests.
const (
	CallTool Kind = "tool"
	Ask      Kind = "elicitation"
	ForEach  Kind = "forEach"
)

// Step is one step of a tool.
type Step struct {
	ID        string
	Kind      Kind
	Call      Call               // of a tool; of ForEach, for each element
	Condition *template.Template // nil for always
	After     []int              // the steps that have to end before
	Timeout   time.Duration
	Continue  bool           // the others go on where this one fails
	Defaults  map[string]any // its output then, or where it is skipped

	Message             *template.Template // of a question
	Schema              []byte             // of its answer
	OnDecline, OnCancel Response
	answer              *jsonschema.Resolved

	Collection  *template.Template
	ItemVar     string
	AtOnce, Max int
}

// Call is the call of a tool.
type Call struct {
	Tool         string // as the manifest has it
	Retries      int
	Pause        time.Duration // before the first retry
	RetryUnknown bool          // also where it may have been carried out

	arguments any // with templates in place of texts that are some
}

// Response is what happens where a person does not agree.
type Response string

// The responses, by their names in manifests.
const (
	Abort         Response = "abort"
	SkipRemaining Response = "skip_remaining"
	Continue      Response = "continue"
)

// The limits of what manifests say.
const (
	DefaultTimeout     = 30 * time.Minute
	defaultStepTimeout = 5 * time.Minute
	maxTimeout         = 24 * time.Hour
	defaultPause       = time.Second
	maxPause           = time.Minute
	AtOnce             = 10 // steps of one call, and elements of one list
	defaultMax         = 100
)

// Status is how a step stands, by its name in templates.
type Status string

// The states of steps that others can see.
const (
	Completed Status = "completed"
	Failed    Status = "failed"
	Skipped   Status = "skipped"
)

// Result is what came of a step.
type Result struct {
	Status  Status
	Output  map[string]any
	Content map[string]any // texts and other content of a tool's answer
	Error   string
}

// Data is what the templates of a tool read.
type Data struct {
	Params   map[string]any
	Results  map[string]Result // by step
	Workflow map[string]any
}

// values are the data as templates read them. forEach is that of one element; nil for
// none.
func (d *Data) values(forEach map[string]any) map[string]any {
	steps := make(map[string]any, len(d.Results))
	for id, r := range d.Results {
		step := map[string]any{"status": string(r.Status), "output": r.Output, "content": r.Content}
		if r.Error != "" {
			step["error"] = r.Error
		}
		steps[id] = step
	}
	all := map[string]any{"params": d.Params, "steps": steps, "workflow": d.Workflow}
	if forEach != nil {
		all["forEach"] = forEach
	}
	return all
}

// Text is a template's text.
func (d *Data) Text(t *template.Template) (string, error) { return t.Text(d.values(nil)) }

// True reports whether a condition says so.
func (d *Data) True(t *template.Template) (bool, error) { return t.True(d.values(nil)) }

// Elements are those of the list that a step of kind ForEach goes through.
func (d *Data) Elements(s *Step) ([]any, error) {
	v, err := s.Collection.Value(d.values(nil))
	if err != nil {
		return nil, err
	}
	if text, ok := v.(string); ok {
		if v, err = template.Decode([]byte(text)); err != nil {
			v = nil
		}
	}
	list, ok := v.([]any)
	if !ok {
		return nil, errNoList
	}
	if len(list) > s.Max {
		return nil, tooMany(len(list), s.Max)
	}
	return list, nil
}

// Arguments are those of a call, as the tool's schema wants them. forEach is the element
// that it is about; nil for none.
func (d *Data) Arguments(c *Call, schema []byte, forEach map[string]any) ([]byte, error) {
	v, err := expand(c.arguments, d.values(forEach))
	if err != nil {
		return nil, err
	}
	var wanted map[string]any
	_ = json.Unmarshal(schema, &wanted) // what is no schema wants nothing
	return json.Marshal(fit(v, wanted, 0))
}
