package scenario_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestRebirthStorm has many hosts ask for a rebirth at once: the agent is born
// at most twice, and what changed meanwhile is told.
func TestRebirthStorm(t *testing.T) {
	b := newBench(t)
	b.setFloat(0, 1)
	e := listen(t, b.server)
	b.start(t)
	e.until("NBIRTH", of(sparkplug.NBIRTH, ""))
	e.until("DBIRTH", of(sparkplug.DBIRTH, "Press"))
	for range 20 {
		e.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
	}
	b.setFloat(0, 2)
	births := 0
	e.until("an end of the births", func(h heard) bool {
		if h.topic.Type == sparkplug.NBIRTH {
			births++
		}
		m := h.metric("Speed", 0)
		return m != nil && m.Value.Float64() == 2 && births > 0
	})
	// what is owed comes after the debounce of 5 s; then a last command and its
	// answer, behind which no birth may follow
	quiet := time.NewTimer(7 * time.Second)
	for over := false; !over; {
		select {
		case h := <-e.in:
			if h.topic.Type == sparkplug.NBIRTH {
				births++
			}
		case <-quiet.C:
			over = true
		}
	}
	require.LessOrEqual(t, births, 2)
	require.NotZero(t, births)
	t.Logf("20 requests, %d NBIRTHs", births)
}

// requests counts rebirth requests.
type requests struct{ n atomic.Int64 }

// listenForRequests counts the rebirth requests to a node.
func listenForRequests(t *testing.T, server, node string) *requests {
	r := new(requests)
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: server, ClientID: "counter of " + node, OnMessage: func(m mqtt.Message) { r.n.Add(1) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "spBv1.0/G/NCMD/" + node, QoS: 1}))
	return r
}

// TestLostMessages loses 50 messages in a row: the host asks for one rebirth,
// has no more than one request in flight, and repeats it while it is not
// answered.
func TestLostMessages(t *testing.T) {
	b := newBench(t)
	h := newHostBench(t, t.TempDir(), b.server)
	r := listenForRequests(t, b.server, "Lossy")
	f := newForeign(t, b.server, "Lossy")
	f.birth()
	v := func() float64 { m, _ := h.host.Watcher().Metric("G", "Lossy", "", "V"); return m.Value.Float64() }
	online := func() bool { n, ok := h.host.Watcher().Node("G", "Lossy"); return ok && n.State.String() == "online" }
	h.eventually("born", online)
	f.data(1)
	h.eventually("in order", func() bool { return v() == 1 })
	f.seq += 50
	lost := time.Now()
	for i := range 20 { // it goes on, and never answers
		f.data(float64(10 + i))
	}
	h.eventually("asked", func() bool { return r.n.Load() == 1 })
	require.Greater(t, time.Since(lost), 1500*time.Millisecond, "before the reorder timeout of 2 s")
	f.data(40)
	h.eventually("asked again", func() bool { return r.n.Load() == 2 })
	again := time.Since(lost)
	f.birth()
	h.eventually("born again", func() bool { n, _ := h.host.Watcher().Node("G", "Lossy"); return n.Births == 2 && online() })
	f.data(99)
	h.eventually("in order again", func() bool { return v() == 99 })
	require.EqualValues(t, 2, r.n.Load(), "requests after it was answered")
	t.Logf("51 messages of 71 lost: asked, and again after %v", again.Round(time.Millisecond))
}

// TestOrderThatNeedsNoRebirth wraps seq from 255 to 0, and swaps messages
// within the window: no rebirth is asked for, and the values are in order.
func TestOrderThatNeedsNoRebirth(t *testing.T) {
	b := newBench(t)
	h := newHostBench(t, t.TempDir(), b.server)
	r := listenForRequests(t, b.server, "Swapped")
	f := newForeign(t, b.server, "Swapped")
	f.birth()
	for i := range 600 { // twice around
		if i%7 == 3 && i < 599 { // this one after the next
			f.at = time.Now() // they were made in order
			f.seq++
			f.data(float64(i + 1))
			f.seq -= 2
			f.data(float64(i))
			f.seq++
			f.at = time.Time{}
			continue
		}
		if i%7 == 4 {
			continue
		}
		f.data(float64(i))
	}
	h.eventually("the last value", func() bool { m, _ := h.host.Watcher().Metric("G", "Swapped", "", "V"); return m.Value.Float64() == 599 })
	require.Zero(t, r.n.Load())
	s := h.host.Watcher().Stats()
	require.Zero(t, s.Gaps+s.Duplicates+s.Late, "%+v", s)
}

// TestTwoPublishers has two edge nodes use one id: the host tells of it, by an
// event and a count.
func TestTwoPublishers(t *testing.T) {
	b := newBench(t)
	h := newHostBench(t, t.TempDir(), b.server)
	one, other := newForeignAs(t, b.server, "Twice", "one"), newForeignAs(t, b.server, "Twice", "other")
	other.bdSeq = 90
	is := func(bdSeq uint64) func() bool {
		return func() bool {
			n, ok := h.host.Watcher().Node("G", "Twice")
			return ok && n.BdSeq == bdSeq && n.Births > 0
		}
	}
	one.birth()
	h.eventually("one is born", is(0))
	other.birth()
	h.eventually("the other is born", is(90))
	one.birth()
	h.eventually("told", func() bool {
		n, ok := h.host.Watcher().Node("G", "Twice")
		return ok && n.Conflicts > 0
	})
	_, body := h.call("GET", "/v1/nodes/G/Twice", "")
	require.Contains(t, body, `"conflicts":1`)
	require.NotZero(t, h.host.Watcher().Stats().Faults["two publishers of one node id"])
}

// TestHostStateForms has the host say that it is there in every form.
func TestHostStateForms(t *testing.T) {
	for form, topics := range map[hostapp.StateForm][]string{
		hostapp.StateV3: {"spBv1.0/STATE/plant"}, hostapp.StateV2: {"STATE/plant"}, hostapp.StateBoth: {"STATE/plant", "spBv1.0/STATE/plant"},
	} {
		b := newBench(t)
		got := make(chan mqtt.Message, 100)
		c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: b.server, ClientID: "reader", OnMessage: func(m mqtt.Message) { got <- m }})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.Subscribe(t.Context(), mqtt.Filter{Topic: "STATE/+", QoS: 1}, mqtt.Filter{Topic: "spBv1.0/STATE/+", QoS: 1}))
		h := newHostBenchWith(t, t.TempDir(), func(c *hostapp.Config) { c.State = form }, b.server)
		said := func() map[string]string {
			out := map[string]string{}
			for range topics {
				m := <-got
				out[m.Topic] = string(m.Payload)
			}
			require.Len(t, out, len(topics))
			return out
		}
		for topic, payload := range said() {
			require.Contains(t, topics, topic)
			require.True(t, payload == "ONLINE" || strings.HasPrefix(payload, `{"online":true`), payload)
		}
		h.stop()
		for topic, payload := range said() {
			require.Contains(t, topics, topic)
			require.True(t, payload == "OFFLINE" || strings.HasPrefix(payload, `{"online":false`), payload)
		}
	}
}
