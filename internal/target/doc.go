// Package target is what the pipeline has behind an endpoint of one server; several as
// one are in internal/virtual.
//
// A [Target] owns how answers come to say what clients call things, and what of a
// session has to be presented with its next call. Names are left alone but for renamed
// tools.
//
// It does not own a server's credential, health or revision (internal/upstream), nor
// who may call what (internal/pipeline): policy judges what Resolve says.
package target
