// Package registry shows served endpoints as an MCP registry does: the reading half of its API, v0.1.
//
// It owns names, versions and shapes of entries, pages and searches of them, and the same as files for any web server.
// It does not own who may read, or which endpoints there are.
package registry

// Mode is who may read the gateway's endpoints as a registry.
type Mode string

// The choices.
const (
	Off       Mode = "off"
	Callers   Mode = "callers"   // each those that let them in
	Everybody Mode = "everybody" // all of them: names, titles, descriptions and addresses
)
