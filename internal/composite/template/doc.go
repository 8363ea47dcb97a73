// Package template reads the templates of composite tools: text with expressions in
// {{ }}, in the part of Go's text/template that ToolHive's documentation of composite
// tools uses.
//
// It owns the language: which expressions there are, what they mean, how large what
// they make may be, and which fields a template reads, so that a reference to nothing is
// found when configuration is loaded. It does not own what the fields are (composite/workflow), and
// runs nothing but its own few functions: every template ends, in time and memory that
// grow with what it is given.
//
// Two things differ from Go's. A field that is not there is an error that says so,
// where Go writes "<no value>", and false as a condition. Objects and lists in a text are JSON.
package template
