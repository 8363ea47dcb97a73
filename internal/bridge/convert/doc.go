// Package convert turns the parts of messages from one era of the protocol into those
// of the other: params, results, errors, capabilities.
//
// It owns the shape of what both eras have, and which codes and keys differ. It does not
// own conversations, which take more than one message: those are the bridge's. Its
// functions are pure, and do not change what they are given.
package convert
