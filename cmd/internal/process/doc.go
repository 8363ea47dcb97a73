// Package process is what the mains share: the flags of a serving process, its
// signals, its log and audit outputs, and its exit codes. What is served, and how,
// is the gateway package's.
package process
