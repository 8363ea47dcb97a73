//go:build !race

package testkit

// raceDetector: see race_on.go.
const raceDetector = false
