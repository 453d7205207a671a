package edgenode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// instance is a template instance that a device publishes as one metric. Its
// members are metrics of the device like any other, but are told within it.
type instance struct {
	name    string // of the metric, or of the member of an outer instance
	ref     string // name of the definition
	version string
	params  []sparkplug.Parameter
	members []member
	first   uint32 // the lowest slot of its members
	in      *deviceDef
}

// member is one member of an instance: a metric, or an instance within it.
type member struct {
	name  string
	slot  uint32
	inner *instance // nil: a metric
}

// find returns the slot of a metric and whether an instance has it at all.
func (n *instance) find(name string) (m member, ok bool) {
	i := slices.IndexFunc(n.members, func(m member) bool { return m.name == name })
	if i < 0 {
		return m, false
	}
	return n.members[i], true
}

// owner returns the innermost instance that has the slot, with the way to it:
// the names of the instances within n.
func (n *instance) owner(slot uint32) (way []*instance, m member, ok bool) {
	for _, m := range n.members {
		if m.inner == nil {
			if m.slot == slot {
				return nil, m, true
			}
			continue
		}
		if way, found, ok := m.inner.owner(slot); ok {
			return append([]*instance{m.inner}, way...), found, true
		}
	}
	return nil, m, false
}

// head is the instance as a template without members.
func (n *instance) head() *sparkplug.Template {
	return &sparkplug.Template{Ref: n.ref, Version: n.version}
}

// whole is the instance with all its members, as births have it, and the time
// of the newest.
//
// Spec: tck-id-payloads-template-instance-members-birth,
// tck-id-payloads-template-instance-is-definition.
func (d *device) whole(n *instance, at int64) (v sparkplug.Value, newest int64) {
	t := n.head()
	t.Parameters = n.params
	for _, m := range n.members {
		if m.inner != nil {
			inner, time := d.whole(m.inner, at)
			newest = max(newest, time)
			t.Metrics = append(t.Metrics, sparkplug.Metric{Name: m.name, Value: inner, Timestamp: time, HasTimestamp: true})
			continue
		}
		def, c := &d.def.metrics[m.slot], &d.now[m.slot]
		c.since(at)
		newest = max(newest, c.time)
		t.Metrics = append(t.Metrics, sparkplug.Metric{
			Name: m.name, Value: c.value, Timestamp: c.time, HasTimestamp: true, Properties: withQuality(def.props, c.quality),
		})
	}
	return sparkplug.OfTemplate(t), newest
}

// part puts a report of a member into the last of the metrics if that is of the
// same instance and has not the member yet, else into one more.
//
// Spec: tck-id-payloads-template-instance-members-data.
func (d *device) part(dst []sparkplug.Metric, r *report, aliases, told, historical bool) []sparkplug.Metric {
	n := d.def.metrics[r.slot].in
	way, m, ok := n.owner(r.slot)
	if !ok {
		return dst // every member is in its instance
	}
	last := len(dst) - 1
	if last < 0 || !d.isOf(&dst[last], n, aliases) || has(dst[last].Value.Template(), way, m.name) {
		one := sparkplug.Metric{Value: sparkplug.OfTemplate(n.head()), OmitType: true, Historical: historical}
		if aliases {
			one.Alias, one.HasAlias = d.alias+uint64(n.first), true
		} else {
			one.Name = n.name
		}
		dst = append(dst, one)
		last++
	}
	t := dst[last].Value.Template()
	for _, inner := range way {
		t = within(t, inner)
	}
	one := sparkplug.Metric{Name: m.name, Value: r.value, Timestamp: r.time, HasTimestamp: true}
	if !told || r.quality != driver.Good {
		one.Properties = qualities[r.quality]
	}
	t.Metrics = append(t.Metrics, one)
	dst[last].Timestamp, dst[last].HasTimestamp = max(dst[last].Timestamp, r.time), true
	return dst
}

// isOf says whether m is a metric of the instance.
func (d *device) isOf(m *sparkplug.Metric, n *instance, aliases bool) bool {
	if aliases {
		return m.HasAlias && m.Alias == d.alias+uint64(n.first)
	}
	return m.Name == n.name
}

// has says whether a partial instance holds a member already.
func has(t *sparkplug.Template, way []*instance, name string) bool {
	for _, inner := range way {
		i := slices.IndexFunc(t.Metrics, func(m sparkplug.Metric) bool { return m.Name == inner.name })
		if i < 0 {
			return false
		}
		t = t.Metrics[i].Value.Template()
	}
	return slices.ContainsFunc(t.Metrics, func(m sparkplug.Metric) bool { return m.Name == name })
}

// within returns the partial inner instance of t, which it makes if need be.
func within(t *sparkplug.Template, inner *instance) *sparkplug.Template {
	i := slices.IndexFunc(t.Metrics, func(m sparkplug.Metric) bool { return m.Name == inner.name })
	if i < 0 {
		t.Metrics = append(t.Metrics, sparkplug.Metric{Name: inner.name, Value: sparkplug.OfTemplate(inner.head())})
		i = len(t.Metrics) - 1
	}
	return t.Metrics[i].Value.Template()
}

// order is what a command wants of one metric.
type order struct {
	slot  uint32
	value sparkplug.Value
}

// orders lists what a template in a command wants of the members of n. It is
// all or nothing: an unknown member is an error.
func (n *instance) orders(t *sparkplug.Template, dst []order) ([]order, error) {
	if t.Ref != "" && t.Ref != n.ref {
		return nil, fmt.Errorf("it is an instance of %q, not of %q", n.ref, t.Ref)
	}
	for i := range t.Metrics {
		m := &t.Metrics[i]
		known, ok := n.find(m.Name)
		if !ok {
			return nil, fmt.Errorf("template %q has no member %q", n.ref, m.Name)
		}
		if known.inner == nil {
			dst = append(dst, order{known.slot, m.Value})
			continue
		}
		v, err := m.Value.As(sparkplug.TypeTemplate)
		if err != nil || v.Template() == nil {
			return nil, fmt.Errorf("member %q is an instance of template %q", m.Name, known.inner.ref)
		}
		if dst, err = known.inner.orders(v.Template(), dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// shapes tells the instances of a device apart from those of another form, and
// what the node defines.
func (d *deviceDef) shapes() (out []string) {
	var last *instance
	for i := range d.metrics {
		if n := d.metrics[i].in; n != nil && n != last {
			out = append(out, n.describe())
			last = n
		}
	}
	for i := range d.metrics {
		if m := &d.metrics[i]; m.volatile {
			out = append(out, m.name+"="+m.initial.String())
		}
	}
	for i := range d.defs {
		out = append(out, d.defs[i].Name+string(sparkplug.AppendJSON(nil, d.defs[i].Value)))
	}
	return out
}

func (n *instance) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%s:%s:%d(", n.name, n.ref, n.version, n.first)
	for _, p := range n.params {
		fmt.Fprintf(&b, "%s=%v,", p.Name, p.Value)
	}
	for _, m := range n.members {
		if m.inner != nil {
			b.WriteString(m.inner.describe())
			continue
		}
		fmt.Fprintf(&b, "%s@%d,", m.name, m.slot)
	}
	b.WriteString(")")
	return b.String()
}
