// Package secret holds strings that must not be seen.
//
// It owns [Value], which shows itself as "[redacted]" wherever it is printed,
// logged or marshalled, by mistake or not. It does not own where secrets come
// from, nor the redaction of header names in logs. It imports nothing of this
// module.
package secret
