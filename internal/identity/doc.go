// Package identity is the caller as every later step of a request sees it.
//
// It owns the one value that says who is calling and how that is known. It does
// not own how a caller is recognised (the steps of package gateway that identify),
// nor what the caller may do. It imports nothing of this module.
package identity
