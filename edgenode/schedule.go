package edgenode

import "time"

// schedule says which group of blocks to read next. Each group has a fixed
// phase: its scans start at whole multiples of its period, however long they
// take. Among groups that are due the one with the shortest period goes first,
// and it does so between any two blocks of a slower one.
//
// Times are since the schedule began.
type schedule struct {
	groups []turn
}

// turn is the state of one group.
type turn struct {
	period time.Duration
	due    time.Duration // start of the present scan, or of the next
	blocks int           // to read in one scan
	done   int           // of the present scan
}

// pick returns the group to read from now; -1 when none is due.
func (s *schedule) pick(now time.Duration) int {
	best := -1
	for i := range s.groups {
		g := &s.groups[i]
		if g.blocks > 0 && g.due <= now && (best < 0 || g.period < s.groups[best].period) {
			best = i
		}
	}
	return best
}

// next is when the next group is due; ok is false when there is none.
func (s *schedule) next() (due time.Duration, ok bool) {
	for i := range s.groups {
		if g := &s.groups[i]; g.blocks > 0 && (!ok || g.due < due) {
			due, ok = g.due, true
		}
	}
	return due, ok
}

// step counts one block of the group as dealt with. When it was the last of
// the scan it returns ended and the number of scans that are left out because
// their time has passed entirely.
func (t *turn) step(now time.Duration) (ended bool, skipped uint64) {
	t.done++
	if t.done < t.blocks {
		return false, 0
	}
	t.done = 0
	periods := max(1, (now-t.due)/t.period)
	t.due += periods * t.period
	return true, uint64(periods - 1)
}
