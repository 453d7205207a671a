package scenario_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func stateMessage(host string, online bool, at int64) mqtt.Message {
	return mqtt.Message{Topic: sparkplug.StateTopic(host), Payload: sparkplug.State{Online: online, Timestamp: at}.Append(nil), QoS: 1, Retain: true}
}

func stateMessageV2(host string, online bool) mqtt.Message {
	return mqtt.Message{Topic: sparkplug.StateTopicV2(host), Payload: sparkplug.State{Online: online}.AppendV2(nil), QoS: 1, Retain: true}
}

// plant is a broker, a host and an edge node of another make.
type plant struct {
	*hostBench
	wire *wire
	node *foreign
}

func newPlant(t *testing.T, change func(*hostapp.Config)) *plant {
	w := newWire(t, "127.0.0.1:0")
	if change == nil {
		change = func(*hostapp.Config) {}
	}
	return &plant{newHostBenchWith(t, t.TempDir(), change, w.server), w, newForeign(t, w.server, "N")}
}

func (p *plant) info() (v float64, online bool, births uint64) {
	m, _ := p.host.Watcher().Metric("G", "N", "", "V")
	n, _ := p.host.Watcher().Node("G", "N")
	return m.Value.Float64(), n.State.String() == "online", n.Births
}

// born has the node born, and waits until the host knows.
func (p *plant) born(n uint64) {
	p.t.Helper()
	p.node.birth()
	p.eventually("born", func() bool { _, online, births := p.info(); return online && births == n })
}

func (p *plant) death(bdSeq uint64) {
	p.node.publish("NDEATH", &pb.Payload_Metric{Name: new("bdSeq"), Datatype: new(uint32(4)), Value: &pb.Payload_Metric_LongValue{LongValue: bdSeq}})
}

// requests counts the rebirth requests.
func (p *plant) requests() int { return len(p.wire.sent(sparkplug.NCMD)) }

// 7: a host that stops does not contradict its own death.
func TestTrap07NoBirthWhileStopping(t *testing.T) {
	p := newPlant(t, nil)
	p.stop()
	states := p.wire.states()
	last, err := sparkplug.ParseState(states[len(states)-1].Message.Payload)
	require.NoError(t, err)
	require.False(t, last.Online)
	deaths := 0
	for _, e := range states {
		if s, err := sparkplug.ParseState(e.Message.Payload); err == nil && !s.Online {
			deaths++
		}
	}
	require.Equal(t, 1, deaths)
}

// 8: after somebody's newer offline STATE the host begins a session that edge
// nodes do not ignore.
func TestTrap08NewerOfflineState(t *testing.T) {
	p := newPlant(t, nil)
	future := time.Now().UnixMilli() + 5000
	require.NoError(t, p.node.conn.Publish(t.Context(), stateMessage("plant", false, future)))
	p.wire.await("a new session", func() bool {
		states := p.wire.states()
		s, err := sparkplug.ParseState(states[len(states)-1].Message.Payload)
		return err == nil && s.Online && s.Timestamp >= future
	})
	require.Greater(t, len(p.wire.kinds(broker.EventConnect)), 2)
}

// 9: the host asks for the whole namespace and its STATE, and takes a message
// that overlapping filters bring twice as one.
func TestTrap09Subscription(t *testing.T) {
	p := newPlant(t, func(c *hostapp.Config) { c.Filters = []string{"spBv1.0/#", "spBv1.0/G/#"} })
	var topics []string
	for _, e := range p.wire.kinds(broker.EventSubscribe) {
		for _, f := range e.Filters {
			topics = append(topics, f.Topic)
		}
	}
	require.Contains(t, topics, "spBv1.0/#")
	require.Contains(t, topics, "spBv1.0/STATE/plant")
	p.born(1)
	for i := range 50 {
		p.node.data(float64(i))
	}
	p.eventually("all is there", func() bool { v, _, _ := p.info(); return v == 49 })
	require.Zero(t, p.host.Watcher().Stats().Gaps)
	require.Zero(t, p.requests())
}

// 10: a host that is not a primary one publishes no STATE.
func TestTrap10SecondaryHost(t *testing.T) {
	p := newPlant(t, func(c *hostapp.Config) { c.Primary = false })
	p.born(1)
	p.stop()
	require.Empty(t, p.wire.states())
	for _, e := range p.wire.kinds(broker.EventConnect) {
		require.Nil(t, e.Will)
	}
}

// 15: data of a node whose birth was lost has it asked for, again and again.
func TestTrap15RebirthIsRepeated(t *testing.T) {
	p := newPlant(t, nil)
	p.node.seq = 7
	p.node.data(1)
	p.eventually("asked", func() bool { return p.requests() >= 1 })
	p.node.data(2)
	p.eventually("asked again", func() bool { return p.requests() >= 2 })
	asked := p.wire.sent(sparkplug.NCMD)
	require.Greater(t, asked[1].At.Sub(asked[0].At), 500*time.Millisecond, "two requests in flight")
	p.born(1)
}

// 17: seq wraps, DBIRTH and DDEATH count, and a swap needs no rebirth.
func TestTrap17Order(t *testing.T) {
	p := newPlant(t, nil)
	p.born(1)
	for i := range 300 {
		p.node.data(float64(i))
	}
	p.node.at = time.Now()
	p.node.seq++
	p.node.data(1001)
	p.node.seq -= 2
	p.node.data(1000)
	p.node.seq++
	p.node.at = time.Time{}
	d := value(3)
	d.Datatype = new(uint32(10))
	p.node.publishOf("DBIRTH", "D", d)
	p.node.publishOf("DDEATH", "D")
	p.node.data(2000)
	p.eventually("the last", func() bool { v, _, _ := p.info(); return v == 2000 })
	require.Zero(t, p.requests())
	require.Zero(t, p.host.Watcher().Stats().Gaps)
}

// 18: data from before the present NBIRTH does not count.
func TestTrap18DataFromBeforeTheBirth(t *testing.T) {
	p := newPlant(t, nil)
	p.born(1)
	p.node.data(1)
	p.born(2)
	p.node.at = time.Now().Add(-time.Minute)
	p.node.data(77) // seq 1, as if it were in order
	p.node.at, p.node.seq = time.Time{}, 1
	p.node.data(2)
	p.eventually("the new one", func() bool { v, _, _ := p.info(); return v == 2 })
	require.NotZero(t, p.host.Watcher().Stats().Late)
	require.Zero(t, p.requests())
}

// 19: the late will of an earlier session is no death.
func TestTrap19DeathOfAnotherSession(t *testing.T) {
	p := newPlant(t, nil)
	p.node.bdSeq = 5
	p.born(1)
	p.death(4)
	p.node.seq = 1 // an NDEATH has none
	p.node.data(9)
	p.eventually("it lives", func() bool { v, online, _ := p.info(); return v == 9 && online })
	p.death(5)
	p.eventually("dead", func() bool { _, online, _ := p.info(); return !online })
	p.death(5) // again
	n, _ := p.host.Watcher().Node("G", "N")
	require.EqualValues(t, 1, n.Deaths)
}

// 20: a device is offline since its DDEATH's time, a node since the host's.
func TestTrap20TimesOfDeath(t *testing.T) {
	p := newPlant(t, nil)
	p.born(1)
	d := value(3)
	d.Datatype = new(uint32(10))
	p.node.publishOf("DBIRTH", "D", d)
	born := func() bool { m, _ := p.host.Watcher().Metric("G", "N", "D", "V"); return m.Value.Float64() == 3 }
	p.eventually("the device", born)
	p.node.at = time.Now()
	at := p.node.at.Truncate(time.Millisecond)
	p.node.publishOf("DDEATH", "D")
	p.node.at = time.Time{}
	var device, node struct {
		State     string
		ChangedAt time.Time `json:"changed_at"`
		Metrics   []struct {
			Stale   bool
			StaleAt time.Time `json:"stale_at"`
		}
	}
	get := func(path string, out any) {
		_, body := p.call("GET", path, "")
		require.NoError(t, json.Unmarshal([]byte(body), out))
	}
	p.eventually("offline", func() bool { get("/v1/nodes/G/N/devices/D", &device); return device.State == "offline" })
	require.True(t, device.ChangedAt.Equal(at), "%v, not %v", device.ChangedAt, at)
	require.True(t, device.Metrics[0].Stale)
	require.True(t, device.Metrics[0].StaleAt.Equal(at))
	before := time.Now().Truncate(time.Millisecond)
	p.death(0)
	p.eventually("offline", func() bool { get("/v1/nodes/G/N", &node); return node.State == "offline" })
	require.False(t, node.ChangedAt.Before(before))
	require.False(t, node.ChangedAt.After(time.Now()))
	require.True(t, node.Metrics[0].Stale)
}

// 36: garbage is counted, and nothing else happens.
func TestTrap36Garbage(t *testing.T) {
	p := newPlant(t, nil)
	p.born(1)
	for _, topic := range []string{"spBv1.0/G/NDATA/Odd", "spBv1.0/G/NBIRTH/Odd", "spBv1.0/x"} {
		require.NoError(t, p.node.conn.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte{0xFF, 1, 2}}))
	}
	p.node.data(4)
	p.eventually("it goes on", func() bool { v, _, _ := p.info(); return v == 4 })
	require.GreaterOrEqual(t, p.host.Watcher().Stats().Malformed, uint64(3))
}

// 37: two edge nodes with one id are told of.
func TestTrap37TwoPublishers(t *testing.T) {
	p := newPlant(t, nil)
	other := newForeignAs(t, p.wire.server, "N", "other")
	other.bdSeq = 90
	p.born(1)
	other.birth()
	p.eventually("the other is born", func() bool { n, _ := p.host.Watcher().Node("G", "N"); return n.BdSeq == 90 })
	p.node.birth()
	p.eventually("told", func() bool { n, _ := p.host.Watcher().Node("G", "N"); return n.Conflicts > 0 })
	_, body := p.call("GET", "/metrics", "")
	require.True(t, strings.Contains(body, `rule="two publishers of one node id"`), "not at /metrics")
}

// 39: certificates come with the retain flag also when they are live, and
// nobody can forge one.
func TestTrap39LiveCertificates(t *testing.T) {
	w := newWire(t, "127.0.0.1:0")
	got := make(chan mqtt.Message, 10)
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: w.server, ClientID: "reader", OnMessage: func(m mqtt.Message) { got <- m }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "$sparkplug/certificates/#", QoS: 1}))
	f := newForeign(t, w.server, "N")
	_ = f.conn.Publish(t.Context(), mqtt.Message{Topic: "$sparkplug/certificates/spBv1.0/G/NBIRTH/N", Payload: []byte("forged"), QoS: 1, Retain: true})
	f = newForeignAs(t, w.server, "N", "again")
	f.birth()
	m := <-got
	require.Equal(t, "$sparkplug/certificates/spBv1.0/G/NBIRTH/N", m.Topic)
	require.True(t, m.Retain)
	require.NotEqual(t, "forged", string(m.Payload))
}
