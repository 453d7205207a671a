package watch

import (
	"maps"
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// slot is the current value of one metric, 16 bytes: there may be millions.
type slot struct {
	bits uint64 // of a number, a Boolean or a DateTime; slotAside: index into entity.asides
	meta uint64 // from the low end: flags, quality (16 bits), time (45 bits, ms, signed)
}

// The flags of a slot, and where the rest of meta begins.
const (
	slotSome  = 1 << iota // not null
	slotKnown             // a value or null came since the birth
	slotAside             // value or time do not fit a slot, now or earlier since the birth

	slotQuality = 3
	slotTime    = 19
)

// aside holds what does not fit a slot.
type aside struct {
	value sparkplug.Value // a copy of our own
	text  []byte          // memory of a text or bytes value, reused
	time  int64
}

// entity is what has metrics: an edge node itself, or one of its devices.
type entity struct {
	id        uint32
	state     State
	asides    []aside
	props     map[uint32]*sparkplug.PropertySet // changed since the birth
	changedAt int64
	staleAt   int64 // ms; 0: not stale

	// What a data message needs comes last: in a node, the rest of it follows.
	device string // empty: the node
	shape  *session.Shape
	slots  []slot
}

// node is one edge node. All of it is guarded by the watcher's lock. Of
// thousands few are in the cache, so what a data message needs lies together:
// the end of own to the beginning of machine.
type node struct {
	group   string
	name    string
	link    *Link // where its births come from
	devices map[string]*entity

	due   int64 // when machine wants a tick; 0: never
	place int   // in the watcher's timers; -1: not there
	asked bool  // a rebirth request waits to be published

	cause                          session.Cause // of the last rebirth request
	birthAt, deathAt               int64
	births, deaths, rebirths, gaps uint32
	conflicts                      uint32
	malformed                      uint64
	metrics                        int // of the node and its devices

	own           entity
	messages      uint64
	latency, skew int64
	skewKnown     bool
	machine       session.Node
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
	e.shape, e.asides, e.props = shape, e.asides[:0], nil
}

// good are the flags and the quality of a good value.
const good = slotKnown | slotSome | uint64(sparkplug.QualityGood)<<slotQuality

// put stores a value that a slot has room for, and is false for any other.
// What was put aside once stays there until the next birth.
func (s *slot) put(v *sparkplug.Value, time int64, meta uint64) bool {
	bits, ok := v.Number()
	if !ok || !fits(time) || s.meta&slotAside != 0 {
		return false
	}
	s.bits, s.meta = bits, meta|uint64(time)<<slotTime
	return true
}

// fits says whether a time has room in a slot.
func fits(time int64) bool { return time<<slotTime>>slotTime == time }

// set stores any value in a slot, or beside it.
func (e *entity) set(s *slot, v *sparkplug.Value, time int64, quality uint16) {
	meta := slotKnown | uint64(quality)<<slotQuality
	if !v.IsNull() {
		meta |= slotSome
	}
	switch {
	case s.put(v, time, meta):
		return
	case v.IsNull() && fits(time) && s.meta&slotAside == 0:
		s.meta = meta | uint64(time)<<slotTime
		return
	case s.meta&slotAside == 0:
		s.bits = uint64(len(e.asides))
		if len(e.asides) < cap(e.asides) {
			e.asides = e.asides[:len(e.asides)+1] // with the memory of its last use
		} else {
			e.asides = append(e.asides, aside{})
		}
	}
	s.meta = meta | slotAside
	a := &e.asides[s.bits]
	a.time = time
	a.keep(*v)
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
	case s.meta&slotSome == 0:
		return sparkplug.Null(t)
	case s.meta&slotAside != 0:
		return e.asides[s.bits].value.Clone()
	}
	return sparkplug.Uint(t, s.bits)
}

// time is that of the value in a slot.
func (e *entity) time(s *slot) int64 {
	if s.meta&slotAside != 0 {
		return e.asides[s.bits].time
	}
	return int64(s.meta) >> slotTime
}

func (s *slot) quality() uint16 { return uint16(s.meta >> slotQuality) }
