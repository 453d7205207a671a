package sparkplug

import (
	"fmt"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"google.golang.org/protobuf/proto"
)

type (
	pbMetric   = sparkplugpb.Payload_Metric
	pbSet      = sparkplugpb.Payload_PropertySet
	pbProperty = sparkplugpb.Payload_PropertyValue
	pbTable    = sparkplugpb.Payload_DataSet
	pbCell     = sparkplugpb.Payload_DataSet_DataSetValue
	pbTemplate = sparkplugpb.Payload_Template
	pbParam    = sparkplugpb.Payload_Template_Parameter
)

// ToProto returns p as the message that protobuf tools know. Append(p) and
// proto.Marshal of the result are the same bytes. It shares the memory of
// texts and bytes with p, and refuses what Append refuses.
func ToProto(p *Payload) (*sparkplugpb.Payload, error) {
	if _, err := p.Append(nil); err != nil {
		return nil, err
	}
	out := &sparkplugpb.Payload{Uuid: optional(p.UUID)}
	if p.HasTimestamp {
		out.Timestamp = new(uint64(p.Timestamp))
	}
	if p.HasSeq {
		out.Seq = new(uint64(p.Seq))
	}
	if len(p.Body) > 0 {
		out.Body = p.Body
	}
	for i := range p.Metrics {
		out.Metrics = append(out.Metrics, toMetric(&p.Metrics[i]))
	}
	return out, nil
}

// FromProto is the inverse of ToProto: m as Decode would give it. It refuses,
// with a *DecodeError, what Decode refuses, of which the offset is that in m's
// wire form. The result shares no memory with m.
func FromProto(m *sparkplugpb.Payload) (Payload, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Payload{}, fmt.Errorf("sparkplug: from protobuf: %w", err)
	}
	var p Payload
	if err := p.Decode(b); err != nil {
		return Payload{}, err
	}
	return p, nil
}

// optional is s for a field that is left out when it is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// flag is b for a field that is left out when it is false.
func flag(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

// number is t for a field that is left out when the type is unknown.
func number(t DataType) *uint32 {
	if t == TypeUnknown {
		return nil
	}
	return new(uint32(t))
}

func toMetric(m *Metric) *pbMetric {
	out := &pbMetric{
		Name:         optional(m.Name),
		IsHistorical: flag(m.Historical),
		IsTransient:  flag(m.Transient),
		IsNull:       flag(m.Value.IsNull()),
	}
	if m.HasAlias {
		out.Alias = new(m.Alias)
	}
	if m.HasTimestamp {
		out.Timestamp = new(uint64(m.Timestamp))
	}
	if !m.OmitType {
		out.Datatype = number(m.Value.typ)
	}
	if m.Metadata != nil {
		out.Metadata = toMetadata(m.Metadata)
	}
	if m.Properties != nil {
		out.Properties = toSet(m.Properties)
	}
	if !m.Value.IsNull() {
		toMetricValue(&m.Value, out)
	}
	return out
}

func toMetricValue(v *Value, out *pbMetric) {
	switch v.kind() {
	case wireInt:
		out.Value = &sparkplugpb.Payload_Metric_IntValue{IntValue: uint32(v.num)}
	case wireLong:
		out.Value = &sparkplugpb.Payload_Metric_LongValue{LongValue: v.num}
	case wireFloat:
		out.Value = &sparkplugpb.Payload_Metric_FloatValue{FloatValue: v.Float32()}
	case wireDouble:
		out.Value = &sparkplugpb.Payload_Metric_DoubleValue{DoubleValue: v.double()}
	case wireBool:
		out.Value = &sparkplugpb.Payload_Metric_BooleanValue{BooleanValue: v.Bool()}
	case wireString:
		out.Value = &sparkplugpb.Payload_Metric_StringValue{StringValue: v.text()}
	case wireBytes:
		out.Value = &sparkplugpb.Payload_Metric_BytesValue{BytesValue: v.bytes()}
	case wireDataSet:
		out.Value = &sparkplugpb.Payload_Metric_DatasetValue{DatasetValue: toTable((*DataSet)(v.ref))}
	case wireTemplate:
		out.Value = &sparkplugpb.Payload_Metric_TemplateValue{TemplateValue: toTemplate((*Template)(v.ref))}
	}
}

func toMetadata(m *Metadata) *sparkplugpb.Payload_MetaData {
	out := &sparkplugpb.Payload_MetaData{
		ContentType: optional(m.ContentType),
		FileName:    optional(m.FileName),
		FileType:    optional(m.FileType),
		Md5:         optional(m.MD5),
		Description: optional(m.Description),
	}
	if m.HasMultiPart {
		out.IsMultiPart = new(m.MultiPart)
	}
	if m.HasSize {
		out.Size = new(m.Size)
	}
	if m.HasSeq {
		out.Seq = new(m.Seq)
	}
	return out
}

func toSet(s *PropertySet) *pbSet {
	out := &pbSet{Keys: s.Keys}
	for i := range s.Values {
		out.Values = append(out.Values, toProperty(&s.Values[i]))
	}
	return out
}

func toProperty(p *Property) *pbProperty {
	out := &pbProperty{Type: number(propertyType(p))}
	switch {
	case p.Set != nil:
		out.Value = &sparkplugpb.Payload_PropertyValue_PropertysetValue{PropertysetValue: toSet(p.Set)}
		return out
	case p.List != nil:
		list := &sparkplugpb.Payload_PropertySetList{}
		for _, s := range p.List {
			list.Propertyset = append(list.Propertyset, toSet(s))
		}
		out.Value = &sparkplugpb.Payload_PropertyValue_PropertysetsValue{PropertysetsValue: list}
		return out
	case p.Value.IsNull():
		out.IsNull = new(true)
		return out
	}
	switch v := p.Value; v.kind() {
	case wireInt:
		out.Value = &sparkplugpb.Payload_PropertyValue_IntValue{IntValue: uint32(v.num)}
	case wireLong:
		out.Value = &sparkplugpb.Payload_PropertyValue_LongValue{LongValue: v.num}
	case wireFloat:
		out.Value = &sparkplugpb.Payload_PropertyValue_FloatValue{FloatValue: v.Float32()}
	case wireDouble:
		out.Value = &sparkplugpb.Payload_PropertyValue_DoubleValue{DoubleValue: v.double()}
	case wireBool:
		out.Value = &sparkplugpb.Payload_PropertyValue_BooleanValue{BooleanValue: v.Bool()}
	case wireString:
		out.Value = &sparkplugpb.Payload_PropertyValue_StringValue{StringValue: v.text()}
	}
	return out
}

func toTable(d *DataSet) *pbTable {
	width := len(d.Columns)
	out := &pbTable{NumOfColumns: new(uint64(width)), Columns: d.Columns}
	for _, t := range d.Types {
		out.Types = append(out.Types, uint32(t))
	}
	for i := 0; i < len(d.Rows); i += width {
		row := &sparkplugpb.Payload_DataSet_Row{}
		for j := range width {
			row.Elements = append(row.Elements, toCell(&d.Rows[i+j]))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func toCell(v *Value) *pbCell {
	out := &pbCell{}
	if v.IsNull() {
		return out
	}
	switch v.kind() {
	case wireInt:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_IntValue{IntValue: uint32(v.num)}
	case wireLong:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_LongValue{LongValue: v.num}
	case wireFloat:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_FloatValue{FloatValue: v.Float32()}
	case wireDouble:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_DoubleValue{DoubleValue: v.double()}
	case wireBool:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_BooleanValue{BooleanValue: v.Bool()}
	case wireString:
		out.Value = &sparkplugpb.Payload_DataSet_DataSetValue_StringValue{StringValue: v.text()}
	}
	return out
}

func toTemplate(t *Template) *pbTemplate {
	out := &pbTemplate{
		Version:      optional(t.Version),
		TemplateRef:  optional(t.Ref),
		IsDefinition: new(t.IsDefinition),
	}
	for i := range t.Metrics {
		out.Metrics = append(out.Metrics, toMetric(&t.Metrics[i]))
	}
	for i := range t.Parameters {
		out.Parameters = append(out.Parameters, toParameter(&t.Parameters[i]))
	}
	return out
}

func toParameter(p *Parameter) *pbParam {
	out := &pbParam{Name: optional(p.Name), Type: number(p.Value.typ)}
	if p.Value.IsNull() {
		return out
	}
	switch v := p.Value; v.kind() {
	case wireInt:
		out.Value = &sparkplugpb.Payload_Template_Parameter_IntValue{IntValue: uint32(v.num)}
	case wireLong:
		out.Value = &sparkplugpb.Payload_Template_Parameter_LongValue{LongValue: v.num}
	case wireFloat:
		out.Value = &sparkplugpb.Payload_Template_Parameter_FloatValue{FloatValue: v.Float32()}
	case wireDouble:
		out.Value = &sparkplugpb.Payload_Template_Parameter_DoubleValue{DoubleValue: v.double()}
	case wireBool:
		out.Value = &sparkplugpb.Payload_Template_Parameter_BooleanValue{BooleanValue: v.Bool()}
	case wireString:
		out.Value = &sparkplugpb.Payload_Template_Parameter_StringValue{StringValue: v.text()}
	}
	return out
}
