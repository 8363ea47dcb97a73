// Package ownfile is about files that are this process's alone.
//
// It owns the lock that keeps other processes off a file, making a file so that nobody
// can have put something in its place, and the question who else could read or change
// one. It does not own what is in them. It imports nothing of this module.
package ownfile
