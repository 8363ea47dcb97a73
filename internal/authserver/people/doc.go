// Package people keeps what an authorization server knows of each person: which
// applications they allowed, in which browsers they are signed in, and what they are
// called, so that an operator can find them.
//
// It owns the record and how it changes over all replicas. It does not own what a person
// is asked, nor what ends with something that is taken out of a record.
package people
