// Package records keeps an authorization server's own values in a store.
//
// It owns how they are named and sealed, so that nobody who can write to the store puts
// one in the place of another. It does not own what is in them, nor how long they last.
package records
