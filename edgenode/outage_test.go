package edgenode

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// outageTags change once a second each.
const outageTags = 1000

// heard is what a host makes of the messages after an outage.
type heard struct {
	t        *testing.T
	st       *stand
	last     [outageTags]int64 // time of the newest historical value
	next     [outageTags]int64 // value that comes next; they count
	replayed int
	late     []time.Duration // how late live values came
	position session.Position
	first    time.Time // of the replay
	end      time.Time
	first64  uint64 // alias of the first tag
}

func (h *heard) message(m mqtt.Message) {
	topic, err := sparkplug.ParseTopic(m.Topic)
	var p sparkplug.Payload
	if err == nil {
		err = p.Decode(m.Payload)
	}
	if err != nil {
		h.t.Error(err)
		return
	}
	if h.position.Count++; topic.Type == sparkplug.NBIRTH {
		h.position = session.Position{}
	}
	h.position.Timestamp = p.Timestamp
	for i := range p.Metrics {
		x := &p.Metrics[i]
		switch {
		case x.Name == session.MetricDelivered:
			h.position.Birth = x.Value.Uint()
		case topic.Type == sparkplug.DBIRTH && x.Name == "T0":
			h.first64 = x.Alias
		case topic.Type == sparkplug.DDATA && !x.Historical:
			h.late = append(h.late, time.Since(time.UnixMilli(x.Timestamp)))
		case topic.Type == sparkplug.DDATA:
			h.historical(x)
		}
	}
}

func (h *heard) historical(x *sparkplug.Metric) {
	tag := x.Alias - h.first64
	if tag >= outageTags {
		return
	}
	v, err := x.Value.As(sparkplug.TypeFloat)
	if err != nil || x.Timestamp <= h.last[tag] || int64(v.Float64()) < h.next[tag] {
		h.t.Errorf("tag %d: %v at %d comes after %d at %d", tag, v, x.Timestamp, h.next[tag], h.last[tag])
	}
	if h.next[tag] != 0 && int64(v.Float64()) != h.next[tag] {
		h.t.Errorf("tag %d: %v is missing", tag, h.next[tag])
	}
	h.last[tag], h.next[tag] = x.Timestamp, int64(v.Float64())+1
	if h.replayed == 0 {
		h.first = time.Now()
	}
	h.replayed++
	h.end = time.Now()
}

// TestAgentOutage has the server away for an hour, or a day, while 1,000 values
// change each second: all are sent afterwards, in order, as historical, at the
// replay rate, and live values are not held up.
func TestAgentOutage(t *testing.T) {
	hours := 1
	switch {
	case testing.Short():
		t.Skip("skipped: takes some seconds")
	case os.Getenv("MAGNETO_CHAOS") != "":
		hours = 24
	}
	inBubble(t, func(st *stand) {
		h := &heard{t: t, st: st}
		var tags strings.Builder
		fmt.Fprint(&tags, "devices:\n  - id: Press\n    connection: plc\n    metrics:\n")
		for i := range outageTags {
			fmt.Fprintf(&tags, "      - {name: T%d, addr: \"1:t%d\", type: Float}\n", i, i)
		}
		change := func(v int) {
			st.m.do(func() {
				for i := range outageTags {
					st.m.values[fmt.Sprint("1:t", i)] = float32(v)
				}
			})
			time.Sleep(time.Second)
		}
		st.start(tags.String() + "mqtt: {servers: [\"mqtt://127.0.0.1\"], primary_host: plant}\n")
		st.online()
		pass(2500 * time.Millisecond)
		st.acknowledge("plant", 0)
		pass(time.Second)
		st.s.cut(true)
		for v := range hours * 3600 {
			change(v + 1)
		}
		bytes := int64(0)
		must(t, filepath.WalkDir(filepath.Join(st.dir, spoolDir), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				info, _ := d.Info()
				bytes += info.Size()
			}
			return err
		}))
		st.s.mu.Lock()
		st.s.down, st.s.message = false, h.message
		st.s.mu.Unlock()
		pass(35 * time.Second) // the next dial
		st.online()
		want := hours*3600*outageTags - 2*outageTags // but for what the births tell
		for v := hours * 3600; h.replayed < want && v < hours*3600+3600; v++ {
			change(v + 1)
			st.s.mu.Lock()
			at := h.position
			st.s.mu.Unlock()
			st.s.command("spBv1.0/G/NCMD/E", session.Acknowledgement(at, "plant"))
		}
		synctest.Wait()
		took := h.end.Sub(h.first)
		slices.Sort(h.late)
		p99 := h.late[len(h.late)*99/100]
		t.Logf("%d h: %d values replayed in %v, %.0f a second; %.1f bytes of disk each; live values p99 %v late", hours, h.replayed, took.Round(time.Second), float64(h.replayed)/took.Seconds(), float64(bytes)/float64(hours*3600*outageTags), p99)
		if h.replayed < want {
			t.Errorf("%d values of %d", h.replayed, want)
		}
		if perDay := float64(bytes) / float64(hours) * 24; perDay > 2e9 {
			t.Errorf("%.0f bytes a day", perDay)
		}
		if took > time.Duration(hours)*30*time.Minute/24+10*time.Second || p99 > time.Second {
			t.Errorf("replayed in %v, live values %v late", took, p99)
		}
		if s := st.agent.Stats(); s.Dropped != 0 || s.Unspooled != 0 || s.Misacked != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
