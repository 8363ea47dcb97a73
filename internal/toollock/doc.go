// Package toollock holds tools to what they were when somebody looked at them: a model
// reads what a server says of its tools, and a server may say something else tomorrow.
//
// It owns the lock file, one line a tool, and what tells a tool from what it was:
// name, title, description, schemas and annotations, whatever order and spacing their
// JSON has.
//
// It does not own where the tools come from or what becomes of one that has changed
// (internal/upstream), nor the manifests that a lock stands in (internal/compile/plan).
package toollock
