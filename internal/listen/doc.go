// Package listen is what the gateway's HTTP servers listen with.
//
// It owns how many clients may be connected, so that files stay free for who looks
// after the process, who has to give way when there are too many, and what of
// net/http's own log is worth an operator's attention. It does not own addresses, TLS or
// what is served.
package listen
