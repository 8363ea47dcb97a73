// Package tasks passes the extension for tasks (MCP 2026-07-28) through, between a client and
// a server that both have it.
//
// Whoever knows a task's id may have what comes of it, and many servers tell callers apart by
// nothing else: the id that a client gets is sealed for its caller, and good for nobody else.
// It owns these ids, wherever they stand in messages. It does not own what a task is, nor
// translate tasks of 2025-11-25, which are another thing.
package tasks
