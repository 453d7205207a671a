package edgenode

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// commandAge is how old a command may be: it was meant for the plant as it was
// then.
const commandAge = time.Minute

var (
	errUnknownMetric = errors.New("no such metric")
	errNoWrite       = errors.New("not writable: the configuration has no write for it")
	errNoValue       = errors.New("the command has no value")
	errColumns       = errors.New("its columns or their types are not those of the configured value")
	errBusy          = errors.New("too many commands wait for its equipment")
)

// commanded obeys an NCMD or DCMD, metric by metric; what it refuses it says.
func (a *Agent) commanded(in inbound) {
	t, err := sparkplug.ParseTopic(in.msg.Topic)
	if err != nil || !t.Type.Command() || t.Group != a.plan.cfg.Node.Group || t.Node != a.plan.cfg.Node.ID {
		return
	}
	var p sparkplug.Payload
	if err := p.Decode(in.msg.Payload); err != nil {
		a.refuse(t.Device, "", fmt.Errorf("not a Sparkplug payload: %w", err))
		return
	}
	if in.msg.Retain {
		a.refuse(t.Device, "", errors.New("a retained command is old"))
		return
	}
	if age := time.Since(time.UnixMilli(p.Timestamp)); p.HasTimestamp && age > commandAge {
		a.refuse(t.Device, "", fmt.Errorf("the command is %s old; do the clocks agree?", age.Round(time.Second)))
		return
	}
	d := a.node
	if t.Type == sparkplug.DCMD {
		if d = a.byID[t.Device]; d == nil {
			a.refuse(t.Device, "", errors.New("no such device"))
			return
		}
	}
	for i := range p.Metrics {
		m := &p.Metrics[i]
		if d == a.node && a.controlled(in.session, m) {
			continue
		}
		if err := a.obey(d, m); err != nil {
			a.refuse(t.Device, d.describe(m), err)
		}
	}
}

func (a *Agent) refuse(device, metric string, err error) {
	a.count.refused.Add(1)
	a.log.Warn("command refused", "device", device, "metric", metric, "err", err)
}

// describe names the metric of a command.
func (d *device) describe(m *sparkplug.Metric) string {
	if slot, ok := d.slot(m); ok {
		return d.def.metrics[slot].name
	}
	if m.Name == "" && m.HasAlias {
		return fmt.Sprintf("alias %d", m.Alias)
	}
	return m.Name
}

func (d *device) slot(m *sparkplug.Metric) (uint32, bool) {
	if m.Name == "" && m.HasAlias {
		slot := m.Alias - d.alias
		return uint32(slot), slot < uint64(len(d.now))
	}
	slot, ok := d.slots[m.Name]
	return slot, ok
}

// controlled obeys the commands that are for the session.
//
// Spec: tck-id-operational-behavior-data-commands-rebirth-action-1.
func (a *Agent) controlled(number uint32, m *sparkplug.Metric) bool {
	var kind session.EdgeEventKind
	switch m.Name {
	case session.MetricDelivered:
		p, host, ok := session.Acknowledged(m)
		if ok {
			a.acknowledged(number, p, host)
		}
		return ok
	case sparkplug.MetricRebirth:
		kind = session.EdgeRebirth
	case metricNextServer:
		kind = session.EdgeNextServer
	case metricReboot:
		if len(a.plan.cfg.Control.Reboot) == 0 {
			return false
		}
	default:
		return false
	}
	v, err := m.Value.As(sparkplug.TypeBoolean)
	switch {
	case err != nil || v.IsNull():
		a.refuse("", m.Name, errors.New("want the boolean true"))
	case v.Bool() && m.Name == metricReboot:
		a.reboot()
	case v.Bool():
		a.log.Info("command: "+m.Name, "metric", m.Name)
		a.step(session.EdgeEvent{Kind: kind, Session: number})
	}
	return true
}

// rebootTime bounds the command that reboots.
const rebootTime = time.Minute

// reboot runs the configured command, one at a time. It most likely ends this
// process in good order.
func (a *Agent) reboot() {
	line := a.plan.cfg.Control.Reboot
	if !a.rebooting.CompareAndSwap(false, true) {
		a.refuse("", metricReboot, errors.New("it is rebooting already"))
		return
	}
	a.log.Warn("command: "+metricReboot, "metric", metricReboot, "run", strings.Join(line, " "))
	a.tasks.Go(func() {
		defer a.rebooting.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), rebootTime)
		defer cancel()
		if out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput(); err != nil { //nolint:gosec // the owner of the configuration says what to run
			a.count.refused.Add(1)
			a.log.Error("reboot failed", "metric", metricReboot, "err", err, "output", fmt.Sprintf("%.200s", out))
		}
	})
}

// obey sets one metric, or the members of an instance: all of them or, when one
// is refused, none.
func (a *Agent) obey(d *device, m *sparkplug.Metric) error {
	orders, err := d.orders(m)
	if err != nil {
		return err
	}
	for i := range orders {
		o := &orders[i]
		if o.value, err = d.accept(o.slot, o.value); err != nil {
			if len(orders) > 1 {
				err = fmt.Errorf("%s: %w", d.def.metrics[o.slot].name, err)
			}
			return err
		}
	}
	for _, o := range orders {
		if err := a.carry(d, o.slot, o.value); err != nil {
			return err
		}
	}
	return nil
}

// orders says which metrics of the device a metric of a command is about.
func (d *device) orders(m *sparkplug.Metric) ([]order, error) {
	if n, ok := d.instance(m); ok {
		v, err := m.Value.As(sparkplug.TypeTemplate)
		switch {
		case err != nil:
			return nil, err
		case v.Template() == nil || len(v.Template().Metrics) == 0:
			return nil, errNoValue
		}
		return n.orders(v.Template(), nil)
	}
	slot, ok := d.slot(m)
	if !ok || d.def.metrics[slot].in != nil {
		return nil, errUnknownMetric
	}
	return []order{{slot, m.Value}}, nil
}

// instance finds the instance that a metric of a command names.
func (d *device) instance(m *sparkplug.Metric) (*instance, bool) {
	for i := range d.def.metrics {
		n := d.def.metrics[i].in
		if n != nil && uint32(i) == n.first && d.isOf(m, n, m.Name == "" && m.HasAlias) {
			return n, true
		}
	}
	return nil, false
}

// accept says whether a metric may be written with a value, and gives it as the
// metric's type.
func (d *device) accept(slot uint32, raw sparkplug.Value) (sparkplug.Value, error) {
	def := &d.def.metrics[slot]
	switch {
	case def.write == nil:
		return raw, errNoWrite
	case raw.IsNull():
		return raw, errNoValue
	}
	v, err := raw.As(def.scaling.pub)
	if err != nil {
		return raw, err
	}
	if table := v.DataSet(); table != nil && !table.Like(def.initial.DataSet()) {
		return raw, errColumns
	}
	return v, def.write.allows(v)
}

// carry carries a good value to the equipment, or into memory.
func (a *Agent) carry(d *device, slot uint32, v sparkplug.Value) error {
	def := &d.def.metrics[slot]
	if def.inMemory() {
		a.set(d, slot, v.Clone())
		return nil
	}
	raw, err := def.scaling.unscale(v)
	if err != nil {
		return err
	}
	r := a.endpointOf(d)
	if r == nil {
		return driver.ErrOffline
	}
	select {
	case r.e.writes <- command{d, slot, raw.Clone()}:
		return nil
	default:
		return errBusy
	}
}

// allows checks the bounds of a write. NaN is within none.
func (w *Write) allows(v sparkplug.Value) error {
	if w.Min != nil && !(v.Float64() >= *w.Min) {
		return fmt.Errorf("%v is below the minimum %v", v.Float64(), *w.Min)
	}
	if w.Max != nil && !(v.Float64() <= *w.Max) {
		return fmt.Errorf("%v is above the maximum %v", v.Float64(), *w.Max)
	}
	return nil
}

// set gives a metric in memory a new value, keeps it and tells it.
func (a *Agent) set(d *device, slot uint32, v sparkplug.Value) {
	at := max(time.Now().UnixMilli(), d.now[slot].time+1)
	name := d.def.metrics[slot].name
	if d.def.metrics[slot].volatile {
		a.rate = time.Duration(v.Int()) * time.Millisecond // the only one there is
		a.startEndpoints(a.plan)
	} else if err := a.disk.setValue(d.def.id, name, v, at); err != nil {
		a.log.Error("value not kept: it is lost at the next start", "device", d.def.id, "metric", name, "err", err)
	}
	a.count.writes.Add(1)
	a.log.Info("command written", "device", d.def.id, "metric", name, "value", v.String())
	a.tell(d, []report{{v, at, slot, driver.Good}})
}
