// Package wire reads and makes the messages and streams of a bridge.
//
// It owns how one message is taken apart and put together, and event streams that are made
// as they are read. It knows no revision, and no conversation.
package wire
