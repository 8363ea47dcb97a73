// Package pods knows what the pods of resources say and began with: it asks the gateway's
// pods at /status, again and again, puts together what those of one resource answer, and
// tells whose answer is news; and it remembers which values of Secrets the pods of servers
// have in their environment.
//
// It does not own which pods there should be (operator/render), what conditions are made of
// an answer (operator), or the shape of one (internal/status). It changes nothing in a
// cluster.
package pods
