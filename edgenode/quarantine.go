package edgenode

import "time"

// quarantine leaves a unit or an endpoint alone that does not answer: after
// the second failure in a row it is tried again after 1 s, then after twice as
// long each time, up to a limit. Its zero value is ready.
type quarantine struct {
	fails int
	until time.Duration
}

const (
	quarantineMin = time.Second
	// quarantineMax is for a dead unit among others that are well: each try
	// costs them a timeout.
	quarantineMax = time.Minute
	// quarantineAlone is for what can be tried without hurting anybody.
	quarantineAlone = 5 * time.Second
)

// fail counts a failure. rnd, in [0, 1), shortens the wait by up to a quarter,
// so that many do not come back at once.
func (q *quarantine) fail(now, limit time.Duration, rnd float64) {
	q.fails++
	if q.fails < 2 {
		return
	}
	wait := limit
	if n := q.fails - 2; n < 6 {
		wait = min(quarantineMin<<n, limit)
	}
	q.until = now + wait - time.Duration(rnd*float64(wait/4))
}

// blocked says whether to leave it alone now. A nil one never is.
func (q *quarantine) blocked(now time.Duration) bool { return q.down() && now < q.until }

// down says whether it has failed often enough to be called dead.
func (q *quarantine) down() bool { return q != nil && q.fails >= 2 }

// ok forgets all failures.
func (q *quarantine) ok() { *q = quarantine{} }
