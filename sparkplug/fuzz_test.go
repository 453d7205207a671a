package sparkplug_test

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// FuzzParseTopic: what parses prints back as it came.
func FuzzParseTopic(f *testing.F) {
	f.Add("spBv1.0/line1/DDATA/press/pump")
	f.Add("spBv1.0/line1/NBIRTH/press")
	f.Add("spBv1.0/+/NBIRTH/press")
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := sparkplug.ParseTopic(s)
		if err == nil && topic.String() != s {
			t.Errorf("ParseTopic(%q).String() = %q", s, topic)
		}
		if host, ok := sparkplug.ParseStateTopic(s); ok && sparkplug.StateTopic(host) != s {
			t.Errorf("ParseStateTopic(%q) = %q", s, host)
		}
	})
}

// FuzzState: what parses, printed, parses to the same.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"online":true,"timestamp":1700000000000}`))
	f.Add([]byte(`{"timestamp":0,"online":false,"x":1}`))
	f.Add([]byte("ONLINE"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := sparkplug.ParseState(b)
		if err != nil {
			return
		}
		again, err := sparkplug.ParseState(s.Append(nil))
		if err != nil || again != s {
			t.Errorf("%+v printed reads %+v, %v", s, again, err)
		}
	})
}

// stricter matches the reasons for which Decode refuses what protobuf accepts.
// They are those of its comment.
var stricter = regexp.MustCompile(`limit is|more than \d+|nested deeper|UTF-8|over 255|does not fit|out of range|` +
	`columns|cells|keys but|given twice|wire type|not for columns|do not agree|ended by NUL|whole number of elements`)

// FuzzDecode: Decode never panics, accepts nothing that protobuf-go refuses,
// refuses what it accepts only for the documented reasons, reads the same
// content, and encodes it to the bytes that protobuf-go makes of it.
func FuzzDecode(f *testing.F) {
	for _, s := range subjects(f)[:2] {
		f.Add(s.wire)
	}
	for _, b := range goldens(f) {
		f.Add(b)
	}
	var reused sparkplug.Payload
	f.Fuzz(func(t *testing.T, b []byte) { checkDecode(t, &reused, b) })
}

// checkDecode holds the law of FuzzDecode on b, decoded into p. It reports
// whether b was accepted.
func checkDecode(t testing.TB, p *sparkplug.Payload, b []byte) bool {
	t.Helper()
	err := p.Decode(b)
	var m sparkplugpb.Payload
	perr := proto.Unmarshal(b, &m)
	if err != nil {
		bad, ok := errors.AsType[*sparkplug.DecodeError](err)
		if !ok || bad.Offset < 0 || bad.Offset > len(b) {
			t.Fatalf("error %#v", err)
		}
		if perr == nil && !stricter.MatchString(err.Error()) {
			t.Fatalf("protobuf accepts what we refuse: %v", err)
		}
		return false
	}
	if perr != nil {
		t.Fatalf("protobuf refuses what we accept: %v", perr)
	}
	if why := agree(p, &m); why != "" {
		t.Fatalf("content differs: %s", why)
	}
	checkRoundTrip(t, p)
	return true
}

// checkRoundTrip: p encodes as protobuf-go encodes it, and decodes to itself.
func checkRoundTrip(t testing.TB, p *sparkplug.Payload) {
	t.Helper()
	wire, err := p.Append(nil)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	message, err := sparkplug.ToProto(p)
	if err != nil {
		t.Fatalf("ToProto: %v", err)
	}
	theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil || !bytes.Equal(wire, theirs) {
		t.Fatalf("encoded\n%x, protobuf has\n%x, %v", wire, theirs, err)
	}
	var again sparkplug.Payload
	if err := again.Decode(wire); err != nil {
		t.Fatalf("own bytes refused: %v", err)
	}
	if !again.Equal(p) {
		t.Fatalf("decoded %+v, want %+v", again, p)
	}
	back, err := sparkplug.FromProto(message)
	if err != nil || !back.Equal(p) {
		t.Fatalf("FromProto: %+v, %v; want %+v", back, err, p)
	}
	clone := again.Clone()
	for i := range wire {
		wire[i] ^= 0x55
	}
	if !clone.Equal(p) {
		t.Fatalf("a clone shares memory with the bytes it was decoded from")
	}
}

// FuzzEncode: any payload that can be built encodes as protobuf-go does it and
// decodes to itself.
func FuzzEncode(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		p := genPayload(t)
		checkRoundTrip(rapidTB{t: t}, &p)
	}))
}

// TestEncode runs the law of FuzzEncode on a hundred payloads.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPayload(t)
		checkRoundTrip(rapidTB{t: t}, &p)
	})
}

// rapidTB lets a *rapid.T stand for a testing.TB.
type rapidTB struct {
	testing.TB
	t *rapid.T
}

func (r rapidTB) Helper()                   { r.t.Helper() }
func (r rapidTB) Fatalf(f string, a ...any) { r.t.Fatalf(f, a...) }

// agree says where a payload of ours and one of protobuf differ. It is written
// apart from the codec, from the specification's table of datatypes.
func agree(p *sparkplug.Payload, m *sparkplugpb.Payload) string {
	switch {
	case p.HasTimestamp != (m.Timestamp != nil) || uint64(p.Timestamp) != m.GetTimestamp():
		return "timestamp"
	case p.HasSeq != (m.Seq != nil) || uint64(p.Seq) != m.GetSeq():
		return "seq"
	case p.UUID != m.GetUuid():
		return "uuid"
	case !bytes.Equal(p.Body, m.Body):
		return "body"
	}
	return agreeMetrics(p.Metrics, m.Metrics)
}

func agreeMetrics(ours []sparkplug.Metric, theirs []*sparkplugpb.Payload_Metric) string {
	if len(ours) != len(theirs) {
		return "number of metrics"
	}
	for i, m := range theirs {
		o := &ours[i]
		switch {
		case o.Name != m.GetName():
			return "name"
		case o.HasAlias != (m.Alias != nil) || o.Alias != m.GetAlias():
			return "alias"
		case o.HasTimestamp != (m.Timestamp != nil) || uint64(o.Timestamp) != m.GetTimestamp():
			return "metric timestamp"
		case o.OmitType != (m.GetDatatype() == 0):
			return "omitted type"
		case o.Historical != m.GetIsHistorical() || o.Transient != m.GetIsTransient():
			return "flags"
		case (o.Properties == nil) != (m.Properties == nil) || (o.Metadata == nil) != (m.Metadata == nil):
			return "parts"
		}
		if md := m.Metadata; md != nil && (o.Metadata.FileName != md.GetFileName() || o.Metadata.Size != md.GetSize() ||
			o.Metadata.HasSeq != (md.Seq != nil) || o.Metadata.MD5 != md.GetMd5() || o.Metadata.Description != md.GetDescription()) {
			return "metadata"
		}
		if s := m.Properties; s != nil {
			if why := agreeSet(o.Properties, s); why != "" {
				return why
			}
		}
		if why := agreeMetricValue(o.Value, m); why != "" {
			return why
		}
	}
	return ""
}

func agreeMetricValue(v sparkplug.Value, m *sparkplugpb.Payload_Metric) string {
	switch w := m.Value.(type) {
	case nil, *sparkplugpb.Payload_Metric_ExtensionValue:
		return agreeValue(v, m.GetDatatype(), true, nil)
	case *sparkplugpb.Payload_Metric_IntValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.IntValue)
	case *sparkplugpb.Payload_Metric_LongValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.LongValue)
	case *sparkplugpb.Payload_Metric_FloatValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.FloatValue)
	case *sparkplugpb.Payload_Metric_DoubleValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.DoubleValue)
	case *sparkplugpb.Payload_Metric_BooleanValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.BooleanValue)
	case *sparkplugpb.Payload_Metric_StringValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.StringValue)
	case *sparkplugpb.Payload_Metric_BytesValue:
		return agreeValue(v, m.GetDatatype(), m.GetIsNull(), w.BytesValue)
	}
	if m.GetIsNull() {
		return agreeValue(v, m.GetDatatype(), true, nil)
	}
	if !v.Type().Known() { // of a later version: kept, not shown
		return agreeValue(v, m.GetDatatype(), false, nil)
	}
	if d := m.GetDatasetValue(); d != nil {
		o := v.DataSet()
		if o == nil || !slices.Equal(o.Columns, d.Columns) || len(o.Rows) != len(d.Rows)*len(d.Columns) {
			return "data set"
		}
		for i := range o.Rows {
			if why := agreeCell(o.Rows[i], d, i/len(d.Columns), i%len(d.Columns)); why != "" {
				return why
			}
		}
		return ""
	}
	t, o := m.GetTemplateValue(), v.Template()
	if o == nil || o.Ref != t.GetTemplateRef() || o.Version != t.GetVersion() || o.IsDefinition != t.GetIsDefinition() ||
		len(o.Parameters) != len(t.Parameters) {
		return "template"
	}
	for i, p := range t.Parameters {
		if o.Parameters[i].Name != p.GetName() {
			return "parameter"
		}
		if why := agreeParameter(o.Parameters[i].Value, p); why != "" {
			return why
		}
	}
	return agreeMetrics(o.Metrics, t.Metrics)
}

func agreeParameter(v sparkplug.Value, p *sparkplugpb.Payload_Template_Parameter) string {
	switch w := p.Value.(type) {
	case *sparkplugpb.Payload_Template_Parameter_IntValue:
		return agreeValue(v, p.GetType(), false, w.IntValue)
	case *sparkplugpb.Payload_Template_Parameter_LongValue:
		return agreeValue(v, p.GetType(), false, w.LongValue)
	case *sparkplugpb.Payload_Template_Parameter_FloatValue:
		return agreeValue(v, p.GetType(), false, w.FloatValue)
	case *sparkplugpb.Payload_Template_Parameter_DoubleValue:
		return agreeValue(v, p.GetType(), false, w.DoubleValue)
	case *sparkplugpb.Payload_Template_Parameter_BooleanValue:
		return agreeValue(v, p.GetType(), false, w.BooleanValue)
	case *sparkplugpb.Payload_Template_Parameter_StringValue:
		return agreeValue(v, p.GetType(), false, w.StringValue)
	}
	return agreeValue(v, p.GetType(), true, nil)
}

func agreeCell(v sparkplug.Value, d *sparkplugpb.Payload_DataSet, row, col int) string {
	typ := d.Types[col]
	switch w := d.Rows[row].Elements[col].Value.(type) {
	case *sparkplugpb.Payload_DataSet_DataSetValue_IntValue:
		return agreeValue(v, typ, false, w.IntValue)
	case *sparkplugpb.Payload_DataSet_DataSetValue_LongValue:
		return agreeValue(v, typ, false, w.LongValue)
	case *sparkplugpb.Payload_DataSet_DataSetValue_FloatValue:
		return agreeValue(v, typ, false, w.FloatValue)
	case *sparkplugpb.Payload_DataSet_DataSetValue_DoubleValue:
		return agreeValue(v, typ, false, w.DoubleValue)
	case *sparkplugpb.Payload_DataSet_DataSetValue_BooleanValue:
		return agreeValue(v, typ, false, w.BooleanValue)
	case *sparkplugpb.Payload_DataSet_DataSetValue_StringValue:
		return agreeValue(v, typ, false, w.StringValue)
	}
	return agreeValue(v, typ, true, nil)
}

func agreeSet(s *sparkplug.PropertySet, m *sparkplugpb.Payload_PropertySet) string {
	if !slices.Equal(s.Keys, m.Keys) || len(s.Values) != len(m.Values) {
		return "property keys"
	}
	for i, p := range m.Values {
		o := s.Values[i]
		why := ""
		switch w := p.Value.(type) {
		case *sparkplugpb.Payload_PropertyValue_IntValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.IntValue)
		case *sparkplugpb.Payload_PropertyValue_LongValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.LongValue)
		case *sparkplugpb.Payload_PropertyValue_FloatValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.FloatValue)
		case *sparkplugpb.Payload_PropertyValue_DoubleValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.DoubleValue)
		case *sparkplugpb.Payload_PropertyValue_BooleanValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.BooleanValue)
		case *sparkplugpb.Payload_PropertyValue_StringValue:
			why = agreeValue(o.Value, p.GetType(), p.GetIsNull(), w.StringValue)
		case *sparkplugpb.Payload_PropertyValue_PropertysetValue:
			if !p.GetIsNull() {
				if o.Set == nil {
					return "nested set"
				}
				why = agreeSet(o.Set, w.PropertysetValue)
			}
		case *sparkplugpb.Payload_PropertyValue_PropertysetsValue:
			if list := w.PropertysetsValue.Propertyset; !p.GetIsNull() {
				if len(o.List) != len(list) {
					return "list"
				}
				for j := range list {
					if why := agreeSet(o.List[j], list[j]); why != "" {
						return why
					}
				}
			}
		default:
			why = agreeValue(o.Value, p.GetType(), true, nil)
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// agreeValue compares a value of ours with what is on the wire.
func agreeValue(v sparkplug.Value, typ uint32, null bool, wire any) string {
	if uint32(v.Type()) != typ {
		return "datatype"
	}
	if v.IsNull() != null {
		return "null"
	}
	if null || v.Type() == sparkplug.TypeUnknown || !v.Type().Known() {
		return ""
	}
	ok := true
	switch w := wire.(type) {
	case uint32:
		ok = agreeInteger(v, uint64(w))
	case uint64:
		ok = agreeInteger(v, w)
	case float32:
		ok = v.Type() == sparkplug.TypeFloat && math.Float32bits(v.Float32()) == math.Float32bits(w) ||
			v.Type() == sparkplug.TypeDouble && (v.Float64() == float64(w) || w != w)
	case float64:
		ok = v.Type() == sparkplug.TypeDouble && math.Float64bits(v.Float64()) == math.Float64bits(w) ||
			v.Type() == sparkplug.TypeFloat && (v.Float32() == float32(w) || w != w)
	case bool:
		ok = v.Bool() == w
	case string:
		ok = v.Str() == w
	case []byte:
		ok = bytes.Equal(v.Raw(), w)
	}
	if !ok {
		return "value"
	}
	return ""
}

func agreeInteger(v sparkplug.Value, w uint64) bool {
	switch v.Type() {
	case sparkplug.TypeInt8:
		return v.Int() == int64(int8(w))
	case sparkplug.TypeInt16:
		return v.Int() == int64(int16(w))
	case sparkplug.TypeInt32:
		return v.Int() == int64(int32(w))
	}
	return v.Uint() == w
}

// FuzzParseTemplateJSON checks that no JSON makes the parser panic, and that
// what it takes comes back from what AppendJSON makes of it.
func FuzzParseTemplateJSON(f *testing.F) {
	inner := sparkplug.OfTemplate(&sparkplug.Template{Ref: "bearing", Metrics: []sparkplug.Metric{{Name: "T", Value: sparkplug.Double(1)}}})
	like := &sparkplug.Template{Ref: "motor", Version: "1", Metrics: []sparkplug.Metric{
		{Name: "A", Value: sparkplug.Int(sparkplug.TypeInt8, 1)}, {Name: "B", Value: sparkplug.String("x")}, {Name: "C", Value: inner},
	}}
	f.Add([]byte(`{"members": {"A": 5}}`))
	f.Add([]byte(`{"ref": "motor", "members": {"B": "y", "C": {"members": {"T": 2.5}}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := sparkplug.ParseTemplateJSON(like, raw)
		if err != nil {
			return
		}
		back, err := sparkplug.ParseTemplateJSON(like, sparkplug.AppendJSON(nil, v))
		if err != nil || !back.Equal(v) {
			t.Errorf("%s comes back as %v, %v", raw, back, err)
		}
	})
}
