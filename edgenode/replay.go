package edgenode

import (
	"errors"
	"time"

	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// replayEvery is how often a part of the spool is sent; idleEvery how often what
// is in flight is looked after when there is nothing to send.
const (
	replayEvery = 100 * time.Millisecond
	idleEvery   = time.Second
)

// keep appends reports to the spool before they go anywhere else. Without it
// they are still published, and counted as not kept.
func (a *Agent) keep(d *device, reports []report) []session.Span {
	at, err := a.spool.keep(d, reports)
	if err != nil {
		a.count.unspooled.Add(uint64(len(reports)))
		if !a.unspooled {
			a.unspooled = true
			a.log.Error("spool: reports cannot be kept: what does not arrive at once is lost", "err", err)
		}
		return nil
	}
	if a.unspooled {
		a.unspooled = false
		a.log.Info("spool: reports are kept again")
	}
	a.count.spooled.Store(a.spool.waiting())
	return []session.Span{at}
}

// wakeReplay sets the time of the next look at the spool.
func (a *Agent) wakeReplay() {
	if a.edge.Phase() != session.Online {
		a.replayAt = time.Time{}
		return
	}
	wait := idleEvery
	if next := a.spool.delivery.Replay(); next.From < next.To {
		wait = replayEvery
	} else if n, _ := a.spool.delivery.InFlight(); n == 0 && a.spool.arrived() == a.spool.saved {
		return
	}
	if at := time.Now().Add(wait); a.replayAt.IsZero() || at.Before(a.replayAt) {
		a.replayAt = at
	}
}

// replay sends a part of the spool as historical data: oldest first, of devices
// that are born, at most the replay rate and no more than the host and the way to
// it keep up with. Live data goes its own way in between.
func (a *Agent) replay(now time.Time) {
	a.replayAt = time.Time{}
	d := a.spool.delivery
	d.Tick(now.UnixMilli())
	rate := float64(a.plan.cfg.Spool.ReplayRate)
	a.budget = min(a.budget+rate*replayEvery.Seconds(), max(rate*replayEvery.Seconds(), 1))
	for a.budget >= 1 && a.edge.Phase() == session.Online {
		next := d.Replay()
		room := d.Room(int(2*rate), now.UnixMilli())
		if next.From == next.To || room < 1 {
			break
		}
		a.replayPart(next, now, min(a.budget, float64(room)))
	}
	a.retire()
	a.spool.save(now, false)
	a.count.spooled.Store(a.spool.waiting())
	a.wakeReplay()
}

// part is what a replay sends of one device.
type part struct {
	dev     *device // nil: it is not configured any more
	away    bool    // not born: its records stay where they are
	reports []report
	spans   session.Spans
}

// replayPart sends records of a span, of about most samples, those of one device
// together.
func (a *Agent) replayPart(next session.Span, now time.Time, most float64) {
	d := a.spool.delivery
	var parts []*part
	byDevice := map[uint32]*part{}
	total := 0
	expected := next.From
	oldest := now.Add(-a.plan.cfg.Spool.MaxAge.Std())
	passed, err := a.spool.read(next, func(pos uint64, at time.Time, device uint32, list []byte) bool {
		here := session.Span{From: pos, To: pos + 1}
		d.Gone(session.Span{From: expected, To: pos}) // not there any more
		expected = pos + 1
		p := byDevice[device]
		if p == nil {
			p = &part{dev: a.numbers[device]}
			p.away = p.dev != nil && !a.edge.Born(p.dev.def.id)
			byDevice[device] = p
			parts = append(parts, p)
		}
		switch {
		case p.away:
		case p.dev == nil, at.Before(oldest):
			a.lose(list)
			d.Gone(here)
		default:
			before := len(p.reports)
			var lost int
			var err error
			p.reports, lost, err = a.spool.reports(p.reports, p.dev, list)
			if err != nil {
				a.log.Error("spool: a record cannot be read", "position", pos, "err", err)
			}
			a.count.dropped.Add(uint64(lost))
			if len(p.reports) == before {
				d.Gone(here)
				break
			}
			p.spans = p.spans.Add(here)
			total += len(p.reports) - before
		}
		return float64(total) < most
	})
	if err != nil {
		a.log.Error("spool: cannot be read", "from", next.From, "err", err)
	}
	if passed <= next.From { // nothing is there
		passed = next.To
		d.Gone(next)
	}
	d.Passed(passed)
	a.budget -= float64(total)
	for _, p := range parts {
		a.sendPart(p)
	}
}

// sendPart publishes the reports of a part. The last message answers for all of
// its records: an acknowledgement is of that and of all before it.
func (a *Agent) sendPart(p *part) {
	if len(p.reports) == 0 {
		return
	}
	a.count.replayed.Add(uint64(len(p.reports)))
	for reports := p.reports; len(reports) > 0; {
		n := a.fits(p.dev, reports)
		var spans []session.Span
		if n == len(reports) {
			spans = p.spans
		}
		a.send(p.dev, reports[:n], true, spans)
		reports = reports[n:]
	}
}

// lose counts the samples of a record that nobody can have any more: too old,
// or of a device that is not configured now.
func (a *Agent) lose(list []byte) {
	if n, err := samples.Count(list); err == nil {
		a.count.dropped.Add(uint64(n))
	}
}

// acknowledged applies an acknowledgement of the host.
func (a *Agent) acknowledged(number uint32, p session.Position, host string) {
	d := a.spool.delivery
	knew := d.Acks()
	switch d.Acked(p, host, time.Now().UnixMilli()) {
	case session.AckGood:
		if !knew {
			a.log.Info("host acknowledges what it has stored: data is kept until then", "host", host)
			if err := a.disk.setAcks(host); err != nil {
				a.log.Error("not noted that the host acknowledges", "err", err)
			}
		}
		a.count.spooled.Store(a.spool.waiting())
	case session.AckForeign:
		a.refuse("", session.MetricDelivered, errors.New("of a host that is not ack_host: "+host))
	case session.AckWrong:
		a.count.misacked.Add(1)
		a.log.Warn("host acknowledges what was not sent: messages went missing unseen; births are published and the rest is sent again",
			"host", host, "birth", p.Birth, "count", p.Count)
		a.step(session.EdgeEvent{Kind: session.EdgeRebirth, Session: number})
	}
}
