package edgenode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// running is an endpoint with its goroutine.
type running struct {
	e      *endpoint
	cancel context.CancelFunc
	done   chan struct{}
}

type reloadCall struct {
	plan  *plan
	reply chan error
}

// wanted is what an endpoint shall look like.
type wanted struct {
	def     *linkDef
	devices []*device
	up      []bool        // as long as devices: the agent believes that they answer
	rate    time.Duration // of devices without a scan class; 0: as configured
}

// Reload changes the configuration of a running agent. Connections that did
// not change keep their sockets, devices that did not change are not born
// again. A configuration with faults changes nothing. Node, mqtt and spool
// cannot change while the agent runs: that is an error too.
func (a *Agent) Reload(ctx context.Context, cfg Config) error {
	check := config.NewChecker()
	p := compile(cfg, a.drivers, check)
	if err := check.Err(); err != nil {
		return err
	}
	call := reloadCall{p, make(chan error, 1)}
	select {
	case a.reloads <- call:
		return <-call.reply
	case <-a.done:
		return errNotRunning
	case <-ctx.Done():
		return fmt.Errorf("edgenode: reload: %w", context.Cause(ctx))
	}
}

func (a *Agent) reload(p *plan) error {
	was, is := &a.plan.cfg, &p.cfg
	switch {
	case was.Node != is.Node:
		return errors.New("edgenode: reload: node changed: restart the agent for that")
	case !reflect.DeepEqual(was.MQTT, is.MQTT):
		return errors.New("edgenode: reload: mqtt changed: restart the agent for that")
	case was.Spool != is.Spool:
		return errors.New("edgenode: reload: spool changed: restart the agent for that")
	}
	old := a.byID
	oldNode := a.node
	a.plan = p
	if was.ScanClasses[classNormal] != is.ScanClasses[classNormal] {
		a.rate = 0
	}
	changed := a.makeDevices(p)
	a.startEndpoints(p)
	for _, id := range slices.Sorted(maps.Keys(old)) {
		if id != "" && a.byID[id] == nil {
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceGone, Device: id})
		}
	}
	if a.node != oldNode { // births of everybody, after what the node now defines
		a.step(session.EdgeEvent{Kind: session.EdgeChanged})
	}
	for _, d := range changed {
		switch {
		case d == a.node:
		case !d.ready: // it has other equipment now
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceGone, Device: d.def.id})
		case a.node == oldNode:
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceChanged, Device: d.def.id})
		}
	}
	for _, d := range a.devices {
		if d.ready { // also the new ones without equipment
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: d.def.id})
		}
	}
	a.log.Info("configuration reloaded", "devices", len(a.devices), "changed", len(changed))
	return nil
}

// makeDevices brings the devices in line with the plan. It returns those that
// were there before and are configured anew.
func (a *Agent) makeDevices(p *plan) (changed []*device) {
	old := a.byID
	a.byID, a.devices = map[string]*device{}, nil
	for _, def := range a.withFormer(p) {
		d := old[def.id]
		if d == nil || d.def.signature != def.signature || def.signature == "" {
			was := d
			d = a.makeDevice(def)
			if was != nil {
				d.inherit(was)
				changed = append(changed, d)
			}
		}
		a.byID[def.id] = d
		if def.id == "" {
			a.node = d
		} else {
			a.devices = append(a.devices, d)
		}
	}
	a.number()
	return changed
}

// number gives the devices their numbers in the spool.
func (a *Agent) number() {
	a.numbers = map[uint32]*device{}
	for _, d := range a.byID {
		d.numbered = a.spool.number(d.def)
		if d.numbered.device != 0 {
			a.numbers[d.numbered.device] = d
		}
	}
	if err := a.spool.names.Sync(); err != nil {
		a.log.Error("spool: names are not durable: reports are not kept", "err", err)
		for _, d := range a.byID {
			d.numbered = numbered{}
		}
	}
}

func (a *Agent) makeDevice(def *deviceDef) *device {
	d := newDevice(def, a.alias)
	a.alias += uint64(len(def.metrics))
	d.restore(a.disk, nowMilli())
	return d
}

// startEndpoints brings the endpoints in line with the plan.
func (a *Agent) startEndpoints(p *plan) {
	want := map[string][]wanted{}
	for _, l := range p.links {
		w := wanted{def: l, rate: a.rate}
		for _, d := range a.devices {
			if d.def.link == l.name {
				w.devices, w.up = append(w.devices, d), append(w.up, d.ready)
			}
		}
		if len(w.devices) > 0 {
			want[l.endpoint] = append(want[l.endpoint], w)
		}
	}
	for name, r := range a.endpoints {
		if want[name] == nil {
			a.halt(r)
			delete(a.endpoints, name)
		}
	}
	for _, l := range p.links { // in their order, not in the map's
		w, r := want[l.endpoint], a.endpoints[l.endpoint]
		delete(want, l.endpoint)
		switch {
		case w == nil:
		case r != nil:
			a.adjust(r, w)
		default:
			a.endpoints[l.endpoint] = a.launch(l.endpoint, w)
		}
	}
}

func (a *Agent) launch(name string, w []wanted) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{newEndpoint(name, a.log, &a.count, a.out), cancel, make(chan struct{})}
	r.e.want(w)
	go func() {
		defer close(r.done)
		r.e.run(ctx)
	}()
	return r
}

// adjust lets the endpoint's goroutine take over its new form. The endpoint may
// be waiting to send, so batches are taken in meanwhile.
func (a *Agent) adjust(r *running, w []wanted) {
	finished := make(chan struct{})
	control, change := r.e.control, func() { r.e.want(w); close(finished) }
	for {
		select {
		case control <- change:
			control = nil
		case b := <-a.out:
			a.batch(b)
		case <-finished:
			return
		}
	}
}

// want gives the endpoint its form, keeping connections and devices that are
// the same.
func (e *endpoint) want(w []wanted) {
	kept := map[*link]bool{}
	var links []*link
	for _, one := range w {
		l := e.same(one.def)
		if l == nil {
			l = &link{def: one.def, drv: one.def.drv}
			l.hush(e.now())
		}
		kept[l] = true
		devices := make([]*scanned, len(one.devices))
		for i, d := range one.devices {
			if _, devices[i] = e.find(d); devices[i] == nil {
				devices[i] = newScanned(d, one.up[i])
			}
			devices[i].period = d.def.period
			if one.rate > 0 && !d.def.classed {
				devices[i].period = one.rate
			}
		}
		l.devices = devices
		links = append(links, l)
	}
	for _, l := range e.links {
		if !kept[l] {
			l.close(e)
		}
	}
	e.assign(links)
}

func (e *endpoint) same(def *linkDef) *link {
	for _, l := range e.links {
		if l.def.name == def.name && l.def.signature == def.signature && def.signature != "" {
			return l
		}
	}
	return nil
}

// halt stops an endpoint, taking in what it still sends.
func (a *Agent) halt(r *running) {
	r.cancel()
	for {
		select {
		case b := <-a.out:
			a.batch(b)
		case <-r.done:
			return
		}
	}
}

// stopTime is how long a stop waits for requests to equipment.
const stopTime = 2 * time.Second

// stopEndpoints stops all endpoints and takes in their last scans.
func (a *Agent) stopEndpoints() {
	limit := time.After(stopTime)
	for _, r := range a.endpoints {
		r.cancel()
	}
	for name, r := range a.endpoints {
		delete(a.endpoints, name)
		for stopped := false; !stopped; {
			select {
			case b := <-a.out:
				a.batch(b)
			case <-r.done:
				stopped = true
			case <-limit:
				a.late = append(a.late, r)
				limit, stopped = time.After(0), true
			}
		}
	}
	for {
		select {
		case b := <-a.out:
			a.batch(b)
		default:
			return
		}
	}
}

func (a *Agent) endpointOf(d *device) *running {
	for _, l := range a.plan.links {
		if l.name == d.def.link {
			return a.endpoints[l.endpoint]
		}
	}
	return nil
}
