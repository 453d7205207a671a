package edgenode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// command is one value to write to equipment.
type command struct {
	dev   *device
	slot  uint32
	value sparkplug.Value // raw
}

// recheck is a written point that has not yet shown its new value.
type recheck struct {
	command
	at, until time.Duration
}

var errQuarantined = errors.New("its unit does not answer")

// write sets a point and reads it back. What is read goes up as data even if
// it did not change: that is how the commander knows.
func (e *endpoint) write(ctx context.Context, c command) {
	l, d := e.find(c.dev)
	err := driver.ErrOffline
	if l != nil && l.connected {
		err = e.put(ctx, l, d, c)
	}
	if err != nil {
		e.count.refused.Add(1)
		e.log.Warn("command failed", "device", c.dev.def.id, "metric", c.dev.def.metrics[c.slot].name, "err", err)
		return
	}
	e.count.writes.Add(1)
	e.log.Info("command written", "device", c.dev.def.id, "metric", c.dev.def.metrics[c.slot].name, "value", c.value)
	e.readBack(ctx, recheck{c, 0, e.now() + d.def.metrics[c.slot].write.Readback.Std()})
}

func (e *endpoint) put(ctx context.Context, l *link, d *scanned, c command) error {
	if l.units[d.unit].blocked(e.now()) {
		return errQuarantined
	}
	ctx, cancel := context.WithTimeout(ctx, l.def.timeout)
	defer cancel()
	var errs []error
	err := guard(func() error {
		errs = l.drv.Write(ctx, []driver.Write{{Tag: d.def.metrics[c.slot].tag, Value: c.value}})
		return nil
	})
	if err == nil && len(errs) != 1 {
		err = fmt.Errorf("driver answered %d writes, not 1", len(errs))
	}
	if err == nil {
		err = errs[0]
	}
	if errors.Is(err, driver.ErrOffline) || errors.Is(err, driver.ErrUnit) {
		e.failed(l, d.unit, err)
	}
	return err
}

// readBack reads a written point, and reports it once it shows the written
// value or its time is over.
func (e *endpoint) readBack(ctx context.Context, r recheck) {
	l, d := e.find(r.dev)
	if l == nil || !l.connected {
		return
	}
	tag := d.def.metrics[r.slot].tag
	blocks, _ := l.drv.Compile([]driver.Tag{tag})
	if len(blocks) != 1 {
		return
	}
	samples, err := e.read(ctx, l, &blocks[0])
	if err != nil {
		e.failed(l, d.unit, err)
		return
	}
	s := samples[0]
	if now := e.now(); now < r.until && (s.Quality != driver.Good || !s.Value.Equal(r.value)) {
		r.at = min(r.until, now+max(20*time.Millisecond, (r.until-now)/5))
		e.checks = append(e.checks, r)
		return
	}
	s.ID = d.first + r.slot
	e.take(l, &s, true)
	e.flush(ctx, d)
}

// recheck reads the written points that are due.
func (e *endpoint) recheck(ctx context.Context) {
	now := e.now()
	due := e.checks
	e.checks = nil
	for _, r := range due {
		if r.at > now {
			e.checks = append(e.checks, r)
			continue
		}
		e.readBack(ctx, r)
	}
}
