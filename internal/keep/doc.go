// Package keep shares what is dear to make: what must outlive a change of
// configuration, and memory.
//
// It owns [Pool]: values counted by reference under a key, so that the old and
// the new configuration hold the same connection pool or child process while
// both exist, and it closes when nobody holds it. It does not own what the values
// are or how a key is derived. And it owns buffers for what is large and short-lived
// ([Borrow]). It imports nothing of this module.
package keep
