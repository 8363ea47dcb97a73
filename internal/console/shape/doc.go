// Package shape says what may be told of a credential without a character that is its own.
//
// It owns which headers are shown as they are, what is told of all others, and how what a
// server was shown is taken out of a text. It does not own where any of that is shown.
package shape
