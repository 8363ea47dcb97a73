// Package virtual serves several MCP servers as one.
//
// It owns what is particular to that: the members' catalogues (tools, prompts,
// resources and templates, fetched in the background and known to everybody with
// the same rights), the names under which clients see what members have, the union
// of capabilities and instructions, a client's sessions at its members, and which
// member a message goes to.
//
// It does not own how one member is reached and what it is shown (internal/upstream),
// who may use what (the pipeline asks the policies about the member's own names), or
// what a client's transport looks like (internal/surface).
package virtual
