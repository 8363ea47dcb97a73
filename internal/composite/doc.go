// Package composite serves tools that are made of steps, beside those of a virtual
// server.
//
// It is a target around a target. It owns the running of steps: what runs side by side,
// what is tried again and what never is, what is asked of the person and how the answer
// comes back, the time limits, and what is returned. Each call in a step is admitted by
// the pipeline as if the caller had made it ([upstream.Call.Part]); nothing here decides
// who may do what.
//
// It does not own what a composite tool is (composite/workflow) or how members are reached
// (internal/virtual).
package composite
