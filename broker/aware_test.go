package broker_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestCertificates: births are kept and delivered with the retain flag, live
// and late, from the network and from this process.
//
// Spec: tck-id-conformance-mqtt-aware-store,
// tck-id-conformance-mqtt-aware-nbirth-mqtt-topic, tck-id-conformance-mqtt-aware-nbirth-mqtt-retain,
// tck-id-conformance-mqtt-aware-dbirth-mqtt-topic, tck-id-conformance-mqtt-aware-dbirth-mqtt-retain.
func TestCertificates(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	// Kept messages may follow the answer to SUBSCRIBE: the next answer, to
	// the one for the mark, says that there are no more of them.
	plain := dial(t, b, mqtt.Config{}).sub(t, "#", "+/+/+/+/+", "mark")
	live := dial(t, b, mqtt.Config{}).sub(t, "$sparkplug/certificates/#", "mark")
	exact := dial(t, b, mqtt.Config{}).sub(t, "$sparkplug/certificates/spBv1.0/G/NBIRTH/e1", "mark")
	host, got := attach(t, b, broker.Client{ID: "host"})
	ok(t, host.Subscribe(t.Context(), broker.Filter{Topic: "#"}, broker.Filter{Topic: "$sparkplug/certificates/#"}))
	e1 := dial(t, b, mqtt.Config{})
	sent := [][2]string{
		{"spBv1.0/G/NBIRTH/e1", "node"},
		{"spBv1.0/G/DBIRTH/e1/d1", "device"},
		{"spBv1.0/G/NDATA/e1", "data"},
		{"spBv1.0/G/NBIRTH/e1/too/deep", "no birth"},
		{"spBv1.0/G/NDEATH/e1", "death"},
		{"spBv1.0/G/NBIRTH/e1", "again"},
	}
	for _, m := range sent {
		ok(t, e1.Publish(t.Context(), mqtt.Message{Topic: m[0], Payload: []byte(m[1])}))
	}
	ok(t, host.Publish(t.Context(), broker.Message{Topic: "spBv1.0/G/NBIRTH/inside", Payload: []byte("inside")}))

	const c = "$sparkplug/certificates/"
	births := []string{
		c + "spBv1.0/G/NBIRTH/e1=node", c + "spBv1.0/G/DBIRTH/e1/d1=device",
		c + "spBv1.0/G/NBIRTH/e1=again", c + "spBv1.0/G/NBIRTH/inside=inside",
	}
	sorted(t, "live", take(t, live.got, 4, true), births)
	sorted(t, "exact", take(t, exact.got, 2, true), []string{births[0], births[2]})
	late := dial(t, b, mqtt.Config{}).sub(t, c+"spBv1.0/+/NBIRTH/+", c+"spBv1.0/G/DBIRTH/e1/d1", "mark")
	sorted(t, "late", take(t, late.got, 3, true), births[1:])
	hash := dial(t, b, mqtt.Config{}).sub(t, "#", "+/#", "mark") // must not get them
	attached := map[bool]int{}
	for range len(sent) + 1 + 4 {
		m := receive(t, got)
		attached[m.Retain]++
		if m.Retain != strings.HasPrefix(m.Topic, c) {
			t.Errorf("the process got %+v", m)
		}
	}
	if attached[true] != 4 {
		t.Errorf("the process got %d certificates, want 4", attached[true])
	}
	want := []string{"spBv1.0/G/NBIRTH/inside=inside"}
	for _, m := range sent {
		want = append(want, m[0]+"="+m[1])
	}
	sorted(t, "plain", take(t, plain.got, 7, false), want)
	e1.pub(t, "mark", "")
	for name, cl := range map[string]client{"live": live, "exact": exact, "plain": plain, "late": late, "hash": hash} {
		if m := receive(t, cl.got); m.Topic != "mark" {
			t.Errorf("%s got %+v too much", name, m)
		}
	}
}

// take reads n messages, which all have that retain flag, as topic=payload.
func take(t *testing.T, ch <-chan mqtt.Message, n int, retain bool) (got []string) {
	t.Helper()
	for range n {
		m := receive(t, ch)
		if m.Retain != retain {
			t.Errorf("%s came with retain %v", m.Topic, m.Retain)
		}
		got = append(got, m.Topic+"="+string(m.Payload))
	}
	return got
}

func sorted(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCertificatesCannotBeForged: only the broker publishes them.
func TestCertificatesCannotBeForged(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	watcher := dial(t, b, mqtt.Config{}).sub(t, "$sparkplug/#", "mark")
	liar := dial(t, b, mqtt.Config{})
	for _, topic := range []string{"$sparkplug/certificates/spBv1.0/G/NBIRTH/e1", "$SPARKPLUG/x", "$sparkplug", "$share/g/x"} {
		ok(t, liar.Publish(t.Context(), mqtt.Message{Topic: topic, Retain: true, Payload: []byte("forged")}))
		if err := liar.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1, Retain: true, Payload: []byte("forged")}); err == nil {
			t.Errorf("published to %s", topic)
		}
	}
	ok(t, liar.Publish(t.Context(), mqtt.Message{Topic: "$SYS/x", Retain: true, Payload: []byte("forged")}))
	liar.pub(t, "mark", "")
	if m := receive(t, watcher.got); m.Topic != "mark" {
		t.Errorf("%+v came through", m)
	}
	if s := b.Stats(); s.Retained != 0 {
		t.Errorf("%d messages were kept", s.Retained)
	}
}

// TestDeathTimestamp: the NDEATH of a will tells when it was sent.
//
// Spec: tck-id-conformance-mqtt-aware-ndeath-timestamp.
func TestDeathTimestamp(t *testing.T) {
	b, _ := serve(t, broker.Config{})
	host := dial(t, b, mqtt.Config{}).sub(t, "spBv1.0/#")
	payload := sparkplug.Payload{Timestamp: 1000, HasTimestamp: true, Metrics: []sparkplug.Metric{
		{Name: "bdSeq", Timestamp: 1000, HasTimestamp: true, Value: sparkplug.Int(sparkplug.TypeInt64, 7)},
	}}
	will, err := payload.Append(nil)
	ok(t, err)
	for _, topic := range []string{"spBv1.0/G/NDEATH/e1", "other/topic"} {
		before := time.Now().UnixMilli()
		c := dial(t, b, mqtt.Config{Will: &mqtt.Message{Topic: topic, QoS: 1, Payload: will}})
		c.Close()
		if topic == "other/topic" {
			break
		}
		m := receive(t, host.got)
		var got sparkplug.Payload
		ok(t, got.Decode(m.Payload))
		if got.Timestamp < before || got.Timestamp > time.Now().UnixMilli() {
			t.Errorf("the timestamp is %d, want that of now", got.Timestamp)
		}
		if back := broker.Stamp(m.Payload, 1000); !bytes.Equal(back, will) {
			t.Errorf("more than the timestamp has changed: % x, want % x", back, will)
		}
	}
}

func FuzzStamp(f *testing.F) {
	f.Add([]byte{0x08, 1, 0x12, 2, 0x0A, 0, 0x18, 5})
	f.Add([]byte{0x12, 0xFF})
	f.Add([]byte{0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.Clone(b)
		once := broker.Stamp(b, 42)
		if !bytes.Equal(in, b) {
			t.Error("the argument has changed")
		}
		if bytes.Equal(once, b) {
			return // not a payload, or stamped already
		}
		if again := broker.Stamp(once, 42); !bytes.Equal(again, once) {
			t.Errorf("stamped twice: % x, once: % x", again, once)
		}
	})
}

// TestRestoredState: a host that was online before the broker started is not now.
func TestRestoredState(t *testing.T) {
	b, _ := serve(t, broker.Config{Retained: []broker.Message{
		{Topic: "spBv1.0/STATE/plant", QoS: 1, Payload: []byte(`{"online":true,"timestamp":5}`)},
		{Topic: "spBv1.0/STATE/odd", QoS: 1, Payload: []byte(`?`)},
		{Topic: "other", QoS: 1, Payload: []byte(`{"online":true,"timestamp":5}`)},
	}})
	c := dial(t, b, mqtt.Config{}).sub(t, "#")
	sorted(t, "a client", take(t, c.got, 3, true), []string{
		`spBv1.0/STATE/plant={"online":false,"timestamp":5}`,
		`spBv1.0/STATE/odd=?`,
		`other={"online":true,"timestamp":5}`,
	})
}
