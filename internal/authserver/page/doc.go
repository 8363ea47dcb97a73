// Package page writes the pages that people see who sign in.
//
// It owns the making of HTML, escaping above all, and the style sheet. It does not own
// what a page says, nor the headers that keep it from being framed. It imports nothing
// of this module.
package page
