package schema

import "strings"

// closest is the name that a misspelt one is most likely meant to be; "" if none is
// near.
func closest(name string, names []string) (best string) {
	limit := 1 + len(name)/4
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n), limit); d <= limit && n != name {
			best, limit = n, d-1
		}
	}
	return best
}

// distance is how many characters have to be put in, left out or replaced to come
// from one text to the other; more than limit is not counted to the end.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
