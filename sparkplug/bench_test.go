package sparkplug_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
	"google.golang.org/protobuf/proto"
)

const benchTime = 1_700_000_000_000

// ndata is a typical data message of k metrics by alias: of ten, five Double,
// two Int32, and one each of Int64, Boolean and String; about 21 bytes each.
func ndata(k int) sparkplug.Payload {
	p := sparkplug.Payload{Timestamp: benchTime, HasTimestamp: true, Seq: 42, HasSeq: true}
	for i := range k {
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Alias: uint64(i), HasAlias: true,
			Timestamp: benchTime + int64(i), HasTimestamp: true,
			Value: benchValue(i),
		})
	}
	return p
}

func benchValue(i int) sparkplug.Value {
	switch i % 10 {
	case 0, 2, 4, 6, 8:
		return sparkplug.Double(math.Sqrt(float64(i) + 0.5))
	case 1, 5:
		return sparkplug.Int(sparkplug.TypeInt32, int64(i)*37)
	case 3:
		return sparkplug.Int(sparkplug.TypeInt64, int64(i)*1_000_003)
	case 7:
		return sparkplug.Boolean(i%4 == 3)
	}
	return sparkplug.String(fmt.Sprintf("state-%03d", i%1000))
}

// nbirth is a birth of k metrics with name, alias, timestamp, datatype and
// three properties; about 113 bytes each.
func nbirth(k int) sparkplug.Payload {
	p := ndata(k)
	for i := range p.Metrics {
		p.Metrics[i].Name = fmt.Sprintf("Area%d/Machine%02d/Signal%03d", i%5, i%25, i)
		p.Metrics[i].Properties = &sparkplug.PropertySet{
			Keys: []string{"engUnit", "engHigh", "Quality"},
			Values: []sparkplug.Property{
				{Value: sparkplug.String("deg C")},
				{Value: sparkplug.Double(100)},
				{Value: sparkplug.Int(sparkplug.TypeInt32, sparkplug.QualityGood)},
			},
		}
	}
	return p
}

// subject is one payload with everything that a round of measuring needs.
type subject struct {
	name    string
	metrics int
	payload sparkplug.Payload
	wire    []byte
	message *sparkplugpb.Payload
}

func subjects(tb testing.TB) []subject {
	list := []subject{
		{name: "NDATA1", metrics: 1, payload: ndata(1)},
		{name: "NDATA10", metrics: 10, payload: ndata(10)},
		{name: "NDATA100", metrics: 100, payload: ndata(100)},
		{name: "NDATA1000", metrics: 1000, payload: ndata(1000)},
		{name: "NBIRTH500", metrics: 500, payload: nbirth(500)},
	}
	for i := range list {
		s := &list[i]
		var err error
		if s.wire, err = s.payload.Append(nil); err != nil {
			tb.Fatal(err)
		}
		if s.message, err = sparkplug.ToProto(&s.payload); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

// The four that are measured. Each is what a user would call in a loop.

func (s *subject) decoder(tb testing.TB) func() {
	var p sparkplug.Payload
	return func() {
		if err := p.Decode(s.wire); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *subject) protoDecoder(tb testing.TB) func() {
	return func() {
		var m sparkplugpb.Payload
		if err := proto.Unmarshal(s.wire, &m); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *subject) encoder(tb testing.TB) func() {
	var buf []byte
	return func() {
		var err error
		if buf, err = s.payload.Append(buf[:0]); err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *subject) protoEncoder(tb testing.TB) func() {
	return func() {
		if _, err := proto.Marshal(s.message); err != nil {
			tb.Fatal(err)
		}
	}
}

func loop(b *testing.B, fn func()) {
	b.ReportAllocs()
	for b.Loop() {
		fn()
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range subjects(b) {
		b.Run(s.name+"/magneto", func(b *testing.B) { loop(b, s.decoder(b)) })
		b.Run(s.name+"/protobuf", func(b *testing.B) { loop(b, s.protoDecoder(b)) })
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range subjects(b) {
		b.Run(s.name+"/magneto", func(b *testing.B) { loop(b, s.encoder(b)) })
		b.Run(s.name+"/protobuf", func(b *testing.B) { loop(b, s.protoEncoder(b)) })
	}
}
