// Package keep shares what is dear to make: what must outlive a change of
// configuration, and memory.
//
// It owns [Pool]: values counted by reference under a key, so that the old and
// the new configuration hold the same connection pool or child process while
// both exist, and it closes when nobody holds it. [Key] derives keys of settings.
// By [Flights] a value is made once for all who want it at the same time; [Cache]
// remembers what was found out about something, within bounds, and [Recent] what was last
// done. By [Patience] many wait for something with one timer. And it owns buffers for
// what is large and short-lived ([Borrow]), and bounds of what comes from outside
// ([Budget]). It does not own what the values are. It imports nothing of this module.
package keep
