package session

import "slices"

// told is what the operator was told since the last time all was well, so that
// nothing is said twice.
type told []string

// mostTold bounds it; beyond, the oldest is forgotten and may be said again.
const mostTold = 32

// first says whether words are new, and remembers them. Empty words are not.
func (t *told) first(words string) bool {
	if words == "" || slices.Contains(*t, words) {
		return false
	}
	if len(*t) == mostTold {
		*t = slices.Delete(*t, 0, 1)
	}
	*t = append(*t, words)
	return true
}

func (t *told) clear() { *t = nil }
