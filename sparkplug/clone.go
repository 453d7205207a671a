package sparkplug

import (
	"slices"
	"strings"
	"unsafe"
)

// Clone returns a deep copy that shares no memory with p.
func (p *Payload) Clone() Payload {
	return Payload{
		Timestamp: p.Timestamp, HasTimestamp: p.HasTimestamp,
		Seq: p.Seq, HasSeq: p.HasSeq,
		Metrics: cloneMetrics(p.Metrics),
		UUID:    strings.Clone(p.UUID),
		Body:    slices.Clone(p.Body),
	}
}

func cloneMetrics(list []Metric) []Metric {
	out := slices.Clone(list)
	for i := range out {
		out[i] = list[i].Clone()
	}
	return out
}

// Clone returns a deep copy that shares no memory with m.
func (m *Metric) Clone() Metric {
	out := *m
	out.Name = strings.Clone(m.Name)
	out.Value = m.Value.Clone()
	out.Properties = m.Properties.Clone()
	out.Metadata = m.Metadata.Clone()
	return out
}

// Clone returns a deep copy of v.
func (v Value) Clone() Value {
	if !v.some || v.ref == nil {
		return v
	}
	switch v.kind() {
	case wireString, wireBytes:
		v.ref = unsafe.Pointer(unsafe.SliceData(slices.Clone(v.bytes())))
	case wireDataSet:
		v.ref = unsafe.Pointer((*DataSet)(v.ref).Clone())
	case wireTemplate:
		v.ref = unsafe.Pointer((*Template)(v.ref).Clone())
	}
	return v
}

// Clone returns a deep copy of s; nil of nil.
func (s *PropertySet) Clone() *PropertySet {
	if s == nil {
		return nil
	}
	out := &PropertySet{Keys: cloneStrings(s.Keys), Values: slices.Clone(s.Values)}
	for i := range out.Values {
		v := &out.Values[i]
		v.Value = v.Value.Clone()
		v.Set = v.Set.Clone()
		v.List = slices.Clone(v.List)
		for j := range v.List {
			v.List[j] = v.List[j].Clone()
		}
	}
	return out
}

func cloneStrings(list []string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.Clone(out[i])
	}
	return out
}

func cloneValues(list []Value) []Value {
	out := slices.Clone(list)
	for i := range out {
		out[i] = out[i].Clone()
	}
	return out
}

// Clone returns a deep copy of d; nil of nil.
func (d *DataSet) Clone() *DataSet {
	if d == nil {
		return nil
	}
	return &DataSet{Columns: cloneStrings(d.Columns), Types: slices.Clone(d.Types), Rows: cloneValues(d.Rows)}
}

// Clone returns a deep copy of t; nil of nil.
func (t *Template) Clone() *Template {
	if t == nil {
		return nil
	}
	out := &Template{
		Version:      strings.Clone(t.Version),
		Ref:          strings.Clone(t.Ref),
		IsDefinition: t.IsDefinition,
		Metrics:      cloneMetrics(t.Metrics),
		Parameters:   slices.Clone(t.Parameters),
	}
	for i := range out.Parameters {
		p := &out.Parameters[i]
		p.Name, p.Value = strings.Clone(p.Name), p.Value.Clone()
	}
	return out
}

// Clone returns a copy of m that shares no memory with it; nil of nil.
func (m *Metadata) Clone() *Metadata {
	if m == nil {
		return nil
	}
	out := *m
	for _, s := range []*string{&out.ContentType, &out.FileName, &out.FileType, &out.MD5, &out.Description} {
		*s = strings.Clone(*s)
	}
	return &out
}
