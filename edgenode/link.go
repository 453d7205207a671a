package edgenode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
)

// link is one connection of an endpoint, with its supervisor's state.
type link struct {
	def       *linkDef
	drv       driver.Driver
	devices   []*scanned
	tags      []tagRef // by driver.Tag.ID
	connected bool
	greeted   bool // it was connected before
	said      bool // the operator knows that it is lost
	silent    bool // no answer since silentAt
	silentAt  time.Duration
	redial    quarantine
	units     map[string]*quarantine
}

// tagRef says which metric a tag is.
type tagRef struct {
	dev  *scanned
	slot uint32
}

// scanned is the scan's side of a device.
type scanned struct {
	dev       *device
	def       *deviceDef
	period    time.Duration
	first     uint32     // driver.Tag.ID of slot 0
	unit      string     // of its blocks, as the driver calls it
	last      []reported // by slot
	pending   *batch
	up        bool
	fresh     bool          // it answered since it was last down
	notBefore time.Duration // so that a flapping device is not born all the time
}

// birthPause is the least time from the death of a device to its next birth.
const birthPause = 5 * time.Second

// newScanned makes the scan's side of a device that is up if it was born.
func newScanned(d *device, up bool) *scanned {
	return &scanned{dev: d, def: d.def, period: d.def.period, up: up, last: make([]reported, len(d.def.metrics)), pending: batches.Get().(*batch)}
}

// assign gives the endpoint its connections and devices and groups what is to
// be read. Connections that stay keep their sockets, devices that stay keep
// what was last reported of them; it is called by the endpoint's goroutine, or
// before it runs.
func (e *endpoint) assign(links []*link) {
	e.links, e.groups, e.checks = links, nil, nil
	turns := []turn{}
	for _, l := range links {
		l.tags = nil
		if l.units == nil {
			l.units = map[string]*quarantine{}
		}
		byPeriod := map[time.Duration][]*scanned{}
		for _, d := range l.devices {
			d.first = uint32(len(l.tags))
			for i := range d.def.metrics {
				l.tags = append(l.tags, tagRef{d, uint32(i)})
			}
			byPeriod[d.period] = append(byPeriod[d.period], d)
		}
		for _, d := range l.devices {
			if devices := byPeriod[d.period]; devices != nil {
				delete(byPeriod, d.period)
				g := group{link: l, period: d.period, devices: devices}
				g.compile()
				e.groups = append(e.groups, g)
				turns = append(turns, turn{period: g.period, due: e.phase(g.period), blocks: len(g.blocks)})
			}
		}
	}
	e.sched.groups = turns
}

// phase is the last whole multiple of the period: a scan at once, and the next
// ones where they always were.
func (e *endpoint) phase(period time.Duration) time.Duration { return e.now() / period * period }

// compile makes the blocks of the group.
func (g *group) compile() {
	l := g.link
	var tags []driver.Tag
	for _, d := range g.devices {
		for i := range d.def.metrics {
			if m := &d.def.metrics[i]; m.scanned() {
				t := m.tag
				t.ID = d.first + uint32(i)
				tags = append(tags, t)
			}
		}
	}
	blocks, _ := l.drv.Compile(tags) // bad ones were found when the plan was made
	g.blocks = make([]block, len(blocks))
	for i, b := range blocks {
		g.blocks[i].Block = b
		if l.units[b.Unit] == nil {
			l.units[b.Unit] = &quarantine{}
		}
		for _, id := range b.Tags {
			l.tags[id].dev.unit = b.Unit
		}
	}
}

// retry lets what was refused be read again at once: a device all of whose tags
// are bad has no other sign of life.
func (g *group) retry() {
	for i := range g.blocks {
		g.blocks[i].retryAt = 0
	}
}

// supervise dials what is due and declares dead what was silent too long.
func (e *endpoint) supervise(ctx context.Context) {
	for _, l := range e.links {
		if now := e.now(); !l.connected && !l.redial.blocked(now) {
			e.dial(ctx, l)
		}
		now := e.now()
		for _, d := range l.devices {
			if d.up && (l.units[d.unit].down() || l.silent && now >= l.silentAt+l.patience(d)) {
				e.declareDown(ctx, d)
			}
		}
	}
}

// patience is how long a connection may be lost before the device is dead.
func (l *link) patience(d *scanned) time.Duration { return max(l.def.timeout, d.period) }

// wake is when supervise has something to do for the link; limit if nothing.
func (l *link) wake(limit time.Duration) time.Duration {
	for _, d := range l.devices {
		if d.up && l.silent {
			limit = min(limit, l.silentAt+l.patience(d))
		}
	}
	if l.connected {
		return limit
	}
	return min(limit, l.redial.until)
}

func (e *endpoint) declareDown(ctx context.Context, d *scanned) {
	d.up, d.fresh, d.notBefore = false, false, e.now()+birthPause
	for i := range d.last {
		d.last[i].seen = false // all is told again when it is back
	}
	clear(d.pending.reports)
	d.pending.reports = d.pending.reports[:0]
	b := batches.Get().(*batch)
	b.dev, b.down = d.dev, true
	e.send(ctx, b)
}

func (e *endpoint) dial(ctx context.Context, l *link) {
	ctx, cancel := context.WithTimeout(ctx, l.def.timeout)
	defer cancel()
	err := guard(func() error { return l.drv.Connect(ctx) })
	if err == nil {
		l.connected = true
		e.count.dials.Add(1)
		if l.said || !l.greeted {
			e.log.Info("equipment connected", "connection", l.def.name, "endpoint", e.name)
		}
		l.said, l.greeted = false, true
		for i := range e.groups {
			if g := &e.groups[i]; g.link == l {
				e.sched.groups[i].due, e.sched.groups[i].done = e.phase(g.period), 0
				g.retry()
			}
		}
		return
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	l.redial.fails = max(1, l.redial.fails) // no second try at once
	l.redial.fail(e.now(), quarantineAlone, rand.Float64())
	if !l.said {
		l.said = true
		e.log.Warn("equipment does not answer: trying again with growing pauses", "connection", l.def.name, "endpoint", e.name, "err", err)
	}
	l.hush(e.now())
}

// hush notes since when there is no answer.
func (l *link) hush(now time.Duration) {
	if !l.silent {
		l.silent, l.silentAt = true, now
	}
}

// lose notes that the connection is gone. The first redial is at once, unless
// it did not even bring one answer.
func (e *endpoint) lose(l *link, err error) {
	l.close(e)
	l.connected = false
	l.hush(e.now())
	if !l.said && !errors.Is(err, driver.ErrUnit) {
		l.said = true
		e.log.Warn("equipment connection lost", "connection", l.def.name, "endpoint", e.name, "err", err)
	}
	l.redial.fail(e.now(), quarantineAlone, rand.Float64())
}

// unitFailed counts a failure of a unit, and says so when it is now dead.
func (e *endpoint) unitFailed(l *link, unit string, err error) {
	u := l.units[unit]
	limit := quarantineAlone
	for name, other := range l.units {
		if name != unit && !other.down() {
			limit = quarantineMax
		}
	}
	u.fail(e.now(), limit, rand.Float64())
	if u.fails == 2 {
		e.log.Warn("unit does not answer: left alone with growing pauses", "connection", l.def.name, "endpoint", e.name, "unit", unit, "err", err)
	}
}

func (e *endpoint) unitAnswered(l *link, unit string) {
	u := l.units[unit]
	if u.down() {
		e.log.Info("unit answers again", "connection", l.def.name, "endpoint", e.name, "unit", unit)
	}
	u.ok()
	l.redial.ok()
	l.silent = false
}

func (l *link) close(e *endpoint) {
	if err := guard(l.drv.Close); err != nil {
		e.log.Debug("closing equipment connection", "connection", l.def.name, "err", err)
	}
}

// guard turns a panic of a driver into an error that closes the connection.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("driver panicked: %v: %w\n%s", p, driver.ErrOffline, debug.Stack())
		}
	}()
	return f()
}

// find returns the scan's side of a device.
func (e *endpoint) find(d *device) (*link, *scanned) {
	for _, l := range e.links {
		if i := slices.IndexFunc(l.devices, func(s *scanned) bool { return s.dev == d }); i >= 0 {
			return l, l.devices[i]
		}
	}
	return nil, nil
}
