// Package render makes the objects of a cluster that serve a resource: pure, and equal
// for equal input to the last byte, so that nothing is written where nothing changed.
//
// It owns their names, labels, pod templates and policies. It does not own what the
// gateway's files say (package operator hands them in), nor how objects get into a
// cluster, and it asks nobody.
package render
