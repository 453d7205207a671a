package scenario_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// garbage is what nobody should send, by kind.
func garbage(t *testing.T) map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 700)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	make1 := func(f func(p *pb.Payload, m *pb.Payload_Metric)) []byte {
		m := &pb.Payload_Metric{Name: new("A"), Datatype: new(uint32(9)), Value: &pb.Payload_Metric_FloatValue{FloatValue: 1}, Timestamp: new(uint64(time.Now().UnixMilli()))}
		p := &pb.Payload{Timestamp: m.Timestamp, Seq: new(uint64(0)), Metrics: []*pb.Payload_Metric{m}}
		f(p, m)
		b, err := proto.Marshal(p)
		require.NoError(t, err)
		return b
	}
	whole := make1(func(*pb.Payload, *pb.Payload_Metric) {})
	nested := &pb.Payload_Template{IsDefinition: new(false), TemplateRef: new("x")}
	for range 200 {
		nested = &pb.Payload_Template{IsDefinition: new(false), TemplateRef: new("x"), Metrics: []*pb.Payload_Metric{{
			Name: new("n"), Datatype: new(uint32(19)), Value: &pb.Payload_Metric_TemplateValue{TemplateValue: nested},
		}}}
	}
	bomb, err := sparkplug.AppendCompressed(nil, bytes.Repeat([]byte{0}, 64<<20), sparkplug.Gzip)
	require.NoError(t, err)
	return map[string][]byte{
		"empty":                {},
		"noise":                noise,
		"zeros":                make([]byte, 512),
		"ones":                 bytes.Repeat([]byte{0xFF}, 512),
		"cut":                  whole[:len(whole)-3],
		"length beyond end":    {0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F},
		"endless varint":       bytes.Repeat([]byte{0x80}, 64),
		"group that has ended": {0x0C, 0x0C},
		"wire type 7":          {0x0F, 1, 2, 3},
		"JSON":                 []byte(`{"online": true, "timestamp": "soon", "metrics": []}`),
		"a megabyte":           bytes.Repeat([]byte("x"), 1<<20),
		"deep": make1(func(_ *pb.Payload, m *pb.Payload_Metric) {
			m.Datatype, m.Value = new(uint32(19)), &pb.Payload_Metric_TemplateValue{TemplateValue: nested}
		}),
		"name of 64 KiB":        make1(func(_ *pb.Payload, m *pb.Payload_Metric) { m.Name = new(string(bytes.Repeat([]byte("n"), 64<<10))) }),
		"name not UTF-8":        bytes.Replace(whole, []byte("A"), []byte{0xFF}, 1),
		"unknown datatype":      make1(func(_ *pb.Payload, m *pb.Payload_Metric) { m.Datatype = new(uint32(4000000000)) }),
		"value of another type": make1(func(_ *pb.Payload, m *pb.Payload_Metric) { m.Value = &pb.Payload_Metric_StringValue{StringValue: "x"} }),
		"table without shape": make1(func(_ *pb.Payload, m *pb.Payload_Metric) {
			m.Datatype = new(uint32(16))
			m.Value = &pb.Payload_Metric_DatasetValue{DatasetValue: &pb.Payload_DataSet{
				NumOfColumns: new(uint64(math.MaxUint64)), Columns: []string{"a", "b"}, Types: []uint32{3},
				Rows: []*pb.Payload_DataSet_Row{{Elements: []*pb.Payload_DataSet_DataSetValue{{}, {}, {}}}},
			}}
		}),
		"alias of everybody": make1(func(p *pb.Payload, m *pb.Payload_Metric) {
			m.Alias = new(uint64(math.MaxUint64))
			p.Metrics = append(p.Metrics, m, m, m)
		}),
		"the end of time": make1(func(p *pb.Payload, m *pb.Payload_Metric) {
			p.Timestamp, m.Timestamp = new(uint64(math.MaxUint64)), new(uint64(math.MaxUint64))
		}),
		"seq of 10^18": make1(func(p *pb.Payload, _ *pb.Payload_Metric) { p.Seq = new(uint64(1e18)) }),
		"100,000 metrics": make1(func(p *pb.Payload, m *pb.Payload_Metric) {
			for range 100_000 {
				p.Metrics = append(p.Metrics, &pb.Payload_Metric{Alias: new(uint64(1))})
			}
		}),
		"bomb":                    bomb,
		"compressed by something": make1(func(p *pb.Payload, _ *pb.Payload_Metric) { p.Uuid, p.Body = new(sparkplug.CompressedUUID), noise }),
	}
}

// TestGarbage sends every kind of garbage on every topic there is. Agent, host
// and broker go on, have counted it, and answer the next good message at once.
func TestGarbage(t *testing.T) {
	b := newBench(t)
	h := newHostBench(t, t.TempDir(), b.server)
	agent, _ := b.start(t)
	h.eventually("born", func() bool {
		return !h.metric("Press", "Speed").Stale && h.metric("", "Setpoint").Type == sparkplug.TypeDouble
	})
	good := newForeign(t, b.server, "Good")
	good.birth()
	h.eventually("the good node is born", func() bool { _, ok := h.host.Watcher().Metric("G", "Good", "", "V"); return ok })
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: b.server, ClientID: "vandal"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	topics := []string{
		"spBv1.0/G/NBIRTH/Bad", "spBv1.0/G/NDATA/Bad", "spBv1.0/G/NDEATH/Bad", "spBv1.0/G/DBIRTH/Bad/D", "spBv1.0/G/DDATA/Bad/D", "spBv1.0/G/DDEATH/Bad/D",
		"spBv1.0/G/NCMD/E", "spBv1.0/G/DCMD/E/Press", "spBv1.0/G/DCMD/E/Nobody", "spBv1.0/STATE/other", "spBv1.0/STATE",
		"spBv1.0/G/NBIRTH/E2", "spBv1.0/G", "spBv1.0/G/XYZ/Bad", "spBv1.0/G/NBIRTH/Bad/D", "spBv1.0/G/DBIRTH/Bad", "spBv1.0//NBIRTH/", "other/G/NBIRTH/Bad",
		"spBv1.0/G/NDATA/Bad/a/b/c",
	}
	kinds := garbage(t)
	require.GreaterOrEqual(t, len(kinds), 20)
	slowest := time.Duration(0)
	v := 100.0
	for kind, payload := range kinds {
		malformed, refused := h.host.Watcher().Stats().Malformed, agent.Stats().Refused
		for _, topic := range topics {
			require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: payload}), "%s on %s", kind, topic)
		}
		require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "after/the/garbage", QoS: 1}), "the broker is gone after %s", kind)
		h.eventually("counted by the host: "+kind, func() bool { return h.host.Watcher().Stats().Malformed > malformed })
		took := time.Hour
		for range 5 { // the machine may be busy
			v++
			start := time.Now()
			good.data(v)
			status, body := h.call("PUT", "/v1/nodes/G/E/metrics/Setpoint", fmt.Sprintf(`{"value": %v}`, math.Mod(v, 50)))
			require.Equal(t, 200, status, "the agent does not answer after %s: %s", kind, body)
			h.eventually("the good node's data", func() bool { m, _ := h.host.Watcher().Metric("G", "Good", "", "V"); return m.Value.Float64() == v })
			if took = min(took, time.Since(start)); took < 100*time.Millisecond {
				break
			}
		}
		require.Less(t, took, 100*time.Millisecond, kind)
		slowest = max(slowest, took)
		require.Greater(t, agent.Stats().Refused, refused, "not counted by the agent: %s", kind)
	}
	t.Logf("%d kinds on %d topics; the next good messages were answered within %v", len(kinds), len(topics), slowest)
	n, ok := h.host.Watcher().Node("G", "Good")
	require.True(t, ok)
	require.EqualValues(t, 1, n.Births)
}

// foreign is an edge node played by the test, as other makes write it.
type foreign struct {
	t     *testing.T
	conn  *mqtt.Conn
	name  string
	seq   uint64
	bdSeq uint64
	at    time.Time // of what it publishes; now if zero
}

func newForeign(t *testing.T, server, name string) *foreign {
	return newForeignAs(t, server, name, name)
}

func newForeignAs(t *testing.T, server, name, client string) *foreign {
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: server, ClientID: client})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &foreign{t: t, conn: c, name: name}
}

func (f *foreign) publish(kind string, metrics ...*pb.Payload_Metric) {
	f.publishOf(kind, "", metrics...)
}

// publishOf publishes for a device; for the node itself if it is empty.
func (f *foreign) publishOf(kind, device string, metrics ...*pb.Payload_Metric) {
	f.t.Helper()
	at := f.at
	if at.IsZero() {
		at = time.Now()
	}
	now := uint64(at.UnixMilli())
	for _, m := range metrics {
		m.Timestamp = &now
	}
	b, err := proto.Marshal(&pb.Payload{Timestamp: &now, Seq: new(f.seq % 256), Metrics: metrics})
	require.NoError(f.t, err)
	f.seq++
	require.NoError(f.t, f.conn.Publish(f.t.Context(), mqtt.Message{Topic: strings.TrimSuffix("spBv1.0/G/"+kind+"/"+f.name+"/"+device, "/"), Payload: b}))
}

func value(v float64) *pb.Payload_Metric {
	return &pb.Payload_Metric{Name: new("V"), Value: &pb.Payload_Metric_DoubleValue{DoubleValue: v}}
}

func (f *foreign) birth() {
	f.seq = 0
	bd := &pb.Payload_Metric{Name: new("bdSeq"), Datatype: new(uint32(4)), Value: &pb.Payload_Metric_LongValue{LongValue: f.bdSeq}}
	rebirth := &pb.Payload_Metric{Name: new(sparkplug.MetricRebirth), Datatype: new(uint32(11)), Value: &pb.Payload_Metric_BooleanValue{}}
	v := value(0)
	v.Datatype = new(uint32(10))
	f.publish("NBIRTH", bd, rebirth, v)
}

func (f *foreign) data(v float64) { f.publish("NDATA", value(v)) }
