// Package workflow is what composite tools are: their steps, what those depend on, the
// templates in them and the schemas around them.
//
// It owns the reading of a composite tool out of a manifest and everything that is wrong
// with one whatever servers are behind it, so that it is found when configuration is
// loaded, with the field; the values that templates read; and the making of arguments and results. It
// does not own the language of templates (composite/template), which tools there are, or
// the running of steps (internal/composite).
package workflow
