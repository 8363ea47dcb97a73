// Package page makes the pages that people see: of the authorization server, of the
// demo's identity provider, and where a browser comes back to after a sign-in of `run`.
//
// It owns their look, their frame (whose page it is, where to get help, the id of an
// error), the escaping of everything in them, and the headers that keep other pages
// out. It does not own what a page says, nor who may see it.
package page
