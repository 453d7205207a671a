package conform_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// said is a message whose payload can still be changed: p, or raw where there
// is no protobuf.
type said struct {
	topic  string
	qos    byte
	retain bool
	p      *pb.Payload
	raw    string
}

const start = 1_790_000_000_000

// metric makes a metric; typ is 0 where the datatype is not sent.
func metric(name string, alias int, typ sparkplug.DataType, v any) *pb.Payload_Metric {
	m := &pb.Payload_Metric{Timestamp: proto.Uint64(start)}
	if name != "" {
		m.Name = new(name)
	}
	if alias > 0 {
		m.Alias = new(uint64(alias))
	}
	if typ != 0 {
		m.Datatype = new(uint32(typ))
	}
	switch v := v.(type) {
	case nil:
		m.IsNull = new(true)
	case bool:
		m.Value = &pb.Payload_Metric_BooleanValue{BooleanValue: v}
	case int:
		m.Value = &pb.Payload_Metric_LongValue{LongValue: uint64(v)}
	case *pb.Payload_Template:
		m.Value = &pb.Payload_Metric_TemplateValue{TemplateValue: v}
	case *pb.Payload_DataSet:
		m.Value = &pb.Payload_Metric_DatasetValue{DatasetValue: v}
	}
	return m
}

func payload(seq int, metrics ...*pb.Payload_Metric) *pb.Payload {
	p := &pb.Payload{Timestamp: proto.Uint64(start), Metrics: metrics}
	if seq >= 0 {
		p.Seq = new(uint64(seq))
	}
	return p
}

func parameter(v int) []*pb.Payload_Template_Parameter {
	return []*pb.Payload_Template_Parameter{{
		Name: new("Poles"), Type: proto.Uint32(uint32(sparkplug.TypeInt32)),
		Value: &pb.Payload_Template_Parameter_IntValue{IntValue: uint32(v)},
	}}
}

func nbirth(bd int) *pb.Payload {
	quality := metric("Site/Flow", 1, sparkplug.TypeInt64, 7)
	quality.Properties = &pb.Payload_PropertySet{Keys: []string{"Quality"}, Values: []*pb.Payload_PropertyValue{{
		Type: proto.Uint32(uint32(sparkplug.TypeInt32)), Value: &pb.Payload_PropertyValue_IntValue{IntValue: 192},
	}}}
	return payload(
		0,
		metric("bdSeq", 0, sparkplug.TypeInt64, bd),
		metric("Node Control/Rebirth", 0, sparkplug.TypeBoolean, false),
		metric("motor", 0, sparkplug.TypeTemplate, &pb.Payload_Template{
			IsDefinition: new(true), Version: new("1"), Parameters: parameter(2),
			Metrics: []*pb.Payload_Metric{metric("Speed", 0, sparkplug.TypeInt64, 0), metric("Run", 0, sparkplug.TypeBoolean, false)},
		}),
		quality,
		metric("Site/Table", 2, sparkplug.TypeDataSet, &pb.Payload_DataSet{
			NumOfColumns: proto.Uint64(1), Columns: []string{"a"}, Types: []uint32{uint32(sparkplug.TypeInt32)},
			Rows: []*pb.Payload_DataSet_Row{{Elements: []*pb.Payload_DataSet_DataSetValue{{Value: &pb.Payload_DataSet_DataSetValue_IntValue{IntValue: 1}}}}},
		}),
		metric("Site/Empty", 3, sparkplug.TypeString, nil),
	)
}

func dbirth(seq int) *pb.Payload {
	return payload(
		seq,
		metric("Motor", 10, sparkplug.TypeTemplate, &pb.Payload_Template{
			IsDefinition: new(false), TemplateRef: new("motor"), Version: new("1"), Parameters: parameter(4),
			Metrics: []*pb.Payload_Metric{metric("Speed", 0, sparkplug.TypeInt64, 1500), metric("Run", 0, sparkplug.TypeBoolean, true)},
		}),
		metric("Level", 11, sparkplug.TypeInt64, 3),
	)
}

func of(kind string, p *pb.Payload) said {
	topic := "spBv1.0/Plant/" + kind + "/line1"
	if kind[0] == 'D' {
		topic += "/press"
	}
	return said{topic: topic, p: p}
}

// The numbers of the messages of session.
const (
	atOnline = iota
	atNBirth
	atDBirth
	atNData
	atDData
	atNCmd
	atReNBirth
	atReDBirth
	atDCmd
	atDData2
	atDDeath
	atNDeath
	atNBirth2
	atOffline
)

// session is a conversation without a fault.
func session() []said {
	partial := metric("", 10, 0, &pb.Payload_Template{
		IsDefinition: new(false), TemplateRef: new("motor"),
		Metrics: []*pb.Payload_Metric{metric("Speed", 0, 0, 1400)},
	})
	death := payload(-1, metric("bdSeq", 0, sparkplug.TypeInt64, 4))
	return []said{
		atOnline:   {topic: "spBv1.0/STATE/plant", qos: 1, raw: `{"online":true,"timestamp":1790000000000}`},
		atNBirth:   of("NBIRTH", nbirth(4)),
		atDBirth:   of("DBIRTH", dbirth(1)),
		atNData:    of("NDATA", payload(2, metric("", 1, 0, 8))),
		atDData:    of("DDATA", payload(3, partial)),
		atNCmd:     of("NCMD", payload(-1, metric("Node Control/Rebirth", 0, 0, true))),
		atReNBirth: of("NBIRTH", nbirth(4)),
		atReDBirth: of("DBIRTH", dbirth(1)),
		atDCmd:     of("DCMD", payload(-1, metric("", 11, 0, 5))),
		atDData2:   of("DDATA", payload(2, metric("", 11, 0, 5))),
		atDDeath:   of("DDEATH", payload(3)),
		atNDeath:   {topic: "spBv1.0/Plant/NDEATH/line1", qos: 1, p: death},
		atNBirth2:  of("NBIRTH", nbirth(5)),
		atOffline:  {topic: "spBv1.0/STATE/plant", qos: 1, raw: `{"online":false,"timestamp":1790000000000}`},
	}
}

// grade gives the outcome of every assertion over the messages.
func grade(t *testing.T, all []said) (conform.Report, map[string]conform.Verdict) {
	t.Helper()
	w := conform.NewWatch()
	for _, s := range all {
		raw := []byte(s.raw)
		if s.p != nil {
			b, err := proto.Marshal(s.p)
			if err != nil {
				t.Fatal(err)
			}
			raw = b
		}
		w.Observe(conform.Message{At: time.UnixMilli(start), Topic: s.topic, QoS: s.qos, Retain: s.retain, Payload: raw})
	}
	r := w.Report()
	by := map[string]conform.Verdict{}
	for _, v := range r.Verdicts {
		by[v.ID] = v
	}
	return r, by
}
