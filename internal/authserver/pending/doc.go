// Package pending bounds how many sign-ins are under way at an authorization server.
//
// It owns who makes room for whom. It does not own the sign-ins, nor their records.
package pending
