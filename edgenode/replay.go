package edgenode

import (
	"time"

	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// replayEvery is how often a part of the spool is sent.
const replayEvery = 100 * time.Millisecond

// recall changes the backlog of a device and keeps the sum of all within its
// bound, dropping the oldest of the largest.
func (a *Agent) recall(d *device, change func()) {
	before := d.spool.bytes()
	change()
	a.held += d.spool.bytes() - before
	limit := min(int64(a.plan.cfg.Spool.MaxBytes), maxSpool)
	for a.held > limit {
		a.dropOldest()
	}
}

func (a *Agent) dropOldest() {
	big := a.node
	for _, d := range a.devices {
		if d.spool.bytes() > big.spool.bytes() {
			big = d
		}
	}
	before := big.spool.bytes()
	// What was sent already is the cheapest to lose; a batch at a time, so that
	// a full spool is not searched for every report.
	for range 256 {
		switch {
		case big.spool.sent.len() > 0:
			big.spool.forget()
		case big.spool.waiting.len() > 0:
			big.spool.waiting.pop()
			a.dropped(1)
		}
	}
	a.held += big.spool.bytes() - before
	if before == 0 { // the largest is empty: so are all
		a.held = 0
	}
}

func (a *Agent) dropped(n int) {
	a.count.dropped.Add(uint64(n))
	a.count.spooled.Add(-uint64(n))
}

// hold keeps reports until the next birth.
func (a *Agent) hold(d *device, reports []report) {
	a.recall(d, func() {
		for _, r := range reports {
			d.spool.hold(r)
		}
		// What comes back from a replay is older than what waits.
		d.spool.mixed = d.spool.mixed || a.outgoing.historical
	})
	a.count.held.Add(uint64(len(reports)))
	a.count.spooled.Add(uint64(len(reports)))
}

// wakeReplay sets the time of the next part when there is something to send.
func (a *Agent) wakeReplay() {
	if a.edge.Phase() != session.Online {
		a.replayAt = time.Time{}
		return
	}
	if a.replayAt.IsZero() && a.pending() {
		a.replayAt = time.Now().Add(replayEvery)
	}
}

func (a *Agent) pending() bool {
	if a.node.spool.waiting.len() > 0 {
		return true
	}
	for _, d := range a.devices {
		if d.spool.waiting.len() > 0 && a.edge.Born(d.def.id) {
			return true
		}
	}
	return false
}

// replay sends a part of the spool as historical data: oldest first, of devices
// that are born, at most the replay rate. Live data goes its own way in
// between.
func (a *Agent) replay(now time.Time) {
	a.replayAt = time.Time{}
	rate := float64(a.plan.cfg.Spool.ReplayRate)
	a.budget = min(a.budget+rate*replayEvery.Seconds(), max(rate*replayEvery.Seconds(), 1))
	oldest := now.Add(-a.plan.cfg.Spool.MaxAge.Std()).UnixMilli()
	for a.budget >= 1 && a.edge.Phase() == session.Online {
		d := a.longestWaiting()
		if d == nil {
			break
		}
		part := a.take(d, int(min(a.budget, 1000)), oldest)
		if len(part) == 0 {
			continue
		}
		a.budget -= float64(len(part))
		a.count.replayed.Add(uint64(len(part)))
		for len(part) > 0 {
			n := a.fits(d, part)
			a.send(d, part[:n], true)
			part = part[n:]
		}
	}
	a.wakeReplay()
}

// longestWaiting is the born device with the oldest report in the spool.
func (a *Agent) longestWaiting() *device {
	var best *device
	consider := func(d *device) {
		if d.spool.waiting.len() > 0 && (best == nil || d.spool.waiting.front().time < best.spool.waiting.front().time) {
			best = d
		}
	}
	consider(a.node)
	for _, d := range a.devices {
		if a.edge.Born(d.def.id) {
			consider(d)
		}
	}
	return best
}

// take removes up to n reports that are worth sending: not too old, and not
// just told by the birth.
func (a *Agent) take(d *device, n int, oldest int64) (part []report) {
	a.recall(d, func() {
		for len(part) < n && d.spool.waiting.len() > 0 {
			r := d.spool.waiting.pop()
			switch {
			case r.time < oldest:
				a.dropped(1)
				continue
			case r.time == d.now[r.slot].born:
				a.count.spooled.Add(^uint64(0))
				continue
			}
			a.count.spooled.Add(^uint64(0))
			part = append(part, r)
		}
	})
	return part
}
