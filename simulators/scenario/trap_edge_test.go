package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/edgenode"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// births waits until the agent has published so many NBIRTHs, and returns the last.
func (b *bench) births(n int) sparkplug.Payload {
	b.wire.t.Helper()
	b.wire.await("births", func() bool {
		return len(b.wire.sent(sparkplug.NBIRTH)) >= n && len(b.wire.sent(sparkplug.DBIRTH)) >= n
	})
	return payload(b.wire.t, b.wire.sent(sparkplug.NBIRTH)[n-1])
}

func bdSeqIn(t *testing.T, p *sparkplug.Payload) int64 {
	return named(t, p, sparkplug.MetricBdSeq).Value.Int()
}

// sayState publishes the STATE of a host.
func sayState(t *testing.T, server, host string, online bool, at int64) {
	t.Helper()
	f := newForeign(t, server, "state of "+host)
	require.NoError(t, f.conn.Publish(t.Context(), stateMessage(host, online, at)))
	_ = f.conn.Close()
}

// rebirth asks the agent for one.
func (b *bench) rebirth(t *testing.T) {
	t.Helper()
	ear := listenAs(t, b.server, "asks")
	ear.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
	_ = ear.conn.Close()
}

// 1: bdSeq is kept over a restart, and does not change at a rebirth.
func TestTrap01BdSeqPersisted(t *testing.T) {
	b := newBench(t)
	_, stop := b.start(t)
	first := b.births(1)
	require.EqualValues(t, 0, bdSeqIn(t, &first))
	stop()
	b.start(t)
	second := b.births(2)
	require.EqualValues(t, 1, bdSeqIn(t, &second))
	b.rebirth(t)
	again := b.births(3)
	require.EqualValues(t, 1, bdSeqIn(t, &again))
	require.EqualValues(t, 0, again.Seq)
}

// 2: a dial that sends no CONNECT uses up no bdSeq.
func TestTrap02BdSeqNotBurned(t *testing.T) {
	b := newBench(t)
	b.wire.stop()
	agent, _ := b.start(t)
	require.Eventually(t, func() bool { return agent.Stats().Reads > 3 }, patience, 5*time.Millisecond)
	b.wire = newWire(t, strings.TrimPrefix(b.server, "mqtt://"))
	first := b.births(1)
	require.EqualValues(t, 0, bdSeqIn(t, &first))
}

// 3: bdSeq is an Int64 without an alias.
func TestTrap03BdSeqDatatype(t *testing.T) {
	b := newBench(t)
	b.start(t)
	p := b.births(1)
	m := named(t, &p, sparkplug.MetricBdSeq)
	require.Equal(t, sparkplug.TypeInt64, m.Value.Type())
	require.False(t, m.HasAlias)
}

// 4: an NDEATH has no seq, and there is none at a rebirth.
func TestTrap04NDeathWithoutSeq(t *testing.T) {
	b := newBench(t)
	_, stop := b.start(t)
	b.births(1)
	b.rebirth(t)
	b.births(2)
	require.Empty(t, b.wire.sent(sparkplug.NDEATH))
	stop()
	b.wire.await("the death", func() bool { return len(b.wire.sent(sparkplug.NDEATH)) == 1 })
	p := payload(t, b.wire.sent(sparkplug.NDEATH)[0])
	require.False(t, p.HasSeq)
}

// 5: a host of version 2.2 is understood when asked for.
func TestTrap05StateOfVersion2(t *testing.T) {
	b := newBench(t)
	b.edit(t, "mqtt: {", "mqtt: {primary_host: plant, host_state: v2, ")
	b.start(t)
	b.wire.await("subscribed", func() bool { return len(b.wire.kinds(broker.EventSubscribe)) > 0 })
	f := newForeign(t, b.server, "old host")
	require.NoError(t, f.conn.Publish(t.Context(), stateMessageV2("plant", true)))
	b.births(1)
}

// 6: an online STATE as old as the offline one counts, an older one does not.
func TestTrap06EqualStateTimestamp(t *testing.T) {
	b := newBench(t)
	b.edit(t, "mqtt: {", "mqtt: {primary_host: plant, ")
	at := time.Now().UnixMilli()
	sayState(t, b.server, "plant", false, at)
	b.start(t)
	b.wire.await("subscribed", func() bool { return len(b.wire.kinds(broker.EventSubscribe)) > 0 })
	sayState(t, b.server, "plant", true, at-1)
	sayState(t, b.server, "other", true, at+1)
	sayState(t, b.server, "plant", true, at)
	b.births(1)
	for _, e := range b.wire.sent(sparkplug.NBIRTH) {
		last := b.wire.states()
		require.True(t, e.At.After(last[len(last)-1].At), "born before the last STATE")
	}
}

// 11: no payload is of the future.
func TestTrap11NoTimeOfTheFuture(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	b.setFloat(0, 5)
	b.wire.await("data", func() bool { return len(b.wire.sent(sparkplug.DDATA)) > 0 })
	for _, e := range b.wire.sent(sparkplug.NBIRTH, sparkplug.DBIRTH, sparkplug.DDATA) {
		p := payload(t, e)
		require.LessOrEqual(t, p.Timestamp, e.At.UnixMilli())
		require.Greater(t, p.Timestamp, e.At.Add(-time.Minute).UnixMilli())
	}
}

// 12 and 13: every metric has a time, and they come in its order.
func TestTrap12EveryMetricHasATime(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	for _, e := range b.wire.sent(sparkplug.NBIRTH, sparkplug.DBIRTH) {
		p := payload(t, e)
		for _, m := range p.Metrics {
			require.True(t, m.HasTimestamp, m.Name)
		}
	}
}

// 13: metrics come in the order of time.
func TestTrap13MetricsInOrderOfTime(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	b.setFloat(0, 5)
	b.rebirth(t)
	b.births(2)
	for _, e := range b.wire.sent(sparkplug.NBIRTH, sparkplug.DBIRTH, sparkplug.DDATA) {
		p, last := payload(t, e), int64(0)
		for _, m := range p.Metrics {
			require.GreaterOrEqual(t, m.Timestamp, last, m.Name)
			last = m.Timestamp
		}
	}
}

// 14: aliases are of the node, not on Rebirth, and replace names in data.
func TestTrap14Aliases(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	seen := map[uint64]string{}
	for _, e := range b.wire.sent(sparkplug.NBIRTH, sparkplug.DBIRTH) {
		p := payload(t, e)
		for _, m := range p.Metrics {
			require.NotEmpty(t, m.Name)
			own := m.Name == sparkplug.MetricBdSeq || m.Name == sparkplug.MetricRebirth
			require.Equal(t, !own, m.HasAlias, m.Name)
			if m.HasAlias {
				require.Empty(t, seen[m.Alias], "alias %d of %s", m.Alias, m.Name)
				seen[m.Alias] = m.Name
			}
		}
	}
	b.setFloat(0, 5)
	b.wire.await("data", func() bool { return len(b.wire.sent(sparkplug.DDATA)) > 0 })
	p := payload(t, b.wire.sent(sparkplug.DDATA)[0])
	require.Empty(t, p.Metrics[0].Name)
	require.Equal(t, "Speed", seen[p.Metrics[0].Alias])
}

// 16: rebirth requests are answered at most once in five seconds.
func TestTrap16RebirthStorm(t *testing.T) {
	e := session.NewEdge(session.EdgeConfig{Group: "G", Node: "E", MQTT5: true})
	fx := e.Step(session.EdgeEvent{Kind: session.EdgeStart, At: 1}, nil)
	number := fx[len(fx)-1].Session
	e.Step(session.EdgeEvent{Kind: session.EdgeConnected, At: 2, Session: number}, nil)
	births := 0
	count := func(fx []session.EdgeEffect) {
		for _, f := range fx {
			if f.Do == session.EdgeNBirth {
				births++
			}
		}
	}
	count(e.Step(session.EdgeEvent{Kind: session.EdgeSubscribed, At: 3, Session: number}, nil))
	require.Equal(t, 1, births)
	for i := range 20 {
		count(e.Step(session.EdgeEvent{Kind: session.EdgeRebirth, At: 10 + int64(i), Session: number}, nil))
	}
	for at := int64(100); at < 20_000; at += 100 {
		count(e.Step(session.EdgeEvent{Kind: session.EdgeTick, At: at}, nil))
	}
	require.Equal(t, 3, births, "the first, and two for 20 requests")
}

// 21: with MQTT 5 the server is asked for the will: one NDEATH, not two.
func TestTrap21GracefulStop(t *testing.T) {
	b := newBench(t)
	_, stop := b.start(t)
	b.births(1)
	stop()
	b.wire.await("closed", func() bool { return len(b.wire.kinds(broker.EventClosed)) > 0 })
	require.Len(t, b.wire.sent(sparkplug.NDEATH), 1)
	bye := b.wire.kinds(broker.EventDisconnect)
	require.Len(t, bye, 1)
	require.EqualValues(t, 4, bye[0].Reason)
}

// 22: devices die before the node.
func TestTrap22DDeathBeforeNDeath(t *testing.T) {
	b := newBench(t)
	_, stop := b.start(t)
	b.births(1)
	stop()
	b.wire.await("the deaths", func() bool { return len(b.wire.sent(sparkplug.NDEATH)) == 1 })
	deaths := b.wire.sent(sparkplug.DDEATH, sparkplug.NDEATH)
	require.Len(t, deaths, 2)
	require.Contains(t, deaths[0].Message.Topic, "/DDEATH/")
}

// 29: definitions are in the NBIRTH only, without a reference; instances refer.
func TestTrap29Templates(t *testing.T) {
	b := newBench(t)
	b.edit(t, "metrics:\n", "templates: {motor: [{name: Amps, addr: \"hr:{base}\", type: Int16}]}\nmetrics:\n")
	b.edit(t, "    class: quick\n", "    class: quick\n    use: [{template: motor, as: Main, instance: true, base: 40}]\n")
	b.start(t)
	p := b.births(1)
	definition := named(t, &p, "motor").Value.Template()
	require.True(t, definition.IsDefinition)
	require.Empty(t, definition.Ref)
	d := payload(t, b.wire.sent(sparkplug.DBIRTH)[0])
	instance := named(t, &d, "Main").Value.Template()
	require.False(t, instance.IsDefinition)
	require.Equal(t, "motor", instance.Ref)
	for _, m := range d.Metrics {
		require.False(t, m.Value.Template() != nil && m.Value.Template().IsDefinition, m.Name)
	}
}

// 30: the quality is an Int32 property of that very name.
func TestTrap30Quality(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	d := payload(t, b.wire.sent(sparkplug.DBIRTH)[0])
	for _, m := range d.Metrics {
		q, ok := m.Properties.Get("Quality")
		require.True(t, ok, m.Name)
		require.Equal(t, sparkplug.TypeInt32, q.Value.Type())
		require.Contains(t, []int64{0, 192, 500}, q.Value.Int())
	}
}

// 31: what was held comes after the births, as historical, with their aliases.
func TestTrap31Historical(t *testing.T) {
	b := newBench(t)
	b.edit(t, "mqtt: {", "mqtt: {primary_host: plant, ")
	sayState(t, b.server, "plant", true, time.Now().UnixMilli())
	agent, _ := b.start(t)
	b.births(1)
	sayState(t, b.server, "plant", false, time.Now().UnixMilli())
	b.wire.await("gone", func() bool { return len(b.wire.kinds(broker.EventClosed)) > 1 })
	for i := range 5 {
		b.setFloat(0, float32(100+i))
		reads := agent.Stats().Reads // of the scan that sees it, and the next
		require.Eventually(t, func() bool { return agent.Stats().Reads > reads+2 }, patience, 5*time.Millisecond)
	}
	sayState(t, b.server, "plant", true, time.Now().UnixMilli()+1)
	b.births(2)
	historical := func() (n int) {
		for _, e := range b.wire.sent(sparkplug.DDATA) {
			p := payload(t, e)
			for _, m := range p.Metrics {
				if m.Historical {
					require.True(t, e.At.After(b.wire.sent(sparkplug.DBIRTH)[1].At))
					require.Less(t, m.Timestamp, e.At.UnixMilli())
					n++
				}
			}
		}
		return n
	}
	b.wire.await("the history", func() bool { return historical() >= 4 })
}

// 32: names are case-sensitive, and two that differ in case only are refused.
func TestTrap32MetricNames(t *testing.T) {
	b := newBench(t)
	b.edit(t, "metrics:\n", "metrics:\n  - {name: setpoint, type: Double}\n")
	_, err := edgenode.Load(b.file, edgeDrivers)
	require.ErrorContains(t, err, `there is a metric "setpoint" already`)
}

// 33: a new metric of a device is announced by its death and birth, one of the
// node by births of all with the same bdSeq.
func TestTrap33AddingMetrics(t *testing.T) {
	b := newBench(t)
	agent, _ := b.start(t)
	first := b.births(1)
	reload := func() {
		cfg, err := edgenode.Load(b.file, edgeDrivers)
		require.NoError(t, err)
		require.NoError(t, agent.Reload(t.Context(), *cfg))
	}
	b.edit(t, "    metrics:\n", "    metrics:\n      - {name: New, addr: \"hr:20\", type: Int16}\n")
	reload()
	b.wire.await("the device is born anew", func() bool { return len(b.wire.sent(sparkplug.DBIRTH)) == 2 })
	require.Len(t, b.wire.sent(sparkplug.DDEATH), 1)
	require.Len(t, b.wire.sent(sparkplug.NBIRTH), 1)
	d := payload(t, b.wire.sent(sparkplug.DBIRTH)[1])
	named(t, &d, "New")
	b.edit(t, "metrics:\n", "metrics:\n  - {name: Another, type: Double, value: 1}\n")
	reload()
	b.wire.await("all are born anew", func() bool { return len(b.wire.sent(sparkplug.NBIRTH)) == 2 && len(b.wire.sent(sparkplug.DBIRTH)) == 3 })
	p := payload(t, b.wire.sent(sparkplug.NBIRTH)[1])
	named(t, &p, "Another")
	require.Equal(t, bdSeqIn(t, &first), bdSeqIn(t, &p))
	require.Len(t, b.wire.sent(sparkplug.NDEATH), 0)
}

// 35: all is at QoS 0 and not retained, but for the will and the subscriptions.
func TestTrap35QoSAndRetain(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	b.setFloat(0, 5)
	b.wire.await("data", func() bool { return len(b.wire.sent(sparkplug.DDATA)) > 0 })
	for _, e := range b.wire.kinds(broker.EventPublish) {
		require.Zero(t, e.Message.QoS, e.Message.Topic)
		require.False(t, e.Message.Retain, e.Message.Topic)
	}
	will := b.wire.kinds(broker.EventConnect)[0].Will
	require.EqualValues(t, 1, will.QoS)
	require.False(t, will.Retain)
	for _, f := range b.wire.kinds(broker.EventSubscribe)[0].Filters {
		require.EqualValues(t, 1, f.QoS, f.Topic)
	}
}

// 38: on one server at a time, walking when the host leaves, and staying when
// it returns.
func TestTrap38OneServerAtATime(t *testing.T) {
	b := newBench(t)
	other := newWire(t, "127.0.0.1:0")
	b.edit(t, `servers: ["`+b.server+`"]`, `servers: ["`+b.server+`", "`+other.server+`"], primary_host: plant`)
	now := time.Now().UnixMilli()
	sayState(t, b.server, "plant", true, now)
	sayState(t, other.server, "plant", true, now)
	b.start(t)
	b.births(1)
	sayState(t, b.server, "plant", false, now+1)
	other.await("born on the second server", func() bool { return len(other.sent(sparkplug.NBIRTH)) == 1 })
	left := b.wire.kinds(broker.EventDisconnect)
	require.True(t, other.kinds(broker.EventConnect)[1].At.After(left[len(left)-1].At), "on two servers at once")
	sayState(t, b.server, "plant", true, now+2)
	b.setFloat(0, 9) // its answer, on the second server, comes after it might have left
	other.await("data on the second server", func() bool { return len(other.sent(sparkplug.DDATA)) > 0 })
	require.Len(t, b.wire.sent(sparkplug.NBIRTH), 1)
	require.Empty(t, other.sent(sparkplug.NDEATH))
}

// 28: data carries no datatype.
func TestTrap28NoDatatypeInData(t *testing.T) {
	b := newBench(t)
	b.start(t)
	b.births(1)
	b.setFloat(0, 5)
	b.wire.await("data", func() bool { return len(b.wire.sent(sparkplug.DDATA)) > 0 })
	p := payload(t, b.wire.sent(sparkplug.DDATA)[0])
	require.True(t, p.Metrics[0].OmitType)
}

// 40: there is a place for the next version.
func TestTrap40NextVersion(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	require.NoError(t, err)
	require.Contains(t, string(doc), "## Sparkplug 4.0")
}
