package mqtt

import (
	"cmp"
	"time"
)

// Backoff says how long to wait before dialling again.
type Backoff struct {
	Min time.Duration // around the first wait; 1 s if zero
	Max time.Duration // no wait is longer; 60 s if zero
}

// Next returns the wait before attempt, of which 0 is the first after a
// failure. It doubles with each up to Max. rnd, in [0, 1), spreads it, so that
// a fleet does not come back at once: from w the result is in [w/2, w).
func (b Backoff) Next(attempt int, rnd float64) time.Duration {
	most := max(cmp.Or(b.Max, time.Minute), 2)
	w := min(max(cmp.Or(b.Min, time.Second), 2), most)
	for range attempt {
		if w > most/2 {
			w = most
			break
		}
		w *= 2
	}
	half := w / 2
	return half + time.Duration(min(max(rnd, 0), 1)*float64(half))
}
