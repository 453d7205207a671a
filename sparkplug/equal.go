package sparkplug

import (
	"bytes"
	"slices"
)

// Equal says whether v and w have the same type and the same content. Floats
// are compared by their bits: a NaN equals itself, and 0 is not -0. Two nulls
// of one type are equal.
func (v Value) Equal(w Value) bool {
	if v.typ != w.typ || v.some != w.some {
		return false
	}
	if !v.some {
		return true
	}
	if v.wire != w.wire {
		return false
	}
	switch v.kind() {
	case wireString:
		return v.text() == w.text()
	case wireBytes:
		return bytes.Equal(v.bytes(), w.bytes())
	case wireDataSet:
		return (*DataSet)(v.ref).Equal((*DataSet)(w.ref))
	case wireTemplate:
		return (*Template)(v.ref).Equal((*Template)(w.ref))
	}
	return v.num == w.num
}

// Equal says whether p and q have the same content.
func (p *Payload) Equal(q *Payload) bool {
	return p.HasTimestamp == q.HasTimestamp && (!p.HasTimestamp || p.Timestamp == q.Timestamp) &&
		p.HasSeq == q.HasSeq && (!p.HasSeq || p.Seq == q.Seq) &&
		p.UUID == q.UUID && bytes.Equal(p.Body, q.Body) && equalMetrics(p.Metrics, q.Metrics)
}

func equalMetrics(a, b []Metric) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(&b[i]) {
			return false
		}
	}
	return true
}

// Equal says whether m and n have the same content. OmitType says nothing of a
// value whose type is unknown.
func (m *Metric) Equal(n *Metric) bool {
	return m.Name == n.Name && m.HasAlias == n.HasAlias && (!m.HasAlias || m.Alias == n.Alias) &&
		m.HasTimestamp == n.HasTimestamp && (!m.HasTimestamp || m.Timestamp == n.Timestamp) &&
		m.Historical == n.Historical && m.Transient == n.Transient && (m.OmitType == n.OmitType || m.Value.typ == TypeUnknown) &&
		m.Value.Equal(n.Value) && m.Properties.Equal(n.Properties) && m.Metadata.Equal(n.Metadata)
}

// Equal says whether s and o hold equal properties in the same order. Both may
// be nil, which equals only nil.
func (s *PropertySet) Equal(o *PropertySet) bool {
	if s == nil || o == nil {
		return s == o
	}
	return slices.Equal(s.Keys, o.Keys) && slices.EqualFunc(s.Values, o.Values, Property.Equal)
}

// Equal says whether p and q have the same content.
func (p Property) Equal(q Property) bool {
	return propertyType(&p) == propertyType(&q) && p.Value.some == q.Value.some &&
		(!p.Value.some || p.Value.Equal(q.Value)) && p.Set.Equal(q.Set) &&
		(p.List == nil) == (q.List == nil) &&
		slices.EqualFunc(p.List, q.List, (*PropertySet).Equal)
}

// Equal says whether d and o have the same columns, types and cells. Both may
// be nil, which equals only nil.
func (d *DataSet) Equal(o *DataSet) bool {
	if d == nil || o == nil {
		return d == o
	}
	return slices.Equal(d.Columns, o.Columns) && slices.Equal(d.Types, o.Types) &&
		slices.EqualFunc(d.Rows, o.Rows, Value.Equal)
}

// Equal says whether t and o have the same content. Both may be nil, which
// equals only nil.
func (t *Template) Equal(o *Template) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.Version == o.Version && t.Ref == o.Ref && t.IsDefinition == o.IsDefinition &&
		equalMetrics(t.Metrics, o.Metrics) && slices.EqualFunc(t.Parameters, o.Parameters, Parameter.Equal)
}

// Equal says whether p and q have the same name and value.
func (p Parameter) Equal(q Parameter) bool { return p.Name == q.Name && p.Value.Equal(q.Value) }

// Equal says whether m and o have the same content. Both may be nil, which
// equals only nil.
func (m *Metadata) Equal(o *Metadata) bool {
	if m == nil || o == nil {
		return m == o
	}
	return *m == *o
}
