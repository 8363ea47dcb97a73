// Package text says a plan in words, as a person would read it: what check -o plan prints,
// resource by resource, and what the console says of doors, policies and what servers are
// shown. Secrets are of a type that is not printed.
//
// It does not own what manifests mean (internal/compile/plan), and decides nothing.
package text
