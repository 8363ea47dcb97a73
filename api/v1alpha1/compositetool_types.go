package v1alpha1

import (
	"bytes"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VirtualMCPCompositeToolDefinition is a tool made of steps that call other tools. Virtual
// servers serve it that name it in config.compositeToolRefs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=vmcpctd;compositetool,categories=sallyport
// +kubebuilder:printcolumn:name="Tool",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VirtualMCPCompositeToolDefinition struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CompositeTool `json:"spec"`
	// +optional
	Status VirtualMCPCompositeToolDefinitionStatus `json:"status,omitempty"`
}

// VirtualMCPCompositeToolDefinitionStatus is what the operator saw.
type VirtualMCPCompositeToolDefinitionStatus struct {
	ConfigStatus `json:",inline"`
}

// VirtualMCPCompositeToolDefinitionList is a list of VirtualMCPCompositeToolDefinition.
//
// +kubebuilder:object:root=true
type VirtualMCPCompositeToolDefinitionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VirtualMCPCompositeToolDefinition `json:"items"`
}

// CompositeTool is a tool made of steps.
type CompositeTool struct {
	// Name is what clients call the tool.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$`
	Name string `json:"name"`
	// Description says what the tool does, to whoever chooses among tools.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Description string `json:"description"`
	// Parameters is the JSON Schema of the tool's arguments, of type object. An argument
	// that is left out has its default.
	// +optional
	Parameters *FreeForm `json:"parameters,omitempty"`
	// Timeout is how long all steps together may take, people's answers included; by
	// default 30m.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
	// Steps are what the tool does. Those that do not depend on each other run side by
	// side, ten at a time at most.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	Steps []CompositeStep `json:"steps"`
	// Output says what the tool returns. By default, what the last step returned.
	// +optional
	Output *CompositeOutput `json:"output,omitempty"`
	// Annotations are hints about the tool. Those that are left out are derived from the
	// tools of the steps, and none makes the tool look safer than those are.
	// +optional
	Annotations *ToolAnnotations `json:"annotations,omitempty"`
}

// CompositeToolRef names a VirtualMCPCompositeToolDefinition.
type CompositeToolRef struct {
	// Name of the VirtualMCPCompositeToolDefinition in the same namespace.
	Name ObjectName `json:"name"`
}

// StepID is the name of a step.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^[a-zA-Z_][a-zA-Z0-9_]*$`
type StepID string

// Template is text with expressions in it, such as {{.params.name}} or
// {{.steps.find.output.text}}.
//
// +kubebuilder:validation:MaxLength=16384
type Template string

// CompositeStep is a step of a composite tool.
type CompositeStep struct {
	// ID is what the templates of other steps call it.
	ID StepID `json:"id"`
	// Type is tool for the call of a tool, elicitation for a question to the person, or
	// forEach for a call of a tool with each element of a list.
	// +kubebuilder:validation:Enum=tool;elicitation;forEach
	// +kubebuilder:default=tool
	// +optional
	Type string `json:"type,omitempty"`
	// Tool is what a step of type tool calls: MEMBER.TOOL by the member's own name of the
	// tool, or the name that clients see.
	// +optional
	Tool ToolName `json:"tool,omitempty"`
	// Arguments are the tool's. Texts in them are templates.
	// +optional
	Arguments *FreeForm `json:"arguments,omitempty"`
	// Condition is a template that says true where the step is to run, and false where it
	// is to be skipped.
	// +optional
	Condition Template `json:"condition,omitempty"`
	// DependsOn are the steps that have to end before.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	DependsOn []StepID `json:"dependsOn,omitempty"`
	// OnError says what becomes of the others where the step fails.
	// +optional
	OnError *StepErrorHandling `json:"onError,omitempty"`
	// Message is what a step of type elicitation asks, a template.
	// +optional
	Message Template `json:"message,omitempty"`
	// Schema is the JSON Schema of the answer: an object with properties that are texts,
	// numbers, booleans or choices.
	// +optional
	Schema *FreeForm `json:"schema,omitempty"`
	// Timeout is how long the step may take; by default 5m.
	// +optional
	Timeout Duration `json:"timeout,omitempty"`
	// OnDecline says what happens where the person says no.
	// +optional
	OnDecline *ElicitationResponse `json:"onDecline,omitempty"`
	// OnCancel says what happens where the person does not answer.
	// +optional
	OnCancel *ElicitationResponse `json:"onCancel,omitempty"`
	// DefaultResults are the step's output where it is skipped, or has failed and the
	// others go on.
	// +optional
	DefaultResults *FreeForm `json:"defaultResults,omitempty"`
	// Collection is the list of a step of type forEach, a template that says a JSON array.
	// +optional
	Collection Template `json:"collection,omitempty"`
	// ItemVar is what the templates of step call an element, behind .forEach; by default
	// item.
	// +optional
	ItemVar StepID `json:"itemVar,omitempty"`
	// MaxParallel is how many elements are worked on at a time; by default 10.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=50
	// +optional
	MaxParallel int32 `json:"maxParallel,omitempty"`
	// MaxIterations is how many elements the list may have; by default 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	MaxIterations int32 `json:"maxIterations,omitempty"`
	// InnerStep is what is done with each element.
	// +optional
	InnerStep *InnerStep `json:"step,omitempty"`
}

// InnerStep is the call of a tool with one element of a list.
type InnerStep struct {
	// Type is tool.
	// +kubebuilder:validation:Enum=tool
	// +kubebuilder:default=tool
	// +optional
	Type string `json:"type,omitempty"`
	// Tool is what is called.
	Tool ToolName `json:"tool"`
	// Arguments are the tool's. Texts in them are templates, which know the element as
	// .forEach.item and its place in the list as .forEach.index.
	// +optional
	Arguments *FreeForm `json:"arguments,omitempty"`
	// OnError of action retry calls the tool again.
	// +optional
	OnError *StepErrorHandling `json:"onError,omitempty"`
}

// StepErrorHandling says what becomes of a composite tool where a step fails.
type StepErrorHandling struct {
	// Action is abort to end the whole tool, continue to go on with defaultResults as the
	// step's output, or retry to try again and then abort.
	// +kubebuilder:validation:Enum=abort;continue;retry
	// +kubebuilder:default=abort
	// +optional
	Action string `json:"action,omitempty"`
	// RetryCount is how often a step is tried again.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	// +optional
	RetryCount int32 `json:"retryCount,omitempty"`
	// RetryDelay is the pause before the first new try, by default 1s. Each further one is
	// longer by half.
	// +optional
	RetryDelay Duration `json:"retryDelay,omitempty"`
	// RetryUnknown tries again, too, where the call may have been carried out: it ran into
	// a timeout, or its answer broke off. Without it only calls are repeated that
	// answered with an error or were never sent, and those of tools that are read-only or
	// idempotent by their hints.
	// +kubebuilder:default=false
	// +optional
	RetryUnknown bool `json:"retryUnknown,omitempty"`
}

// ElicitationResponse says what happens where a person does not agree.
type ElicitationResponse struct {
	// Action is abort to end the whole tool, skip_remaining to run no further step and
	// return what there is, or continue.
	// +kubebuilder:validation:Enum=skip_remaining;abort;continue
	// +kubebuilder:default=abort
	// +optional
	Action string `json:"action,omitempty"`
}

// CompositeOutput is what a composite tool returns.
type CompositeOutput struct {
	// Properties are the members of the result, by name.
	// +kubebuilder:validation:MaxProperties=100
	Properties map[string]OutputProperty `json:"properties"`
	// Required are members that the result has to have; without one the tool fails.
	// +kubebuilder:validation:MaxItems=100
	// +listType=set
	// +optional
	Required []PropertyName `json:"required,omitempty"`
}

// PropertyName is the name of a member of a JSON object.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
type PropertyName string

// OutputProperty is a member of what a composite tool returns.
type OutputProperty struct {
	// Type is that of JSON Schema.
	// +kubebuilder:validation:Enum=string;integer;number;boolean;object;array
	Type string `json:"type"`
	// Description says what it is.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Description string `json:"description,omitempty"`
	// Value is a template of the value: of an object or array, as JSON.
	// +optional
	Value Template `json:"value,omitempty"`
	// Properties are the members of an object, as properties around it, in place of value.
	// +optional
	Properties *FreeForm `json:"properties,omitempty"`
	// Default is the value where the template has none, or not one of this type.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Default *FreeForm `json:"default,omitempty"`
}

// Duration is a length of time, like 500ms or 1h30m.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`
type Duration string

// Length is how long it is; 0 for one that validation would have refused.
func (d Duration) Length() time.Duration {
	parsed, err := time.ParseDuration(string(d))
	if err != nil {
		return 0
	}
	return parsed
}

// FreeForm is JSON that the schema leaves alone, such as the arguments of a tool.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type FreeForm struct {
	Raw []byte `json:"-"`
}

// MarshalJSON implements the interface of encoding/json.
func (f FreeForm) MarshalJSON() ([]byte, error) {
	if f.Raw == nil {
		return []byte("null"), nil
	}
	return f.Raw, nil
}

// UnmarshalJSON implements the interface of encoding/json.
func (f *FreeForm) UnmarshalJSON(raw []byte) error {
	f.Raw = bytes.Clone(raw)
	return nil
}
