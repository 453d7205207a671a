package conform

import (
	"fmt"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// maxDepth bounds how deep property sets and templates are followed.
const maxDepth = 16

// basic says that a datatype is one of the basic ones: Int8 to Text.
func basic(t uint32) bool {
	return t >= uint32(sparkplug.TypeInt8) && t <= uint32(sparkplug.TypeText)
}

const (
	typePropertySet     = 20
	typePropertySetList = 21
)

func (w *Watch) properties(s *sparkplugpb.Payload_PropertySet, birth bool, depth int) {
	same := len(s.Keys) == len(s.Values)
	w.judge(same, fmt.Sprintf("%d keys and %d values", len(s.Keys), len(s.Values)),
		"payloads-propertyset-keys-array-size", "payloads-propertyset-values-array-size")
	if !same || depth > maxDepth {
		return
	}
	for i, key := range s.Keys {
		v := s.Values[i]
		if birth {
			w.judge(v.Type != nil, fmt.Sprintf("property %q has no type", key), "payloads-metric-propertyvalue-type-req")
		}
		if v.Type != nil {
			ok := basic(*v.Type) || *v.Type == typePropertySet || *v.Type == typePropertySetList
			w.judge(ok, fmt.Sprintf("property %q has type %d", key, *v.Type),
				"payloads-metric-propertyvalue-type-value", "payloads-metric-propertyvalue-type-type")
		}
		if key == "Quality" {
			w.judge(v.GetType() == uint32(sparkplug.TypeInt32), fmt.Sprintf("Quality has type %d", v.GetType()), "payloads-propertyset-quality-value-type")
			q, ok := v.Value.(*sparkplugpb.Payload_PropertyValue_IntValue)
			w.judge(ok && (q.IntValue == 0 || q.IntValue == 192 || q.IntValue == 500), "Quality is not 0, 192 or 500", "payloads-propertyset-quality-value-value")
		}
		if inner := v.GetPropertysetValue(); inner != nil {
			w.properties(inner, birth, depth+1)
		}
		for _, inner := range v.GetPropertysetsValue().GetPropertyset() {
			w.properties(inner, birth, depth+1)
		}
	}
}

func (w *Watch) dataset(d *sparkplugpb.Payload_DataSet) {
	n := len(d.Columns)
	w.judge(d.NumOfColumns != nil && *d.NumOfColumns == uint64(n), fmt.Sprintf("num_of_columns is %d of %d columns", d.GetNumOfColumns(), n), "payloads-dataset-column-size")
	w.judge(n == len(d.Types), fmt.Sprintf("%d columns and %d types", n, len(d.Types)),
		"payloads-dataset-column-num-headers", "payloads-dataset-types-num")
	w.judge(len(d.Types) > 0 || n == 0, "no types", "payloads-dataset-parameter-type-req", "payloads-dataset-types-def")
	for i, t := range d.Types {
		w.judge(basic(t), fmt.Sprintf("column %d has type %d", i, t), "payloads-dataset-types-value", "payloads-dataset-types-type")
	}
	for i, r := range d.Rows {
		ok := len(r.Elements) == n
		for _, e := range r.Elements {
			_, odd := e.Value.(*sparkplugpb.Payload_DataSet_DataSetValue_ExtensionValue)
			ok = ok && !odd
		}
		w.judge(ok, fmt.Sprintf("row %d has %d elements of %d columns, or a value of no basic type", i, len(r.Elements), n), "payloads-template-dataset-value")
	}
}

// template grades the template in a metric, if it holds one.
func (w *Watch) template(m *sparkplugpb.Payload_Metric, n *node, kind sparkplug.Type) {
	t := m.GetTemplateValue()
	if t == nil || w.stored() {
		return
	}
	w.judge(t.IsDefinition != nil, fmt.Sprintf("template %s does not say is_definition", label(m)), "payloads-template-is-definition")
	if t.Version != nil {
		w.judge(true, "", "payloads-template-version")
	}
	if t.GetIsDefinition() {
		w.definition(m, t, kind)
		return
	}
	w.instance(m, t, n, kind == sparkplug.NBIRTH || kind == sparkplug.DBIRTH)
}

func (w *Watch) definition(m *sparkplugpb.Payload_Metric, t *sparkplugpb.Payload_Template, kind sparkplug.Type) {
	w.judge(kind == sparkplug.NBIRTH, "template definition in a "+string(kind), "payloads-template-definition-nbirth-only")
	w.judge(t.TemplateRef == nil, fmt.Sprintf("definition %s has a template_ref", label(m)),
		"payloads-template-definition-ref", "payloads-template-ref-definition")
	w.judge(true, "", "payloads-template-definition-is-definition", "payloads-template-is-definition-definition")
	for _, p := range t.Parameters {
		w.parameter(p, true)
		if p.Value != nil {
			w.judge(true, "", "payloads-template-definition-parameters-default")
		}
	}
}

func (w *Watch) parameter(p *sparkplugpb.Payload_Template_Parameter, definition bool) {
	if definition {
		w.judge(p.GetName() != "", "a template parameter without a name", "payloads-template-parameter-name-required", "payloads-template-parameter-name-type")
		w.judge(p.Type != nil, fmt.Sprintf("parameter %q has no type", p.GetName()), "payloads-template-parameter-type-req")
	}
	if p.Type != nil {
		w.judge(basic(*p.Type), fmt.Sprintf("parameter %q has type %d", p.GetName(), *p.Type),
			"payloads-template-parameter-type-value", "payloads-template-parameter-value-type")
	}
	if p.Value != nil {
		_, odd := p.Value.(*sparkplugpb.Payload_Template_Parameter_ExtensionValue)
		w.judge(!odd, fmt.Sprintf("parameter %q has a value of no basic type", p.GetName()), "payloads-template-parameter-value")
	}
}

func (w *Watch) instance(m *sparkplugpb.Payload_Metric, t *sparkplugpb.Payload_Template, n *node, birth bool) {
	if t.IsDefinition != nil {
		w.judge(true, "", "payloads-template-is-definition-instance", "payloads-template-instance-is-definition")
	}
	w.judge(t.GetTemplateRef() != "", fmt.Sprintf("instance %s has no template_ref", label(m)),
		"payloads-template-instance-ref", "payloads-template-ref-instance")
	def, ok := n.defs[t.GetTemplateRef()]
	if n.phase != born || t.GetTemplateRef() == "" {
		return // its definition may have been in a birth that was not seen
	}
	w.judge(ok, fmt.Sprintf("definition %q of instance %s is not in the NBIRTH", t.GetTemplateRef(), label(m)),
		"payloads-template-definition-nbirth", "topics-nbirth-templates")
	if !ok {
		return
	}
	members := map[string]bool{}
	for _, d := range def.Metrics {
		members[d.GetName()] = false
	}
	for _, i := range t.Metrics {
		_, known := members[i.GetName()]
		w.judge(known, fmt.Sprintf("member %s of %s is not in definition %q", label(i), label(m), t.GetTemplateRef()),
			"payloads-template-instance-members", "payloads-template-definition-members")
		if known {
			members[i.GetName()] = true
		}
	}
	if birth {
		for name, there := range members {
			w.judge(there, fmt.Sprintf("member %q of definition %q is missing in %s", name, t.GetTemplateRef(), label(m)), "payloads-template-instance-members-birth")
		}
	} else if len(t.Metrics) < len(members) {
		w.judge(true, "", "payloads-template-instance-members-data")
	}
	w.instanceParameters(m, t, def)
}

func (w *Watch) instanceParameters(m *sparkplugpb.Payload_Metric, t, def *sparkplugpb.Payload_Template) {
	known := map[string]bool{}
	for _, p := range def.Parameters {
		known[p.GetName()] = true
	}
	for _, p := range t.Parameters {
		w.parameter(p, false)
		w.judge(known[p.GetName()], fmt.Sprintf("parameter %q of %s is not in its definition", p.GetName(), label(m)), "payloads-template-definition-parameters")
		w.judge(true, "", "payloads-template-instance-parameters")
	}
}
