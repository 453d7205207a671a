package edgenode

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// plan is a checked configuration: templates and tag files are unfolded, names
// resolved, rules computed. It does not change once it is made.
type plan struct {
	cfg     Config
	node    *deviceDef // the metrics of the node itself; its id is empty
	devices []*deviceDef
	links   []*linkDef // by name
}

// linkDef is one connection.
type linkDef struct {
	name      string
	driver    string
	endpoint  string
	timeout   time.Duration // of one request, as far as the engine knows
	drv       driver.Driver // opened, not connected; nil when no drivers were given
	signature string        // equal for connections that are configured alike
}

// deviceDef is one device, or the node itself.
type deviceDef struct {
	id        string
	link      string // empty when no metric has an address
	period    time.Duration
	classed   bool // it has named its scan class
	metrics   []metricDef
	defs      []sparkplug.Metric // of the node: the definitions of all templates that are published
	signature string             // equal for devices that are configured alike

	former      bool   // not configured any more; see withFormer
	formerUntil uint64 // position in the spool before which former metrics, or the device, have reports; 0: none
}

// metricDef is one metric.
type metricDef struct {
	name    string
	tag     driver.Tag // without ID; no Addr: held in memory
	scaling scaling
	filter  filter
	write   *Write
	initial sparkplug.Value // of one that is held in memory
	props   *sparkplug.PropertySet
	in      *instance // the template instance that it is a member of, at any depth; nil: none
	origin  origin

	volatile bool // not kept over restarts
	former   bool // not configured any more; see withFormer
}

// inMemory says whether the agent itself holds the value, scanned whether equipment
// does.
func (m *metricDef) inMemory() bool { return m.tag.Addr == "" && !m.former }
func (m *metricDef) scanned() bool  { return m.tag.Addr != "" }

// origin is where a metric was configured, for faults.
type origin struct {
	path         string // in the configuration
	file         string // the tag file, if it came from one
	line, column int    // of the row
	columns      []string
	cells        []cell // of the row, as long as columns
}

// cell is where a cell of a tag file begins.
type cell struct{ line, column int32 }

// at is the column of a key in the tag file and where its cell begins: the row,
// when it has none.
func (o *origin) at(key string) (name string, line, column int) {
	name = strings.ReplaceAll(key, ".", "_")
	if key == "range" {
		name = "range_low"
	}
	if i := slices.Index(o.columns, name); i >= 0 {
		return name, int(o.cells[i].line), int(o.cells[i].column)
	}
	return name, o.line, o.column
}

// fault reports a fault of the metric's key.
func (o origin) fault(check *config.Checker, key, format string, args ...any) {
	if o.file != "" {
		name, line, column := o.at(key)
		check.FaultAt(o.file, line, column, name+": "+format, args...)
		return
	}
	check.Faultf(config.Key(o.path, key), format, args...)
}

func (d *deviceDef) sign(all []placed) {
	metrics := make([]Metric, len(all))
	for i := range all {
		metrics[i] = all[i].Metric
	}
	b, err := json.Marshal(struct {
		Link    string
		Period  time.Duration
		Metrics []Metric
		Units   []string
		Shapes  []string
	}{d.link, d.period, metrics, units(d.metrics), d.shapes()})
	if err == nil { // else it is never equal to another: it is configured anew
		d.signature = string(b)
	}
}

func units(metrics []metricDef) []string {
	out := make([]string, len(metrics))
	for i := range metrics {
		out[i] = metrics[i].tag.Unit
	}
	return out
}

// properties makes what a birth says of a metric besides its value.
func properties(m *Metric) *sparkplug.PropertySet {
	s := &sparkplug.PropertySet{}
	add := func(key string, v sparkplug.Value) {
		s.Keys = append(s.Keys, key)
		s.Values = append(s.Values, sparkplug.Property{Value: v})
	}
	if m.Unit != "" {
		add("engUnit", sparkplug.String(m.Unit))
	}
	if m.Range != nil {
		add("engLow", sparkplug.Double(m.Range[0]))
		add("engHigh", sparkplug.Double(m.Range[1]))
	}
	add("readOnly", sparkplug.Boolean(m.Write == nil))
	if m.Write != nil && m.Write.Min != nil {
		add("writeMin", sparkplug.Double(*m.Write.Min))
	}
	if m.Write != nil && m.Write.Max != nil {
		add("writeMax", sparkplug.Double(*m.Write.Max))
	}
	if m.Description != "" {
		add("description", sparkplug.String(m.Description))
	}
	for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
		v, _ := scalar(m.Properties[key]) // checked before
		add(key, v)
	}
	// The last one is the quality, of a good metric.
	add(sparkplug.PropQuality, qualityValue(driver.Good))
	return s
}

// reserved are the properties that have keys of their own.
var reserved = []string{"engUnit", "engLow", "engHigh", "readOnly", "writeMin", "writeMax", "description", sparkplug.PropQuality}

func qualityValue(q driver.Quality) sparkplug.Value {
	return sparkplug.Int(sparkplug.TypeInt32, int64(q))
}

// withQuality is props, as properties made them, with another quality.
func withQuality(props *sparkplug.PropertySet, q driver.Quality) *sparkplug.PropertySet {
	if q == driver.Good {
		return props
	}
	out := &sparkplug.PropertySet{Keys: props.Keys, Values: slices.Clone(props.Values)}
	out.Values[len(out.Values)-1].Value = qualityValue(q)
	return out
}
