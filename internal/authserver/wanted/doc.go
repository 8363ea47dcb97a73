// Package wanted is about accounts that people's calls lacked.
//
// It owns the notes by which the next sign-in visits their providers, and the tickets by which a person links one at
// once. It does not own the accounts, nor the sign-ins.
package wanted
