// Package listing asks a backend for a whole list: its tools, prompts or resources,
// page by page, in whatever revision it speaks.
//
// It owns the gateway's own small client: the handshake where there has to be one,
// cursors, and the bounds of what a list may be. It does not own how a backend is
// reached (internal/backend), which items a caller may see (whoever calls says what
// is to be changed in each page), or what becomes of the items.
package listing
