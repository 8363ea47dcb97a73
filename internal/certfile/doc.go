// Package certfile is the TLS of a listener whose certificate, key and client
// authorities are files that are renewed while it serves.
//
// It owns reading the files, noticing that they changed, and keeping the last good
// ones when the new ones are broken. It does not own the listener, nor who a
// client's certificate is (internal/authn).
package certfile
