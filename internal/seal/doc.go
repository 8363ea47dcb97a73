// Package seal turns bytes into a string that only the gateway can read or make.
//
// It owns the encryption of what clients carry about for the gateway, such as a
// session id, and the ring of keys for it: the first seals, all of them open, so
// that keys can be changed while old strings are still about. It does not own
// what is inside, who may present it, or when it expires: the sealed bytes say
// that. It imports nothing of this module.
package seal
