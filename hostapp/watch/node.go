package watch

import (
	"maps"
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// slot is the current value of one metric, 24 bytes: there may be millions.
type slot struct {
	bits    uint64 // of a number, a Boolean or a DateTime
	time    int64  // ms
	out     uint32 // 1 + index into entity.out of any other value
	quality uint16
	flags   uint8
}

const (
	slotSome  = 1 << iota // not null
	slotKnown             // a value or null came since the birth
)

// aside holds a value that does not fit a slot.
type aside struct {
	value sparkplug.Value // a copy of our own
	text  []byte          // memory of a text or bytes value, reused
}

// entity is what has metrics: an edge node itself, or one of its devices.
type entity struct {
	id        uint32
	state     State
	device    string // empty: the node
	shape     *session.Shape
	slots     []slot
	out       []aside
	props     map[uint32]*sparkplug.PropertySet // changed since the birth
	changedAt int64
	staleAt   int64 // ms; 0: not stale
}

// node is one edge node. All of it is guarded by the watcher's lock.
type node struct {
	own     entity
	group   string
	name    string
	machine *session.Node
	link    *Link // where its births come from
	devices map[string]*entity

	due   int64 // when machine wants a tick; 0: never
	place int   // in the watcher's timers; -1: not there
	asked bool  // a rebirth request waits to be published

	cause                          session.Cause // of the last rebirth request
	birthAt, deathAt               int64
	births, deaths, rebirths, gaps uint32
	messages, malformed            uint64
	latency, skew                  int64
	skewKnown                      bool
	metrics                        int // of the node and its devices
}

// sorted returns the devices by name.
func (n *node) sorted() []*entity {
	devices := make([]*entity, 0, len(n.devices))
	for _, name := range slices.Sorted(maps.Keys(n.devices)) {
		devices = append(devices, n.devices[name])
	}
	return devices
}

// find returns the node's own entity or that of a device.
func (n *node) find(device string) *entity {
	if device == "" {
		return &n.own
	}
	return n.devices[device]
}

// heard notes how old a live message was when it came. The skew is the least
// age of late: it rises slowly, so that a slow network for a while does not
// count as a slow clock.
func (n *node) heard(now, sent int64) {
	n.latency = now - sent
	switch {
	case !n.skewKnown:
		n.skew, n.skewKnown = n.latency, true
	case n.latency < n.skew:
		n.skew = n.latency
	default:
		n.skew += (n.latency - n.skew) / 64
	}
}

// declare prepares e for the values of a birth.
func (e *entity) declare(shape *session.Shape) {
	if e.shape == shape && e.slots != nil {
		clear(e.slots)
	} else {
		e.slots = make([]slot, shape.Len())
	}
	e.shape, e.out, e.props = shape, e.out[:0], nil
}

// set stores a value in a slot, field by field: a whole slot would be put
// together elsewhere first, and the copy wait for it.
func (e *entity) set(s *slot, v *sparkplug.Value, time int64, quality uint16) {
	s.time, s.quality = time, quality
	switch t := v.Type(); {
	case v.IsNull():
		s.flags = slotKnown
	case numeric(t):
		s.bits, s.flags = v.Uint(), slotKnown|slotSome
	default:
		s.flags = slotKnown | slotSome
		e.setAside(s, *v)
	}
}

// setAside keeps a value that does not fit a slot.
func (e *entity) setAside(s *slot, v sparkplug.Value) {
	if s.out == 0 {
		e.out = append(e.out, aside{})
		s.out = uint32(len(e.out))
	}
	e.out[s.out-1].keep(v)
}

// keep copies v into memory that is reused where it can be.
func (a *aside) keep(v sparkplug.Value) {
	switch t := v.Type(); {
	case t.Textual():
		a.text = append(a.text[:0], v.Str()...)
		a.value = sparkplug.Bytes(t, a.text)
	case t.Binary(), t.Array():
		a.text = append(a.text[:0], v.Raw()...)
		a.value = sparkplug.Bytes(t, a.text)
	default:
		a.value = v.Clone()
	}
}

// value returns a copy of what slot i holds.
func (e *entity) value(i uint32) sparkplug.Value {
	s, t := &e.slots[i], e.shape.Def(i).Type
	switch {
	case s.flags&slotSome == 0:
		return sparkplug.Null(t)
	case s.out != 0 && !numeric(t):
		return e.out[s.out-1].value.Clone()
	}
	return sparkplug.Uint(t, s.bits)
}

// numeric says whether a value of type t is in its 64 bits.
func numeric(t sparkplug.DataType) bool {
	return t.Numeric() || t == sparkplug.TypeBoolean || t == sparkplug.TypeDateTime
}
