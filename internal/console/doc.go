// Package console is the page on which operators see the running gateway: whether all is
// well, the two doors of every server, what was refused or failed and why, and what is
// wrong with the configuration.
//
// It owns what is on the page, in which order and in which words, how the page stays up to
// date, and how a browser signs in to it. It looks at the gateway through [Now] and
// [Config] alone, and changes nothing of it; what a person holds, the authorization server
// ends. It does not own the look that all pages have in common (internal/page), who is an
// operator (the gateway, by its admin tokens), nor what is remembered of calls
// (internal/recent). Nothing on the page is a secret: of credentials it says what they
// are, of addresses no query, of commands no arguments.
package console
