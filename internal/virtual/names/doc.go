// Package names has the names and URIs under which clients of a virtual server know
// what its members have, and leads from them back to members.
//
// It does not own what is named (internal/virtual): it is pure, and the same names
// come of the same members after a restart.
package names
