package conform

import (
	"fmt"
	"strings"
	"time"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// metrics grades the metrics of a birth, data or death.
func (w *Watch) metrics(t sparkplug.Topic, p *sparkplugpb.Payload, n *node) {
	birth := t.Type == sparkplug.NBIRTH || t.Type == sparkplug.DBIRTH
	data := t.Type == sparkplug.NDATA || t.Type == sparkplug.DDATA
	if !birth && !data {
		return
	}
	w.chronology(t, p)
	if birth && !w.stored() {
		w.declare(t, p, n)
	}
	for _, m := range p.Metrics {
		w.metric(t, m, birth)
		w.template(m, n, t.Type)
		if data {
			w.undeclared(t, m, n)
		}
	}
}

// metric grades one metric of a birth or data message for itself.
func (w *Watch) metric(t sparkplug.Topic, m *sparkplugpb.Payload_Metric, birth bool) {
	w.judge(m.Name != nil || m.Alias != nil, "a metric without name and alias", "payloads-name-requirement")
	w.judge(m.Timestamp != nil, fmt.Sprintf("metric %s has no timestamp", label(m)), "payloads-name-birth-data-requirement")
	if m.Timestamp != nil {
		at := time.UnixMilli(int64(*m.Timestamp))
		w.judge(at.Before(w.now.At.Add(w.skew)), fmt.Sprintf("metric %s is of %v, which is to come", label(m), at.UTC()), "payloads-metric-timestamp-in-UTC")
	}
	null := m.GetIsNull()
	if birth {
		k := lower[t.Type]
		whole := m.GetName() != "" && m.Datatype != nil && (m.Value != nil) != null
		w.judge(whole, fmt.Sprintf("metric %s lacks its name, datatype or value", label(m)), "topics-"+k+"-metrics")
		w.judge((m.Value != nil) != null, fmt.Sprintf("metric %s has neither value nor is_null, or both", label(m)),
			"operational-behavior-data-publish-"+k+"-values")
		w.judge(m.Datatype != nil, fmt.Sprintf("metric %s has no datatype", label(m)), "payloads-metric-datatype-req")
		if m.Alias != nil {
			w.judge(m.Name != nil, fmt.Sprintf("alias %d without a name", *m.Alias), "payloads-alias-birth-requirement")
		}
	} else {
		w.judge(m.Datatype == nil, fmt.Sprintf("metric %s carries its datatype", label(m)), "payloads-metric-datatype-not-req")
	}
	w.value(m, birth)
}

// value grades the datatype and the parts of a metric.
func (w *Watch) value(m *sparkplugpb.Payload_Metric, birth bool) {
	if m.Datatype != nil {
		ok := *m.Datatype > 0 && *m.Datatype < 256 && sparkplug.DataType(*m.Datatype).Known()
		w.judge(ok, fmt.Sprintf("metric %s has datatype %d", label(m), *m.Datatype),
			"payloads-metric-datatype-value", "payloads-metric-datatype-value-type")
	}
	if m.Properties != nil {
		w.properties(m.Properties, birth, 0)
	}
	if d := m.GetDatasetValue(); d != nil {
		w.dataset(d)
	}
}

// chronology grades that metrics that are not historical are in order of time.
func (w *Watch) chronology(t sparkplug.Topic, p *sparkplugpb.Payload) {
	id := "operational-behavior-data-publish-nbirth-order"
	if t.Type.OfDevice() {
		id = "operational-behavior-data-publish-dbirth-order"
	}
	var last uint64
	for _, m := range p.Metrics {
		if m.GetIsHistorical() || m.Timestamp == nil {
			continue
		}
		if *m.Timestamp < last {
			w.judge(false, fmt.Sprintf("metric %s is older than the one before", label(m)), id)
			return
		}
		last = *m.Timestamp
	}
	w.judge(true, "", id)
}

// declare takes in the metrics of a birth.
func (w *Watch) declare(t sparkplug.Topic, p *sparkplugpb.Payload, n *node) {
	for _, m := range p.Metrics {
		if d := m.GetTemplateValue(); d.GetIsDefinition() && t.Type == sparkplug.NBIRTH && len(n.defs) < maxNodes {
			n.defs[m.GetName()] = d
		}
	}
	e := make(entity, len(p.Metrics))
	small := make(map[string]string, len(p.Metrics))
	clash := ""
	for _, m := range p.Metrics {
		name := m.GetName()
		e[name] = birthed{m.Alias != nil, m.GetDatatype()}
		if other, ok := small[strings.ToLower(name)]; ok && other != name {
			clash = fmt.Sprintf("%q and %q differ in case only", other, name)
		}
		small[strings.ToLower(name)] = name
		if m.Alias != nil {
			d, taken := n.alias[*m.Alias]
			w.judge(!taken, fmt.Sprintf("alias %d of %q is already that of %q (device %q)", *m.Alias, name, d.name, d.device), "payloads-alias-uniqueness")
			n.alias[*m.Alias] = declared{t.Device, name}
		}
	}
	w.judge(clash == "", clash, "case-sensitivity-metric-names")
	if _, ok := n.names[t.Device]; ok || len(n.names) < maxNodes {
		n.names[t.Device] = e
	}
}

// undeclared grades that a metric of a data message is in the birth, by its
// alias if it has one.
func (w *Watch) undeclared(t sparkplug.Topic, m *sparkplugpb.Payload_Metric, n *node) {
	e, ok := n.names[t.Device]
	if !ok || n.phase != born {
		return
	}
	b, has := e[m.GetName()]
	if m.Alias != nil {
		d, taken := n.alias[*m.Alias]
		has = taken && d.device == t.Device
		w.judge(m.Name == nil, fmt.Sprintf("metric %s has an alias too", label(m)), "payloads-alias-data-cmd-requirement")
	} else if has && b.aliased {
		w.judge(false, fmt.Sprintf("metric %s goes by name, and its birth gave it an alias", label(m)), "payloads-alias-data-cmd-requirement")
	}
	ids := []string{"topics-nbirth-metric-reqs", "operational-behavior-data-publish-nbirth"}
	if t.Device != "" {
		ids = []string{"topics-dbirth-metric-reqs", "operational-behavior-data-publish-dbirth"}
	}
	w.judge(has, fmt.Sprintf("metric %s is not in the birth", label(m)), ids...)
}
