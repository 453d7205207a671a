package watch_test

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// The fleet of PERFORMANCE: 10,000 nodes of 100 metrics, 10 metrics a message,
// the node of each message drawn at random.
const (
	fleetNodes   = 10_000
	fleetMetrics = 100
	fleetPerMsg  = 10
)

// fleet makes the messages of many nodes. Only seq, timestamp and values of a
// data message change, so one is patched instead of being encoded anew.
type fleet struct {
	topics []string
	seq    []uint8
	data   [256][]byte // by seq
	rnd    *rand.Rand
}

func newFleet(tb testing.TB, nodes int) *fleet {
	f := &fleet{topics: make([]string, nodes), seq: make([]uint8, nodes), rnd: rand.New(rand.NewPCG(1, 2))}
	for i := range f.topics {
		f.topics[i] = fmt.Sprintf("spBv1.0/Plant/NDATA/node%05d", i)
	}
	at := time.Now().UnixMilli() + 3_600_000 // after the births
	for seq := range f.data {
		p := sparkplug.Payload{Timestamp: at, HasTimestamp: true, Seq: uint8(seq), HasSeq: true}
		first := f.rnd.IntN(fleetMetrics - fleetPerMsg) // a part of a machine: metrics declared side by side
		for k := range fleetPerMsg {
			alias := uint64(first + k)
			v := sparkplug.Double(f.rnd.Float64())
			if alias%5 == 1 {
				v = sparkplug.Int(sparkplug.TypeInt32, int64(k))
			}
			p.Metrics = append(p.Metrics, sparkplug.Metric{
				Alias: alias, HasAlias: true, Timestamp: at, HasTimestamp: true, Value: v, OmitType: true,
			})
		}
		f.data[seq] = encode(tb, &p)
	}
	return f
}

func encode(tb testing.TB, p *sparkplug.Payload) []byte {
	b, err := p.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// births calls deliver with the NBIRTH of every node. Distinct names belong to
// one node only.
func (f *fleet) births(tb testing.TB, distinct bool, deliver func(mqtt.Message)) {
	at := time.Now().UnixMilli()
	for i := range f.topics {
		p := sparkplug.Payload{Timestamp: at, HasTimestamp: true, HasSeq: true}
		for k := range fleetMetrics {
			m := sparkplug.Metric{
				Name: fmt.Sprintf("Line/Machine/Sensor%03d", k), Alias: uint64(k), HasAlias: true,
				Timestamp: at, HasTimestamp: true, Value: sparkplug.Double(0),
			}
			if k%5 == 1 {
				m.Value = sparkplug.Int(sparkplug.TypeInt32, 0)
			}
			if distinct {
				m.Name = fmt.Sprintf("Line/Machine%05d/Sensor%03d", i, k)
			}
			p.Metrics = append(p.Metrics, m)
		}
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Name: sparkplug.MetricBdSeq, Timestamp: at, HasTimestamp: true, Value: sparkplug.Int(sparkplug.TypeInt64, 0),
		})
		deliver(mqtt.Message{Topic: strings.Replace(f.topics[i], "NDATA", "NBIRTH", 1), Payload: encode(tb, &p)})
		f.seq[i] = 1
	}
}

// next is a data message of a random node, in that node's order.
func (f *fleet) next() mqtt.Message {
	i := f.rnd.IntN(len(f.topics))
	m := mqtt.Message{Topic: f.topics[i], Payload: f.data[f.seq[i]]}
	f.seq[i]++
	return m
}

func newFleetWatcher(tb testing.TB, handler func(*watch.Update)) (*watch.Watcher, *watch.Link) {
	w, err := watch.New(watch.Config{Handler: handler, Passive: true, Queue: 16, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // figures of messages that were not applied are worth nothing
		s := w.Stats()
		if s.Gaps+s.Late+s.Duplicates+s.Undelivered+s.UnknownMetrics+s.Malformed != 0 {
			tb.Errorf("not every message was applied: %+v", s)
		}
		if want := uint64(s.Nodes)*(fleetMetrics+1) + (s.Messages-uint64(s.Nodes))*fleetPerMsg; s.Samples != want {
			tb.Errorf("%d values were stored, want %d", s.Samples, want)
		}
	})
	return w, w.Link("bench")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heapPerMetric is what the state of a fleet takes, in bytes a metric.
func heapPerMetric(tb testing.TB, distinct bool) float64 {
	f := newFleet(tb, fleetNodes)
	w, l := newFleetWatcher(tb, nil)
	before := heap()
	f.births(tb, distinct, one(l))
	for range fleetNodes * 3 {
		l.Feed(f.next())
	}
	used := float64(heap()-before) / (fleetNodes * fleetMetrics)
	if s := w.Stats(); s.Gaps+s.UnknownMetrics+s.Undelivered != 0 || s.Online != fleetNodes {
		tb.Fatalf("the fleet is not well: %+v", s)
	}
	runtime.KeepAlive(f)
	return used
}

// naive is the host that most programs are: a map of names to boxed values, a
// map of aliases to names, a topic split for each message, protobuf-go.
type naive struct{ nodes map[string]*naiveNode }

type naiveNode struct {
	seq     uint64
	online  bool
	aliases map[uint64]string
	metrics map[string]*naiveMetric
}

type naiveMetric struct {
	name     string
	datatype uint32
	value    any
	time     time.Time
	quality  int
}

func (n *naive) handle(m mqtt.Message) error {
	var p sparkplugpb.Payload
	if err := proto.Unmarshal(m.Payload, &p); err != nil {
		return err
	}
	parts := strings.Split(m.Topic, "/")
	if len(parts) < 4 || parts[0] != "spBv1.0" {
		return fmt.Errorf("topic %q", m.Topic)
	}
	key := parts[1] + "/" + parts[3]
	node := n.nodes[key]
	if parts[2] == "NBIRTH" {
		node = &naiveNode{online: true, aliases: map[uint64]string{}, metrics: map[string]*naiveMetric{}}
		n.nodes[key] = node
	}
	if node == nil || !node.online {
		return fmt.Errorf("no birth of %s", key)
	}
	if parts[2] == "NDATA" && p.GetSeq() != (node.seq+1)%256 {
		return fmt.Errorf("gap at %s", key)
	}
	node.seq = p.GetSeq()
	for _, in := range p.GetMetrics() {
		name := in.GetName()
		if name != "" && parts[2] == "NBIRTH" {
			node.aliases[in.GetAlias()] = name
			node.metrics[name] = &naiveMetric{name: name, datatype: in.GetDatatype()}
		} else if name == "" {
			name = node.aliases[in.GetAlias()]
		}
		out := node.metrics[name]
		if out == nil {
			return fmt.Errorf("unknown metric %q", name)
		}
		switch v := in.GetValue().(type) {
		case *sparkplugpb.Payload_Metric_DoubleValue:
			out.value = v.DoubleValue
		case *sparkplugpb.Payload_Metric_IntValue:
			out.value = int32(v.IntValue)
		case *sparkplugpb.Payload_Metric_LongValue:
			out.value = int64(v.LongValue)
		}
		out.time, out.quality = time.UnixMilli(int64(in.GetTimestamp())), 192
	}
	return nil
}

// one feeds one message at a time.
func one(l *watch.Link) func(mqtt.Message) { return func(m mqtt.Message) { l.Feed(m) } }

func BenchmarkHost(b *testing.B) {
	f, feed := ourHost(b, nil)
	var batch [watch.Batch]mqtt.Message
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			batch[i] = f.next()
		}
		feed(batch[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/watch.Batch/fleetPerMsg, "ns/metric")
}

func BenchmarkNaiveHost(b *testing.B) {
	f := newFleet(b, fleetNodes)
	n := &naive{nodes: map[string]*naiveNode{}}
	f.births(b, false, func(m mqtt.Message) { must(b, n.handle(m)) })
	b.ReportAllocs()
	for b.Loop() {
		must(b, n.handle(f.next()))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/fleetPerMsg, "ns/metric")
}

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Fatal(err)
	}
}

// TestDataAllocatesNothing holds the promise of the data path.
func TestDataAllocatesNothing(t *testing.T) {
	f := newFleet(t, 50)
	for _, handler := range []func(*watch.Update){nil, func(*watch.Update) {}} {
		_, l := newFleetWatcher(t, handler)
		f.births(t, false, one(l))
		for range 1000 {
			l.Feed(f.next())
		}
		if n := testing.AllocsPerRun(2000, func() { l.Feed(f.next()) }); n != 0 {
			t.Errorf("a data message costs %v allocations, want 0 (handler: %v)", n, handler != nil)
		}
	}
}

// TestBenchRatios compares the host with the naive one in one run, and holds
// the memory that a metric takes. What is held is the host without a handler:
// like the naive one it keeps the picture and tells nobody. The host with a
// handler, which makes an Update of each message besides, is measured too.
// Messages come to the host in batches, as to one that has some waiting; the
// naive one has no queue, no clock and no lock, and takes them as they are.
func TestBenchRatios(t *testing.T) {
	if os.Getenv("MAGNETO_BENCH") == "" {
		t.Skip("takes 20 s and a quiet machine: set MAGNETO_BENCH=1 or run make bench")
	}
	ours, telling, theirs := cpuOfAll(t) // first: memory that was used before has small pages, and costs thrice the time
	shared, distinct := heapPerMetric(t, false), heapPerMetric(t, true)
	t.Logf("host state: %.1f B of heap a metric with shared births, %.1f B with all names distinct", shared, distinct)
	t.Logf("host decode+order+alias+update, 10 metrics a message: %.1f ns/metric; naive %.1f ns/metric; %.1fx", ours, theirs, theirs/ours)
	t.Logf("the same with updates to a handler, which the naive host has not: %.1f ns/metric; %.1fx", telling, theirs/telling)
	if shared > 40 {
		t.Errorf("state takes %.1f B a metric, want 40 at most", shared)
	}
	if theirs < 15*ours {
		t.Errorf("the host is %.1fx the naive one, want 15x at least", theirs/ours)
	}
}

// cpuOfAll runs the hosts in turns, in ns a metric: ours without and with a
// handler, and the naive one. The least of each counts.
func cpuOfAll(tb testing.TB) (ours, telling, theirs float64) {
	samples := 0
	ourFleet, our := ourHost(tb, nil)
	tellingFleet, tell := ourHost(tb, func(u *watch.Update) { samples += len(u.Samples) })
	theirFleet, their := naiveHost(tb)
	ours, telling, theirs = math.Inf(1), math.Inf(1), math.Inf(1)
	for range 12 {
		ours = min(ours, cpuPerMetric(tb, ourFleet, our))
		telling = min(telling, cpuPerMetric(tb, tellingFleet, tell))
		theirs = min(theirs, cpuPerMetric(tb, theirFleet, their))
	}
	if samples < 12*fleetPerRound*fleetPerMsg {
		tb.Errorf("the handler saw %d samples of data", samples)
	}
	return ours, telling, theirs
}

func ourHost(tb testing.TB, handler func(*watch.Update)) (*fleet, func([]mqtt.Message)) {
	f := newFleet(tb, fleetNodes)
	_, l := newFleetWatcher(tb, handler)
	f.births(tb, false, one(l))
	return f, func(ms []mqtt.Message) { l.Feed(ms...) }
}

func naiveHost(tb testing.TB) (*fleet, func([]mqtt.Message)) {
	f := newFleet(tb, fleetNodes)
	n := &naive{nodes: map[string]*naiveNode{}}
	f.births(tb, false, func(m mqtt.Message) { must(tb, n.handle(m)) })
	return f, func(ms []mqtt.Message) {
		for i := range ms {
			must(tb, n.handle(ms[i]))
		}
	}
}

const fleetPerRound = 60_000

// cpuPerMetric is the processor time of this process, collector included, in
// ns a metric.
func cpuPerMetric(tb testing.TB, f *fleet, handle func([]mqtt.Message)) float64 {
	all := make([]mqtt.Message, fleetPerRound)
	for i := range all {
		all[i] = f.next()
	}
	runtime.GC()
	before := cpuTime(tb)
	handle(all)
	return float64(cpuTime(tb)-before) / (fleetPerRound * fleetPerMsg)
}
