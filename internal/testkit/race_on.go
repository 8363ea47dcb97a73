//go:build race

package testkit

// raceDetector tells whether this test was built with -race; the binary is
// then built with it too, so that a race in the gateway fails the test.
const raceDetector = true
