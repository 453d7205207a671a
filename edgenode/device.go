package edgenode

import (
	"cmp"
	"slices"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// device is the agent's side of a device, or of the node itself (whose id is
// empty). The agent's goroutine owns it.
type device struct {
	def   *deviceDef
	alias uint64 // of slot 0
	now   []current
	ready bool              // its equipment answers
	slots map[string]uint32 // by name

	numbered numbered      // in the spool
	told     session.Spans // records there of which a birth tells all
	retired  bool          // former metrics are not declared any more
}

// current is the present value of a metric, as it was last reported.
type current struct {
	value   sparkplug.Value
	time    int64
	last    int64 // time of the newest report, which the next one must be behind
	quality driver.Quality
}

// newDevice makes a device none of whose values is known.
func newDevice(def *deviceDef, alias uint64) *device {
	d := &device{def: def, alias: alias, now: make([]current, len(def.metrics)), slots: make(map[string]uint32, len(def.metrics))}
	for i := range def.metrics {
		m := &def.metrics[i]
		d.slots[m.name] = uint32(i)
		d.now[i] = current{value: sparkplug.Null(m.scaling.pub), quality: driver.Good}
		if m.former {
			d.now[i].quality = stale
		}
	}
	d.ready = def.link == ""
	return d
}

// restore takes over what is on disk of metrics held in memory, or else what
// the configuration says.
func (d *device) restore(k *disk, at int64) {
	for i := range d.def.metrics {
		m := &d.def.metrics[i]
		if !m.inMemory() {
			continue
		}
		c := &d.now[i]
		c.value, c.time = m.initial, at
		if m.volatile {
			continue
		}
		if v, t, ok := k.value(d.def.id, m.name, m.tag.Type); ok {
			c.value, c.time = v, t
		}
		c.last = c.time
	}
}

// inherit takes over values of an earlier form of the device, of the metrics
// that still are what they were.
func (d *device) inherit(old *device) {
	d.ready = d.ready || old.ready && old.def.link == d.def.link
	for i := range old.def.metrics {
		j, ok := d.slots[old.def.metrics[i].name]
		if ok && d.def.metrics[j].scaling.pub == old.def.metrics[i].scaling.pub {
			switch m := &d.def.metrics[j]; {
			case m.former:
				d.now[j].last = old.now[i].last
			case !m.inMemory():
				d.now[j] = old.now[i]
			}
		}
	}
}

// apply makes reports the present values.
func (d *device) apply(reports []report) {
	for i := range reports {
		r := &reports[i]
		c := &d.now[r.slot]
		c.value, c.time, c.quality = r.value, r.time, r.quality
	}
}

// birth fills in the metrics of a birth, oldest value first.
//
// Spec: tck-id-topics-dbirth-metric-reqs, tck-id-payloads-alias-birth-requirement,
// tck-id-operational-behavior-data-publish-dbirth-order.
func (d *device) birth(dst []sparkplug.Metric, at int64, aliases bool) []sparkplug.Metric {
	first := len(dst)
	for i := range d.def.metrics {
		m, c := &d.def.metrics[i], &d.now[i]
		if n := m.in; n != nil {
			if uint32(i) == n.first {
				v, newest := d.whole(n, at)
				dst = append(dst, sparkplug.Metric{
					Name: n.name, Alias: d.alias + uint64(i), HasAlias: aliases, Timestamp: newest, HasTimestamp: true, Value: v,
				})
			}
			continue
		}
		if m.former && d.retired {
			continue
		}
		c.since(at)
		dst = append(dst, sparkplug.Metric{
			Name: m.name, Alias: d.alias + uint64(i), HasAlias: aliases,
			Timestamp: c.time, HasTimestamp: true,
			Value: c.value, Properties: withQuality(m.props, c.quality),
		})
	}
	slices.SortStableFunc(dst[first:], func(a, b sparkplug.Metric) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return dst
}

// since gives a value that has no time that of the birth that tells it.
func (c *current) since(at int64) {
	if c.time == 0 {
		c.time = at
	}
}

var qualities = map[driver.Quality]*sparkplug.PropertySet{
	driver.Bad:  qualityOnly(driver.Bad),
	driver.Good: qualityOnly(driver.Good),
	stale:       qualityOnly(stale),
}

func qualityOnly(q driver.Quality) *sparkplug.PropertySet {
	return &sparkplug.PropertySet{Keys: []string{sparkplug.PropQuality}, Values: []sparkplug.Property{{Value: qualityValue(q)}}}
}

// data appends the metric of one report. told says that the quality need not
// be said because it was good before.
//
// Spec: tck-id-payloads-alias-data-cmd-requirement,
// tck-id-payloads-metric-datatype-not-req.
func (d *device) data(dst []sparkplug.Metric, r *report, aliases, told, historical bool) []sparkplug.Metric {
	if d.def.metrics[r.slot].in != nil {
		return d.part(dst, r, aliases, told, historical)
	}
	m := sparkplug.Metric{
		Timestamp: r.time, HasTimestamp: true, Value: r.value, OmitType: true, Historical: historical,
	}
	if aliases {
		m.Alias, m.HasAlias = d.alias+uint64(r.slot), true
	} else {
		m.Name = d.def.metrics[r.slot].name
	}
	if !told || r.quality != driver.Good {
		m.Properties = qualities[r.quality]
	}
	return append(dst, m)
}
