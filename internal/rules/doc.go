// Package rules holds the rules of this repository that no linter knows, as
// tests: which package may import which, what each binary may link, how long a
// file may be, that links resolve and requirements are proved.
//
// Each failure says what to do. It owns no code and no rule about behaviour:
// those are tests beside what they test. Nothing imports it.
package rules
