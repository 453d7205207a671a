package watch_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// TestBatchesChangeNothing: messages that are handled together, and looked at
// ahead of their turn, have the effects that they have one by one, whatever
// comes between them.
func TestBatchesChangeNothing(t *testing.T) {
	for seed := range uint64(60) {
		all := jumble(t, rand.New(rand.NewPCG(seed, 5)), 400)
		wantSeen, want := follow(t, all, 1, true)
		gotSeen, got := follow(t, all, watch.Batch, true)
		if i := firstDifference(gotSeen, wantSeen); i >= 0 {
			t.Fatalf("seed %d: update %d in batches: %q, one by one: %q", seed, i, gotSeen[i:i+1], wantSeen[i:i+1])
		}
		if got != want {
			t.Fatalf("seed %d: in batches:\n%s\none by one:\n%s", seed, got, want)
		}
		if _, silent := follow(t, all, watch.Batch, false); silent != want {
			t.Fatalf("seed %d: without a handler:\n%s\nwith one:\n%s", seed, silent, want)
		}
	}
}

func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return min(i, len(a)-1, len(b)-1)
		}
	}
	return -1
}

// follow feeds messages in batches and returns the updates and the picture.
func follow(t *testing.T, all []mqtt.Message, batch int, handler bool) (seen []string, picture string) {
	log := plant{t: t}
	c := watch.Config{
		Passive: true, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.UnixMilli(1_700_000_000_000) },
	}
	if handler {
		c.Handler = log.see
	}
	w, err := watch.New(c)
	must(t, err)
	for part := range slices.Chunk(all, batch) {
		w.Link("test").Feed(part...)
	}
	var b strings.Builder
	for _, n := range w.Nodes() {
		fmt.Fprintf(&b, "%+v\n", n)
		for _, device := range []string{"", "D"} {
			metrics, _ := w.Metrics(n.Group, n.Node, device)
			for _, m := range metrics {
				fmt.Fprintf(&b, "%s/%s %s %s %s %d %d %v\n", n.Node, device, m.Name, m.Type, m.Value, m.Time, m.Quality, m.Stale)
			}
		}
	}
	fmt.Fprintf(&b, "%+v\n", w.Stats())
	return log.seen, b.String()
}

// jumble makes messages of two nodes, one with a device, that are mostly in
// order. Births change the types that the aliases stand for.
func jumble(t *testing.T, rnd *rand.Rand, n int) (all []mqtt.Message) {
	const at = 1_700_000_000_000
	var seq [2]uint8
	types := []sparkplug.DataType{sparkplug.TypeInt32, sparkplug.TypeInt64, sparkplug.TypeUInt32, sparkplug.TypeString, sparkplug.TypeInt8}
	send := func(kind string, node int, p sparkplug.Payload) {
		topic := fmt.Sprintf("spBv1.0/G/%s/N%d", kind, node)
		if kind[0] == 'D' {
			topic += "/D"
		}
		all = append(all, mqtt.Message{Topic: topic, Payload: st.Encode(t, p), Retain: rnd.IntN(40) == 0})
	}
	for i := range n {
		node, now := rnd.IntN(2), at+int64(i)
		typ := types[rnd.IntN(len(types))]
		switch k := rnd.IntN(40); {
		case k == 0 || i < 2:
			node = i % 2
			send("NBIRTH", node, st.NodeBirth(now, 0, int64(i%250), st.Aliased("A", 1, now, sparkplug.Null(typ)), st.Aliased("B", 2, now, sparkplug.Double(0))))
			send("DBIRTH", node, st.Payload(now, 1, st.Aliased("C", 3, now, sparkplug.Null(typ))))
			seq[node] = 2
		case k == 1:
			send("NDEATH", node, st.NodeDeath(now, int64(i%250)))
		case k == 2:
			send("DDEATH", node, st.Payload(now, seq[node]))
			seq[node]++
		case k == 3:
			all = append(all, mqtt.Message{Topic: fmt.Sprintf("spBv1.0/G/NDATA/N%d", node), Payload: []byte{0x12, 9}})
		case k == 4:
			seq[node]++ // a message is lost
		case k < 10:
			send("DDATA", node, st.Payload(now, seq[node], st.ByAlias(3, now, value(rnd))))
			seq[node]++
		default:
			a, b := st.ByAlias(1, now, value(rnd)), st.ByAlias(2, now, sparkplug.Double(float64(i)))
			a.Historical, b.Timestamp = rnd.IntN(20) == 0, now<<uint(rnd.IntN(24))
			send("NDATA", node, st.Payload(now, seq[node], a, b))
			seq[node]++
		}
	}
	return all
}

func value(rnd *rand.Rand) sparkplug.Value {
	switch rnd.IntN(4) {
	case 0:
		return sparkplug.String("text")
	case 1:
		return sparkplug.Null(sparkplug.TypeInt32)
	case 2:
		return sparkplug.Int(sparkplug.TypeInt64, 5_000_000_000)
	}
	return sparkplug.Int(sparkplug.TypeInt32, -1)
}

// TestAnyTime: a metric's time is kept whatever it is, and so is its value,
// whether it is null, a number or text.
func TestAnyTime(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.send(nbirth, st.NodeBirth(at, 0, 0, st.Aliased("F", 1, at, sparkplug.Double(1)), st.Aliased("S", 2, at, sparkplug.String("birth"))))
		seq := uint8(0)
		for _, ms := range []int64{at, 0, 1 << 43, 1<<44 - 1, 1 << 44, -1 << 44, -1<<44 - 1, 1<<63 - 1, -1 << 63, -1, at} {
			for i, v := range []sparkplug.Value{sparkplug.Double(float64(seq)), sparkplug.Null(sparkplug.TypeDouble)} {
				text := sparkplug.String(fmt.Sprint("at ", ms))
				if i == 1 {
					text = sparkplug.Null(sparkplug.TypeString)
				}
				seq++
				p.send(ndata, st.Payload(at, seq, st.ByAlias(1, ms, v), st.ByAlias(2, ms, text)))
				f, _ := p.w.Metric("G", "N", "", "F")
				s, _ := p.w.Metric("G", "N", "", "S")
				if f.Time != ms || s.Time != ms || !f.Value.Equal(v) || !s.Value.Equal(text) {
					t.Errorf("at %d: %v at %d and %v at %d; want %v, %v", ms, f.Value, f.Time, s.Value, s.Time, v, text)
				}
			}
		}
	})
}
