package edgenode

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// placed is a metric as configured, unfolded, and where it stands.
type placed struct {
	Metric
	origin origin
	in     *instance // outermost
}

func (k *compiler) nodeMetrics() []placed {
	var out []placed
	for i, m := range k.cfg.Metrics {
		o := origin{path: config.Index("metrics", i)}
		if m.Addr != "" {
			o.fault(k.check, "addr", "a metric of the node has no connection: leave out addr, or put it into a device")
		}
		out = append(out, placed{m, o, nil})
	}
	for i := range k.cfg.Use {
		path := config.Index("use", i)
		for _, p := range k.use(&k.cfg.Use[i], path) {
			if p.Addr != "" {
				k.check.Faultf(path, "metric %q has an addr, and the node no connection: use the template in a device", p.Name)
			}
			out = append(out, p)
		}
	}
	return out
}

func (k *compiler) device(i int) {
	c := &k.cfg.Devices[i]
	path := config.Index("devices", i)
	d := &deviceDef{id: c.ID}
	k.id(config.Key(path, "id"), c.ID)
	for _, other := range k.plan.devices {
		if other.id != "" && strings.EqualFold(other.id, c.ID) {
			k.check.Faultf(config.Key(path, "id"), "there is a device %q already", other.id)
		}
	}
	class := orText(c.Class, classNormal)
	d.classed = c.Class != ""
	period, ok := k.cfg.ScanClasses[class]
	if !ok {
		k.check.Faultf(config.Key(path, "class"), "no scan class %q%s", class,
			orText(suggest(class, slices.Sorted(maps.Keys(k.cfg.ScanClasses))), ": "+among(k.cfg.ScanClasses)))
	}
	d.period = period.Std()
	all := k.unfold(c, path)
	if slices.ContainsFunc(all, func(p placed) bool { return p.Addr != "" }) {
		k.link(d, c, path)
	}
	unit := ""
	if c.Unit != nil {
		unit = strconv.Itoa(*c.Unit)
	}
	k.metrics(d, all)
	for i := range d.metrics {
		d.metrics[i].tag.Unit = unit
	}
	d.sign(all)
	k.plan.devices = append(k.plan.devices, d)
}

func (k *compiler) link(d *deviceDef, c *Device, path string) {
	d.link = c.Connection
	if c.Connection == "" {
		k.check.Faultf(config.Key(path, "connection"), "connection is missing: metrics with addr need one")
	} else if _, ok := k.cfg.Connections[c.Connection]; !ok {
		k.check.Faultf(config.Key(path, "connection"), "no connection %q%s", c.Connection,
			orText(suggest(c.Connection, slices.Sorted(maps.Keys(k.cfg.Connections))), ": "+among(k.cfg.Connections)))
	}
}

// unfold lists the metrics of a device: of its templates, its own, and those of
// its tag file.
func (k *compiler) unfold(c *Device, path string) []placed {
	var out []placed
	for i := range c.Use {
		out = append(out, k.use(&c.Use[i], config.Index(config.Key(path, "use"), i))...)
	}
	for i, m := range c.Metrics {
		out = append(out, placed{m, origin{path: config.Index(config.Key(path, "metrics"), i)}, nil})
	}
	if c.CSV != "" {
		out = append(out, k.tagFile(c.CSV, config.Key(path, "csv"))...)
	}
	return out
}

// metrics checks the metrics of a device and compiles them.
func (k *compiler) metrics(d *deviceDef, all []placed) {
	names := make(map[string]string, len(all))
	d.metrics = make([]metricDef, 0, len(all))
	for i := range all {
		p := &all[i]
		switch {
		case p.Name == "":
			p.origin.fault(k.check, "name", "name is missing: give one, / separates folders")
		case strings.HasPrefix(p.Name, "/") || strings.HasSuffix(p.Name, "/"):
			p.origin.fault(k.check, "name", "%q is no name: it begins or ends with /", p.Name)
		case sessionsOwn(p.Name):
			p.origin.fault(k.check, "name", "%q is the session's own metric", p.Name)
		}
		// Spec: tck-id-case-sensitivity-metric-names.
		folded := strings.ToLower(p.Name)
		if other, ok := names[folded]; ok && p.Name != "" {
			p.origin.fault(k.check, "name", "there is a metric %q already", other)
		}
		names[folded] = p.Name
		d.metrics = append(d.metrics, k.metric(p))
	}
	d.place()
}

// sessionsOwn says whether a name is kept for what an edge node tells and obeys
// by itself.
func sessionsOwn(name string) bool {
	folder, _, in := strings.Cut(name, "/")
	return strings.EqualFold(name, sparkplug.MetricBdSeq) || in && strings.EqualFold(folder, "Node Control")
}

func (k *compiler) metric(p *placed) metricDef {
	m := metricDef{
		name:   p.Name,
		tag:    driver.Tag{Addr: p.Addr, Order: p.Order},
		write:  p.Write,
		props:  properties(&p.Metric),
		in:     p.in,
		origin: p.origin,
		filter: filter{min: p.MinInterval.Std().Milliseconds(), max: p.MaxInterval.Std().Milliseconds()},
	}
	raw := k.datatype(p, "type", p.Type)
	pub := raw
	scaled := p.Scale != nil || p.Offset != nil
	if p.As != "" {
		pub = k.datatype(p, "as", p.As)
	} else if scaled {
		pub = sparkplug.TypeDouble
	}
	m.tag.Type = raw
	m.scaling = newScaling(raw, pub, p.Scale, p.Offset)
	k.extras(p)
	k.numbers(p, &m, raw, pub)
	if m.inMemory() {
		k.memory(p, &m)
	} else if p.Value != nil {
		p.origin.fault(k.check, "value", "a metric with addr has the value of the equipment: leave one out")
	}
	return m
}

// datatype reads the name of a datatype that a metric can have.
func (k *compiler) datatype(p *placed, key, name string) sparkplug.DataType {
	if name == "" {
		p.origin.fault(k.check, key, "%s is missing: give a Sparkplug datatype, like Float", key)
		return sparkplug.TypeUnknown
	}
	t, ok := sparkplug.ParseDataType(name)
	switch {
	case !ok || t == sparkplug.TypeUnknown || t == sparkplug.TypePropertySet || t == sparkplug.TypePropertySetList:
		var names []string
		for t := sparkplug.TypeInt8; t <= sparkplug.TypeDateTimeArray; t++ {
			names = append(names, t.String())
		}
		p.origin.fault(k.check, key, "no Sparkplug datatype %q%s", name, suggest(name, names))
		return sparkplug.TypeUnknown
	case t == sparkplug.TypeTemplate:
		p.origin.fault(k.check, key, "a Template is put together from its members: describe it under templates, and use it with instance: true")
		return sparkplug.TypeUnknown
	case t == sparkplug.TypeDataSet && p.Addr != "":
		p.origin.fault(k.check, key, "no equipment has a DataSet: leave out addr, and it is held in memory")
		return sparkplug.TypeUnknown
	case t == sparkplug.TypeDataSet && p.Value == nil:
		p.origin.fault(k.check, "value", "value is missing: a DataSet needs its columns, like {columns: [{name: Batch, type: Int32}], rows: [[1]]}")
	}
	return t
}

// numbers checks what only numbers have.
func (k *compiler) numbers(p *placed, m *metricDef, raw, pub sparkplug.DataType) {
	known := raw != sparkplug.TypeUnknown && pub != sparkplug.TypeUnknown
	numeric := raw.Numeric() && pub.Numeric()
	switch {
	case !known:
	case m.scaling.on && !numeric:
		p.origin.fault(k.check, "scale", "a %s published as %s cannot be scaled", raw, pub)
	case raw != pub && !numeric && !(raw.Textual() && pub.Textual()):
		p.origin.fault(k.check, "as", "a %s cannot be published as %s", raw, pub)
	case p.Deadband.Size > 0 && !pub.Numeric():
		p.origin.fault(k.check, "deadband", "a %s has no deadband", pub)
	}
	if p.Scale != nil && *p.Scale == 0 {
		p.origin.fault(k.check, "scale", "a scale of 0 loses the value")
	}
	if p.Range != nil && p.Range[0] >= p.Range[1] {
		p.origin.fault(k.check, "range", "want [low, high], not [%v, %v]", p.Range[0], p.Range[1])
	}
	m.filter.deadband = p.Deadband.Size
	if p.Deadband.Percent {
		if p.Range == nil {
			p.origin.fault(k.check, "deadband", "a deadband in %% needs range, the span it is a part of")
		} else {
			m.filter.deadband = p.Deadband.Size / 100 * (p.Range[1] - p.Range[0])
		}
	}
	if p.Write != nil {
		k.bounds(p, pub, known)
	}
}

// bounds checks the limits of a write; known says whether the type is.
func (k *compiler) bounds(p *placed, pub sparkplug.DataType, known bool) {
	w := p.Write
	if (w.Min != nil || w.Max != nil) && known && !pub.Numeric() {
		p.origin.fault(k.check, "write", "a %s has no min and max", pub)
		return
	}
	if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
		p.origin.fault(k.check, "write", "min %v is above max %v", *w.Min, *w.Max)
		return
	}
	for key, bound := range map[string]*float64{"min": w.Min, "max": w.Max} {
		if bound == nil || !known {
			continue
		}
		if _, err := number(pub, *bound); err != nil {
			p.origin.fault(k.check, "write."+key, "%s %v", key, err)
		}
	}
}

// memory checks a metric that is held in memory.
func (k *compiler) memory(p *placed, m *metricDef) {
	for key, set := range map[string]bool{"scale": p.Scale != nil, "offset": p.Offset != nil, "order": p.Order != "", "as": p.As != ""} {
		if set {
			p.origin.fault(k.check, key, "a metric without addr is held in memory as it is: it has no %s", key)
		}
	}
	m.initial = sparkplug.Null(m.tag.Type)
	if p.Value == nil || m.tag.Type == sparkplug.TypeUnknown {
		return
	}
	v, err := initialValue(m.tag.Type, p.Value)
	if err != nil {
		p.origin.fault(k.check, "value", "%v", err)
		return
	}
	m.initial = v
}
