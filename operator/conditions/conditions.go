// Package conditions writes conditions for people: with a message that is never empty nor too
// long, and a reason that says what is missing.
//
// It does not own which conditions there are, nor when they hold (operator).
package conditions

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Set sets a condition, with a message that is never empty.
func Set(list *[]metav1.Condition, generation int64, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(list, metav1.Condition{
		Type: kind, Status: status, Reason: cmp.Or(reason, "Unknown"), Message: cmp.Or(Shorten(message), reason), ObservedGeneration: generation,
	})
}

// Reason is the reason of a condition that tells of problems: what is missing, if
// anything is.
func Reason(problems manifest.Problems) string {
	for _, p := range problems {
		if p.Missing != "" {
			return p.Missing + "NotFound"
		}
	}
	return "Invalid"
}

// Tell is problems as a condition's message.
func Tell(problems manifest.Problems) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return Shorten(strings.Join(lines, "\n"))
}

// longest is how long a message of a condition or an event may be; the API server takes
// 32,768 for the one, and 1,024 for the other.
const longest = 1024

// Shorten cuts off what is too long.
func Shorten(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest-len("…")], "") + "…"
}
