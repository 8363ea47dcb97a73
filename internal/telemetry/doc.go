// Package telemetry is how the process speaks about itself: its log and its
// metrics.
//
// It owns the one logger's format and the redaction that backs it up, the
// Prometheus registry, the names and labels of every metric, and the rule that
// keeps their number bounded: the server label takes configured names only, the
// method label known MCP methods only.
//
// It does not own audit events (internal/audit), where lines are written (the
// caller chooses), when a thing is counted (who does the thing counts it), or the
// listener that serves the metrics.
package telemetry
