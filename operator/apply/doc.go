// Package apply writes the objects of a resource into a cluster, by server-side apply: those
// that differ from what is there, and no others; and deletes those that are needed no more.
// Nobody else's object is taken over.
//
// It does not own which objects there should be (operator/render), nor when (operator).
package apply
