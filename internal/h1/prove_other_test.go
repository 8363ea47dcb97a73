//go:build !linux

package h1

const canProve = false
