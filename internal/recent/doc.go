// Package recent remembers the last calls that were refused or failed, for people who
// look at the running gateway.
//
// It owns the bounded memory of them ([Calls]): which ones are the same call again, which
// ones make room, and how much of a stranger's text is kept. It does not own why a call
// is refused, nor how it is shown; and it holds no argument, result, credential or
// session id: a [Call] has no field for them.
package recent
