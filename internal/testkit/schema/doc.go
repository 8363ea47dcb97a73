// Package schema checks that messages are what the protocol's revision says, by the schemas
// that the official TypeScript SDK keeps of each.
//
// It owns what a schema does not say too: which revision has which method, what each
// request of 2026-07-28 has in _meta and each result in resultType, and which codes of
// errors there are. It is for messages that the gateway makes or translates; what it
// passes on as it is may be anything.
package schema
