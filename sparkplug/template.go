package sparkplug

import (
	"slices"
	"strings"
)

// Merged returns a copy of the instance t in which the members and parameters
// that part holds, by name, have their values of part; what t does not know is
// added. A member without a datatype takes that of t. Nested instances are
// merged alike. The copy shares no memory with either.
//
// Spec: tck-id-payloads-template-instance-members-data.
func (t *Template) Merged(part *Template) *Template {
	out := t.Clone()
	for i := range part.Metrics {
		m := part.Metrics[i].Clone()
		at := slices.IndexFunc(out.Metrics, func(o Metric) bool { return o.is(&m) })
		if at < 0 {
			out.Metrics = append(out.Metrics, m)
			continue
		}
		old := &out.Metrics[at]
		m.Name, m.Alias, m.HasAlias = old.Name, old.Alias, old.HasAlias
		if m.Value.Type() == TypeUnknown {
			m.Value.Retype(old.Value.Type())
		}
		if was, is := old.Value.Template(), m.Value.Template(); was != nil && is != nil {
			m.Value = OfTemplate(was.Merged(is))
		}
		if m.Properties == nil {
			m.Properties = old.Properties
		}
		*old = m
	}
	for _, p := range part.Parameters {
		p.Name, p.Value = strings.Clone(p.Name), p.Value.Clone()
		at := slices.IndexFunc(out.Parameters, func(o Parameter) bool { return o.Name == p.Name })
		if at < 0 {
			out.Parameters = append(out.Parameters, p)
			continue
		}
		out.Parameters[at].Value = p.Value
	}
	return out
}

// is says whether m and o are of the same name, or by the same alias.
func (m *Metric) is(o *Metric) bool {
	if o.Name == "" && o.HasAlias {
		return m.HasAlias && m.Alias == o.Alias
	}
	return m.Name == o.Name
}
