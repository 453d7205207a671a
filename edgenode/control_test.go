package edgenode

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

const ncmd = "spBv1.0/G/NCMD/E"

// TestScanRate checks that the metric sets the pace of devices without a class
// of their own, is born with what it is, refuses what is no pace, and is
// forgotten at a restart.
func TestScanRate(t *testing.T) {
	const body = `
scan_classes: {quick: 100ms, normal: 1s}
devices:
  - {id: A, connection: plc, metrics: [{name: V, addr: "1:v", type: Float}]}
  - {id: B, connection: plc, class: quick, metrics: [{name: V, addr: "2:v", type: Float}]}
`
	inBubble(t, func(st *stand) {
		reads := func() (a, b int) {
			a, b = st.m.count("1"), st.m.count("2")
			pass(10 * time.Second)
			return st.m.count("1") - a, st.m.count("2") - b
		}
		rate := func() (v float64) {
			for _, m := range st.s.takeMetrics() {
				if m.name == metricScanRate {
					v = m.value
				}
			}
			return v
		}
		st.start(body)
		pass(100 * time.Millisecond)
		if v := rate(); v != 1000 {
			t.Errorf("born with a rate of %v", v)
		}
		if a, b := reads(); a != 10 || b != 100 {
			t.Errorf("%d and %d reads in 10 s", a, b)
		}
		st.s.command(ncmd, sparkplug.Metric{Name: metricScanRate, Value: sparkplug.Int(sparkplug.TypeInt64, 250)})
		pass(10 * time.Millisecond)
		if a, b := reads(); a != 40 || b != 100 {
			t.Errorf("%d and %d reads in 10 s at 250 ms", a, b)
		}
		st.s.command(ncmd, sparkplug.Metric{Name: metricScanRate, Value: sparkplug.Int(sparkplug.TypeInt64, 0)})
		pass(10 * time.Millisecond)
		if a, _ := reads(); a != 40 || st.agent.Stats().Refused != 1 {
			t.Errorf("%d reads in 10 s after a rate of 0; %d refused", a, st.agent.Stats().Refused)
		}
		st.s.command(ncmd, sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
		pass(10 * time.Second)
		if v := rate(); v != 250 {
			t.Errorf("born again with a rate of %v", v)
		}
		st.stop()
		st.start(body)
		pass(100 * time.Millisecond)
		if v := rate(); v != 1000 {
			t.Errorf("after a restart the rate is %v", v)
		}
		st.stop()
	})
}

// TestReboot checks that the metric is there only if a command is configured,
// and that the command runs.
func TestReboot(t *testing.T) {
	there := func(st *stand) bool {
		return slices.ContainsFunc(st.s.takeMetrics(), func(m told) bool { return m.name == metricReboot })
	}
	inBubble(t, func(st *stand) {
		st.start("")
		pass(time.Second)
		if there(st) {
			t.Error("a reboot is offered though none is configured")
		}
		st.s.command(ncmd, sparkplug.Metric{Name: metricReboot, Value: sparkplug.Boolean(true)})
		pass(time.Second)
		if st.agent.Stats().Refused != 1 {
			t.Error("a reboot was not refused")
		}
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "rebooted")
	st := &stand{t: t, m: newMachine(), s: &server{}, log: new(bytes.Buffer), dir: dir}
	agent, err := New(st.parse("control: {reboot: [touch, "+file+"]}\n"), Options{Drivers: Drivers{"fake": st.m.open}})
	if err != nil {
		t.Fatal(err)
	}
	agent.reboot()
	agent.tasks.Wait()
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	agent.plan.cfg.Control.Reboot = []string{"/no/such/program"}
	agent.reboot()
	agent.tasks.Wait()
	if agent.Stats().Refused != 1 {
		t.Error("a reboot that failed was not counted")
	}
}

// TestHostStateOfVersion2 checks that a host may say that it is there as in
// Sparkplug 2.2.
func TestHostStateOfVersion2(t *testing.T) {
	for state, topic := range map[string]string{"v2": "STATE/plant", "both": "STATE/plant", "v3": "spBv1.0/STATE/plant"} {
		inBubble(t, func(st *stand) {
			st.start("mqtt: {servers: [\"mqtt://127.0.0.1\"], primary_host: plant, host_state: " + state + "}\n")
			pass(time.Second)
			var asked []string
			for _, f := range st.s.filters {
				asked = append(asked, f.Topic)
			}
			if !slices.Contains(asked, topic) || slices.Contains(asked, "STATE/plant") == (state == "v3") {
				t.Errorf("%s: asked for %q", state, asked)
			}
			say := func(online bool) {
				s := sparkplug.State{Online: online, Timestamp: time.Now().UnixMilli()}
				b := s.Append(nil)
				if state != "v3" {
					b = s.AppendV2(nil)
				}
				st.s.say(topic, b)
				pass(time.Second)
			}
			if got := st.s.take(); len(got) > 0 {
				t.Errorf("%s: sent %q before the host was there", state, got)
			}
			say(true)
			if got := st.s.take(); !slices.Equal(got, []string{"NBIRTH"}) {
				t.Errorf("%s: sent %q", state, got)
			}
			say(false)
			if got := st.s.take(); !slices.Contains(got, "DISCONNECT with will") {
				t.Errorf("%s: when the host left: %q", state, got)
			}
			say(true)
			pass(5 * time.Second)
			if st.agent.edge.Phase() != session.Online {
				t.Errorf("%s: not back: %v", state, st.agent.edge.Phase())
			}
		})
	}
}

// TestCompressed checks that what is long is compressed, and nothing else.
func TestCompressed(t *testing.T) {
	var more strings.Builder
	for i := range 40 {
		more.WriteString("  - {name: Site/Text " + strconv.Itoa(i) + ", type: String, value: abcabcabcabcabcabc, write: {}}\n")
	}
	for _, how := range []string{"deflate", "gzip", "none"} {
		inBubble(t, func(st *stand) {
			st.start("metrics:\n" + more.String() + "mqtt: {servers: [\"mqtt://127.0.0.1\"], compression: " + how + "}\n")
			pass(time.Second)
			born := st.s.takeMetrics()
			if compressed := len(born) == 1 && born[0].name == "algorithm"; compressed != (how != "none") {
				t.Errorf("%s: born with %d metrics", how, len(born))
			}
			st.s.command(ncmd, sparkplug.Metric{Name: "Site/Text 1", Value: sparkplug.String("short")})
			pass(time.Second)
			if data := st.s.takeMetrics(); len(data) != 1 || data[0].name == "algorithm" {
				t.Errorf("%s: short data is compressed: %+v", how, data)
			}
		})
	}
}
