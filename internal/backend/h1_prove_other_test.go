//go:build !linux

package backend

const canProve = false
