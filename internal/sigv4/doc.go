// Package sigv4 signs HTTP requests as Amazon Web Services wants it (AWS Signature
// Version 4, with the signature in the Authorization header).
//
// It owns the canonical form of a request and the signature. It does not own where
// the keys come from, nor the sending.
package sigv4
