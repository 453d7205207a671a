package session_test

import (
	"fmt"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// onlineEdge returns an edge node that is born, without a primary host.
func onlineEdge(t testing.TB) *session.Edge {
	t.Helper()
	edge := session.NewEdge(session.EdgeConfig{Group: "g", Node: "n"})
	for _, kind := range []session.EdgeEventKind{session.EdgeStart, session.EdgeConnected, session.EdgeSubscribed} {
		edge.Step(session.EdgeEvent{Kind: kind, At: 1000, Session: 1}, nil)
	}
	if edge.Phase() != session.Online {
		t.Fatalf("phase %d, want online", edge.Phase())
	}
	return edge
}

// onlineNode returns a host's view of a node with so many Doubles on the
// aliases 1 to n.
func onlineNode(host *session.Host, name string, metrics int) *session.Node {
	node := host.NewNode("g", name)
	p := &sparkplug.Payload{HasSeq: true, Timestamp: 1000, HasTimestamp: true}
	p.Metrics = append(p.Metrics, sparkplug.Metric{
		Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, 0),
	})
	for i := range metrics {
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Name: fmt.Sprintf("Line/Press/Zone %d/Temperature", i), Alias: uint64(i + 1), HasAlias: true,
			Value: sparkplug.Double(0),
		})
	}
	node.Step(session.NodeEvent{Kind: session.NodeMessage, At: 1000, Type: sparkplug.NBIRTH, Payload: p}, nil)
	return node
}

// dataPayload is an NDATA of metrics by alias.
func dataPayload(metrics int) *sparkplug.Payload {
	p := &sparkplug.Payload{HasSeq: true, Timestamp: 2000, HasTimestamp: true}
	for i := range metrics {
		p.Metrics = append(p.Metrics, sparkplug.Metric{Alias: uint64(i + 1), HasAlias: true, Value: sparkplug.Double(1.5)})
	}
	return p
}

// TestEdgeSeqWraps checks that seq is the count modulo 256 all the way round.
func TestEdgeSeqWraps(t *testing.T) {
	edge := onlineEdge(t)
	var fx []session.EdgeEffect
	for want := uint64(1); want < 1000; want++ {
		fx = edge.Step(session.EdgeEvent{Kind: session.EdgeData, At: 2000}, fx[:0])
		if len(fx) != 1 || fx[0].Do != session.EdgePublish || fx[0].Count != want || fx[0].Seq != uint8(want) {
			t.Fatalf("message %d: %+v", want, fx)
		}
	}
}

// TestNodeSeqWraps checks that a host follows all the way round.
func TestNodeSeqWraps(t *testing.T) {
	node := onlineNode(session.NewHost(session.HostConfig{}), "n", 1)
	var fx []session.NodeEffect
	for want := uint64(1); want < 1000; want++ {
		p := dataPayload(1)
		p.Seq = uint8(want)
		fx = node.Step(session.NodeEvent{Kind: session.NodeMessage, At: 2000, Type: sparkplug.NDATA, Payload: p}, fx[:0])
		if len(fx) != 1 || fx[0].Do != session.NodeDoData || fx[0].Count != want {
			t.Fatalf("message %d: %+v", want, fx)
		}
	}
}

// TestDataCostsNoAllocation checks both hot paths, for a message in order.
func TestDataCostsNoAllocation(t *testing.T) {
	edge := onlineEdge(t)
	edge.Step(session.EdgeEvent{Kind: session.EdgeDeviceReady, At: 1000, Device: "pump"}, nil)
	efx := make([]session.EdgeEffect, 0, 4)
	if n := testing.AllocsPerRun(1000, func() {
		efx = edge.Step(session.EdgeEvent{Kind: session.EdgeData, At: 2000, Device: "pump"}, efx[:0])
	}); n != 0 {
		t.Errorf("Edge.Step(EdgeData): %v allocations", n)
	}

	node := onlineNode(session.NewHost(session.HostConfig{}), "n", 100)
	nfx := make([]session.NodeEffect, 0, 4)
	p := dataPayload(100)
	if n := testing.AllocsPerRun(1000, func() {
		p.Seq++
		nfx = node.Step(session.NodeEvent{Kind: session.NodeMessage, At: 2000, Type: sparkplug.NDATA, Payload: p}, nfx[:0])
	}); n != 0 {
		t.Errorf("Node.Step(NDATA): %v allocations", n)
	}
	if len(nfx) != 1 || nfx[0].Do != session.NodeDoData {
		t.Errorf("effects %+v, want data", nfx)
	}
}

// TestEarlyMessagesAreCopied checks that what is held does not change with the
// caller's memory.
func TestEarlyMessagesAreCopied(t *testing.T) {
	node := onlineNode(session.NewHost(session.HostConfig{}), "n", 1)
	p := dataPayload(1)
	text := []byte("as sent")
	p.Seq = 2
	p.Metrics[0] = sparkplug.Metric{Name: "Line/Press/Zone 0/Temperature", Value: sparkplug.Double(7)}
	p.Metrics[0].Properties = &sparkplug.PropertySet{
		Keys: []string{"k"}, Values: []sparkplug.Property{{Value: sparkplug.Bytes(sparkplug.TypeBytes, text)}},
	}
	step := func(p *sparkplug.Payload) []session.NodeEffect {
		return node.Step(session.NodeEvent{Kind: session.NodeMessage, At: 2000, Type: sparkplug.NDATA, Payload: p}, nil)
	}
	if fx := step(p); len(fx) != 0 {
		t.Fatalf("effects of an early message: %+v", fx)
	}
	p.Metrics[0].Value = sparkplug.Double(8)
	copy(text, "garbage")
	first := dataPayload(1)
	first.Seq = 1
	fx := step(first)
	if len(fx) != 2 {
		t.Fatalf("effects %+v, want two data", fx)
	}
	got := &fx[1].Payload.Metrics[0]
	prop, _ := got.Properties.Get("k")
	if got.Value.Float64() != 7 || string(prop.Value.Raw()) != "as sent" {
		t.Errorf("held message changed: %v, %q", got.Value.Float64(), prop.Value.Raw())
	}
}

func TestControlOf(t *testing.T) {
	metric := func(name string, v sparkplug.Value) *sparkplug.Payload {
		return &sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: name, Value: v}}}
	}
	tests := map[string]struct {
		ncmd *sparkplug.Payload
		want session.Control
	}{
		"rebirth":     {metric(sparkplug.MetricRebirth, sparkplug.Boolean(true)), session.Control{Rebirth: true}},
		"false":       {metric(sparkplug.MetricRebirth, sparkplug.Boolean(false)), session.Control{}},
		"null":        {metric(sparkplug.MetricRebirth, sparkplug.Null(sparkplug.TypeBoolean)), session.Control{}},
		"text":        {metric(sparkplug.MetricRebirth, sparkplug.String("true")), session.Control{}},
		"next server": {metric(session.MetricNextServer, sparkplug.Boolean(true)), session.Control{NextServer: true}},
		"other":       {metric("Node Control/Reboot", sparkplug.Boolean(true)), session.Control{}},
		"empty":       {&sparkplug.Payload{}, session.Control{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := session.ControlOf(tt.ncmd); got != tt.want {
				t.Errorf("ControlOf = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPausesSpread checks that the pauses of many nodes that lost their server
// at once grow, stay within their bounds and differ.
func TestPausesSpread(t *testing.T) {
	different := map[int64]bool{}
	for i := range 100 {
		edge := session.NewEdge(session.EdgeConfig{
			Group: "g", Node: fmt.Sprint(i), BackoffMin: 1000, BackoffMax: 8000,
		})
		fx := edge.Step(session.EdgeEvent{Kind: session.EdgeStart, At: 1}, nil)
		for try, longest := range []int64{1000, 2000, 4000, 8000, 8000, 8000} {
			edge.Step(session.EdgeEvent{
				Kind: session.EdgeConnectFailed, At: 1, Session: fx[len(fx)-1].Session,
			}, nil)
			pause := edge.Deadline() - 1
			if pause < longest/2 || pause > longest {
				t.Fatalf("node %d: pause %d is %d ms, want %d to %d", i, try, pause, longest/2, longest)
			}
			if try == 3 {
				different[pause] = true
			}
			fx = edge.Step(session.EdgeEvent{Kind: session.EdgeTick, At: 1 + pause}, nil)
		}
	}
	if len(different) < 90 {
		t.Errorf("100 nodes have %d different pauses", len(different))
	}
}

// BenchmarkNodeStep is order and alias resolution of one NDATA, ns a metric:
// with types, and without as it comes off the wire.
func BenchmarkNodeStep(b *testing.B) {
	for _, metrics := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("typed/%d", metrics), func(b *testing.B) { benchmarkNode(b, dataPayload(metrics), false) })
		b.Run(fmt.Sprintf("wire/%d", metrics), func(b *testing.B) { benchmarkNode(b, dataPayload(metrics), true) })
	}
}

func benchmarkNode(b *testing.B, p *sparkplug.Payload, wire bool) {
	metrics := len(p.Metrics)
	node := onlineNode(session.NewHost(session.HostConfig{}), "n", metrics)
	for i := range p.Metrics {
		p.Metrics[i].OmitType = true
	}
	raw, err := p.Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	var decoded sparkplug.Payload
	if err := decoded.Decode(raw); err != nil {
		b.Fatal(err)
	}
	fresh := decoded.Clone() // Step re-types in place
	if !wire {
		decoded = *p
	}
	fx := make([]session.NodeEffect, 0, 4)
	seq := uint8(0)
	b.ReportAllocs()
	for b.Loop() {
		if wire {
			copy(decoded.Metrics, fresh.Metrics)
		}
		seq++
		decoded.Seq = seq
		fx = node.Step(session.NodeEvent{Kind: session.NodeMessage, At: 2000, Type: sparkplug.NDATA, Payload: &decoded}, fx[:0])
	}
	if len(fx) != 1 || fx[0].Do != session.NodeDoData {
		b.Fatalf("effects %+v, want data", fx)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(metrics), "ns/metric")
}

// BenchmarkEdgeStep is the right to publish one data message.
func BenchmarkEdgeStep(b *testing.B) {
	edge := onlineEdge(b)
	edge.Step(session.EdgeEvent{Kind: session.EdgeDeviceReady, At: 1000, Device: "pump"}, nil)
	fx := make([]session.EdgeEffect, 0, 4)
	b.ReportAllocs()
	for b.Loop() {
		fx = edge.Step(session.EdgeEvent{Kind: session.EdgeData, At: 2000, Device: "pump"}, fx[:0])
	}
}
