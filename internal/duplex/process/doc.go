// Package process runs a local command that speaks in lines over stdin and stdout.
//
// It owns starting it with a cut-down environment, writing to it without hanging,
// reading lines within a limit, its stderr in the log, and its end: politely first,
// then by force, with whatever it has started. It does not own what the lines mean,
// when to start it again, or who may.
package process
