package session_test

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// birthOf makes an NBIRTH of these metrics and bdSeq.
func birthOf(at int64, metrics ...sparkplug.Metric) *sparkplug.Payload {
	return &sparkplug.Payload{
		HasSeq: true, Timestamp: at, HasTimestamp: true,
		Metrics: append([]sparkplug.Metric{
			{Name: sparkplug.MetricBdSeq, Value: sparkplug.Int(sparkplug.TypeInt64, 0)},
		}, metrics...),
	}
}

func double(name string, alias uint64, props ...sparkplug.Property) sparkplug.Metric {
	m := sparkplug.Metric{Name: name, Alias: alias, HasAlias: alias != 0, Value: sparkplug.Double(1)}
	if len(props) > 0 {
		m.Properties = &sparkplug.PropertySet{}
		for i, p := range props {
			m.Properties.Keys = append(m.Properties.Keys, fmt.Sprint("p", i))
			m.Properties.Values = append(m.Properties.Values, p)
		}
	}
	return m
}

func quality(m sparkplug.Metric, q int64) sparkplug.Metric {
	set := &sparkplug.PropertySet{}
	if m.Properties != nil {
		set = m.Properties.Clone()
	}
	set.Keys = append(set.Keys, sparkplug.PropQuality)
	set.Values = append(set.Values, sparkplug.Property{Value: sparkplug.Int(sparkplug.TypeInt32, q)})
	m.Properties = set
	return m
}

func born(node *session.Node, p *sparkplug.Payload) *session.Shape {
	node.Step(session.NodeEvent{Kind: session.NodeMessage, At: p.Timestamp, Type: sparkplug.NBIRTH, Payload: p}, nil)
	return node.Shape()
}

// TestShapesAreShared checks which births share a shape.
func TestShapesAreShared(t *testing.T) {
	unit := sparkplug.Property{Value: sparkplug.String("bar")}
	nested := sparkplug.Property{
		Value: sparkplug.Null(sparkplug.TypePropertySet),
		Set:   &sparkplug.PropertySet{Keys: []string{"low"}, Values: []sparkplug.Property{{Value: sparkplug.Double(1)}}},
	}
	base := []sparkplug.Metric{double("a", 1, unit, nested), double("b", 2)}
	other := double("b", 2)
	other.Value = sparkplug.Float(1)
	changed := base[0]
	changed.Properties = changed.Properties.Clone()
	changed.Properties.Values[1].Set.Values[0].Value = sparkplug.Double(2)
	transient := base[1]
	transient.Transient = true
	tests := map[string]struct {
		metrics []sparkplug.Metric
		shared  bool
	}{
		"same":            {[]sparkplug.Metric{double("a", 1, unit, nested), double("b", 2)}, true},
		"quality":         {[]sparkplug.Metric{quality(base[0], 0), quality(base[1], 192)}, true},
		"alias":           {[]sparkplug.Metric{base[0], double("b", 3)}, false},
		"no alias":        {[]sparkplug.Metric{base[0], double("b", 0)}, false},
		"name":            {[]sparkplug.Metric{base[0], double("c", 2)}, false},
		"type":            {[]sparkplug.Metric{base[0], other}, false},
		"order":           {[]sparkplug.Metric{base[1], base[0]}, false},
		"fewer":           {base[:1], false},
		"nested property": {[]sparkplug.Metric{changed, base[1]}, false},
		"no property":     {[]sparkplug.Metric{double("a", 1), base[1]}, false},
		"transient":       {[]sparkplug.Metric{base[0], transient}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			host := session.NewHost(session.HostConfig{})
			one, two := host.NewNode("g", "1"), host.NewNode("g", "2")
			a, b := born(one, birthOf(1000, base...)), born(two, birthOf(1000, tt.metrics...))
			if (a == b) != tt.shared {
				t.Errorf("shared: %v, want %v", a == b, tt.shared)
			}
			one.Forget()
			two.Forget()
			if n := host.Shapes().Len(); n != 0 {
				t.Errorf("%d shapes after all nodes are forgotten", n)
			}
		})
	}
}

// TestShapeLookup checks dense and sparse aliases against a plain map.
func TestShapeLookup(t *testing.T) {
	tests := map[string]func(i int) uint64{
		"dense":         func(i int) uint64 { return uint64(i + 1) },
		"dense high":    func(i int) uint64 { return 1<<64 - 1 - uint64(i) },
		"with holes":    func(i int) uint64 { return uint64(3*i + 7) },
		"sparse":        func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 },
		"both ends":     func(i int) uint64 { return uint64(i%2)*(1<<63) + uint64(i) + 1 },
		"none has one":  func(int) uint64 { return 0 },
		"some have one": func(i int) uint64 { return uint64(i % 2 * (i + 1)) },
	}
	for name, alias := range tests {
		t.Run(name, func(t *testing.T) {
			var metrics []sparkplug.Metric
			want := map[uint64]string{}
			for i := range 300 {
				m := double(fmt.Sprint("metric ", i), alias(i))
				metrics = append(metrics, m)
				if m.HasAlias {
					want[m.Alias] = m.Name
				}
			}
			s := born(session.NewHost(session.HostConfig{}).NewNode("g", "n"), birthOf(1000, metrics...))
			if s.HasAliases() != (len(want) > 0) {
				t.Errorf("HasAliases() = %v of %d", s.HasAliases(), len(want))
			}
			for a, n := range want {
				if slot := s.ByAlias(a); slot == session.NoSlot || s.Def(slot).Name != n {
					t.Errorf("ByAlias(%d) = %d, want the slot of %s", a, slot, n)
				}
				if _, ok := want[a+1]; !ok && s.ByAlias(a+1) != session.NoSlot {
					t.Errorf("ByAlias(%d) = %d, want none", a+1, s.ByAlias(a+1))
				}
			}
			for i := range metrics {
				if slot := s.ByName(metrics[i].Name); slot != uint32(i+1) {
					t.Errorf("ByName(%s) = %d, want %d", metrics[i].Name, slot, i+1)
				}
			}
			if slot := s.ByName("metric"); slot != session.NoSlot {
				t.Errorf("ByName of no metric = %d", slot)
			}
		})
	}
}

// TestShapeKeepsNothing checks that a shape does not change with the memory of
// the payload it was made from.
func TestShapeKeepsNothing(t *testing.T) {
	p := birthOf(1000, double("a", 1), double("b", 2, sparkplug.Property{Value: sparkplug.String("bar")}))
	text := []byte("name")
	p.Metrics[1].Name = unsafe.String(&text[0], len(text)) // as Decode gives it
	host := session.NewHost(session.HostConfig{})
	s := born(host.NewNode("g", "n"), p)
	copy(text, "????")
	p.Metrics[2].Name, p.Metrics[2].Properties.Values[0].Value = "x", sparkplug.String("psi")
	unit, _ := s.Def(2).Properties.Get("p0")
	if s.Def(1).Name != "name" || s.Def(2).Name != "b" || unit.Value.Str() != "bar" {
		t.Errorf("shape changed: %+v, unit %q", *s.Def(2), unit.Value.Str())
	}
}

// TestHeapPerMetric prints what a host's views of 1,000 nodes with 100 metrics
// each take, shared and not, and checks that shared ones leave most of the
// 40 bytes a metric to their values.
func TestHeapPerMetric(t *testing.T) {
	const nodes, metrics = 1000, 100
	measure := func(name string, shared bool) float64 {
		before := heap()
		host := session.NewHost(session.HostConfig{})
		all := make([]*session.Node, nodes)
		for i := range all {
			list := make([]sparkplug.Metric, metrics)
			for j := range list {
				list[j] = double(fmt.Sprintf("Line/Press/Zone %d/Temperature", j), uint64(j+1))
				if !shared {
					list[j].Name = fmt.Sprintf("Line %d/Zone %d/Temperature", i, j)
				}
			}
			all[i] = host.NewNode("g", fmt.Sprint(i))
			born(all[i], birthOf(1000, list...))
		}
		bytes := float64(heap()-before) / (nodes * metrics)
		t.Logf("%s: %.1f bytes a metric beside its value, %d shapes", name, bytes, host.Shapes().Len())
		runtime.KeepAlive(all)
		return bytes
	}
	if b := measure("same births", true); b > 8 {
		t.Errorf("same births take %.1f bytes a metric, want at most 8", b)
	}
	if b := measure("all names differ", false); b > 150 {
		t.Errorf("different births take %.1f bytes a metric, want at most 150", b)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
