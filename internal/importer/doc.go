// Package importer turns the configuration of other tools into manifests.
//
// It owns reading such files ([Read]: mcp.json and its relatives of Claude, Cursor, VS Code, Windsurf, Gemini, Zed,
// opencode and Codex, ToolHive's manifests, ContextForge's exports), telling secrets from settings, recognising commands
// that only bridge to a remote server, and saying of each entry what became of it. It does not own writing files, or
// whether the manifests are right: the caller checks them as any others.
//
// The way through: a file is recognised and taken apart into servers (clients.go, contextforge.go), a server whose
// command is a bridge becomes a remote one (bridges.go), and each server is written as manifests (render.go). ToolHive's
// manifests are manifests already, and are edited in place, comments and all (toolhive.go).
package importer
