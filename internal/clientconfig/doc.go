// Package clientconfig writes servers into the configuration files of MCP clients, and takes them out again.
//
// It owns where each client keeps its file on each system, the shape of an entry in it, and changing such a file so that
// everything else in it stays as it is: comments, order, indentation, mode. It does not own reading those files into
// manifests, which is what package importer does, or what the servers are.
//
// The way of a change: a client's file is found (clients.go), its text is changed (json.go, toml.go), the result is read
// again and must differ by just the one entry, and it replaces the file with a copy of the old one beside it (file.go).
package clientconfig
