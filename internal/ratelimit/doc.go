// Package ratelimit limits how often something may happen, by key.
//
// It owns the buckets and their arithmetic. It does not own what is limited, what a
// key means, or how a refusal is told. Its buckets are this process's own, so that two
// replicas together admit twice as much, unless something keeps them that all share.
package ratelimit
