package edgenode

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

const onePress = `
devices:
  - {id: Press, connection: plc, metrics: [{name: Speed, addr: "1:speed", type: Float}, {name: Set, addr: "1:set", type: Float, scale: 2, as: Float, write: {min: 0, max: 100}}]}
`

func TestAgentBirthsAndStops(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.m.do(func() { st.m.values["1:speed"] = 7 })
		st.start(onePress + "metrics: [{name: Site, type: Double, value: 21.5}]\n")
		pass(time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"NBIRTH", "DBIRTH Press"}) && !slices.Equal(got, []string{"NBIRTH", "DBIRTH Press", "DDATA Press"}) {
			t.Errorf("sent %q", got)
		}
		aliases := map[uint64]string{}
		for _, m := range st.s.takeMetrics() {
			if m.typ == sparkplug.DDATA {
				t.Errorf("data though nothing changed: %+v", m)
			}
			if m.alias != 0 && aliases[m.alias] != "" {
				t.Errorf("alias %d is that of %s and %s", m.alias, aliases[m.alias], m.name)
			}
			aliases[m.alias] = m.name
			if m.time == 0 || m.name == "Speed" && (m.value != 7 || m.quality != 192) {
				t.Errorf("born with %+v", m)
			}
		}
		st.stop()
		if got := st.s.take(); !slices.Equal(got, []string{"DDEATH Press", "DISCONNECT with will"}) {
			t.Errorf("at the end: %q", got)
		}
		if will := st.s.wills[0]; will.Topic != "spBv1.0/G/NDEATH/E" || will.QoS != 1 || will.Retain {
			t.Errorf("will = %+v", will)
		}
	})
}

// TestAgentReplays checks that what changes while the server is away comes
// after the births, as historical data, oldest first, each once, and so does
// what was sent just before the link broke.
func TestAgentReplays(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(2500 * time.Millisecond)
		want := map[float64]bool{}
		set := func(v float32) {
			st.m.do(func() { st.m.values["1:speed"] = v })
			want[float64(v)] = true
			pass(time.Second)
		}
		set(1)
		set(2)
		st.s.cut(true)
		for v := range 20 {
			set(float32(10 + v))
		}
		st.s.takeMetrics()
		st.s.mu.Lock()
		st.s.down = false
		st.s.mu.Unlock()
		pass(time.Minute)
		got := map[float64]int{}
		last := map[uint64]int64{}
		born := false
		for _, m := range st.s.takeMetrics() {
			born = born || m.typ == sparkplug.DBIRTH && m.value == 29
			if m.typ != sparkplug.DDATA {
				continue
			}
			if !born || !m.historical || m.time <= last[m.alias] {
				t.Errorf("out of order, live or before the birth: %+v", m)
			}
			last[m.alias] = m.time
			got[m.value]++
		}
		for v := range want {
			if got[v] != 1 {
				t.Errorf("%v came %d times after the return", v, got[v])
			}
		}
		if s := st.agent.Stats(); s.Dropped != 0 || s.SpoolRecords != 0 {
			t.Errorf("stats %+v", s)
		}
		if n := strings.Count(st.log.String(), "refused"); n != 1 {
			t.Errorf("said %d times that the server refuses", n)
		}
	})
}

func TestAgentDropsOldest(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.s.down = true
		st.start(onePress + "spool: {max_bytes: 64KiB}\nscan_classes: {normal: 10ms}\n")
		for v := range 4000 {
			st.m.do(func() { st.m.values["1:speed"] = float32(v) })
			pass(10 * time.Millisecond)
		}
		s := st.agent.Stats()
		if s.Dropped == 0 || s.SpoolRecords == 0 || s.Held+2 != s.Dropped+s.SpoolRecords { // the first two came together
			t.Errorf("stats %+v", s)
		}
		st.s.mu.Lock()
		st.s.down = false
		st.s.mu.Unlock()
		pass(time.Minute)
		first := 0.0
		for _, m := range st.s.takeMetrics() {
			if m.historical {
				first = m.value
				break
			}
		}
		if first < 1000 {
			t.Errorf("the oldest that was kept is %v", first)
		}
	})
}

func TestAgentWaitsForPrimaryHost(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress + "mqtt: {servers: [\"mqtt://127.0.0.1\"], primary_host: plant}\n")
		st.s.say("spBv1.0/STATE/plant", sparkplug.State{Online: false, Timestamp: 5}.Append(nil))
		pass(time.Hour)
		if got := st.s.take(); len(got) != 0 {
			t.Errorf("sent %q while the host is offline", got)
		}
		if n := strings.Count(st.log.String(), "waiting for primary host plant: offline since 20"); n != 1 {
			t.Errorf("said %d times what it waits for:\n%s", n, st.log)
		}
		st.s.say("spBv1.0/STATE/plant", sparkplug.State{Online: true, Timestamp: 5}.Append(nil))
		pass(time.Second)
		if got := st.s.take(); len(got) < 2 || got[0] != "NBIRTH" || got[1] != "DBIRTH Press" {
			t.Errorf("sent %q", got)
		}
		st.s.say("spBv1.0/STATE/plant", sparkplug.State{Online: false, Timestamp: 6}.Append(nil))
		pass(100 * time.Millisecond)
		if got := st.s.take(); len(got) == 0 || got[len(got)-1] != "DISCONNECT with will" {
			t.Errorf("sent %q when the host went offline", got)
		}
	})
}

func TestAgentEquipmentDiesAndReturns(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(3 * time.Second)
		st.s.take()
		st.m.do(func() { st.m.off = true })
		pass(10 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"DDEATH Press"}) {
			t.Errorf("sent %q after the equipment died", got)
		}
		pass(time.Hour)
		st.m.do(func() { st.m.off, st.m.values["1:speed"] = false, 3 })
		pass(10 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"DBIRTH Press"}) {
			t.Errorf("sent %q after the equipment returned", got)
		}
		if n := strings.Count(st.log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings in an hour:\n%s", n, st.log)
		}
		st.m.do(func() { st.m.panics = true })
		pass(10 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"DDEATH Press"}) {
			t.Errorf("sent %q after the driver panicked", got)
		}
	})
}

// TestAgentQuarantine checks that one dead unit of ten leaves the others at
// least nine tenths of their rate.
func TestAgentQuarantine(t *testing.T) {
	inBubble(t, func(st *stand) {
		var body strings.Builder
		body.WriteString("devices:\n")
		for u := range 10 {
			fmt.Fprintf(&body, "  - {id: U%d, connection: plc, metrics: [{name: V, addr: \"%d:v\", type: Float}]}\n", u, u)
		}
		st.m.do(func() { st.m.dead["4"] = true })
		st.start(body.String())
		pass(10 * time.Minute)
		for u := range 10 {
			n := st.m.count(fmt.Sprint(u))
			if u == 4 && n > 20 || u != 4 && n < 540 {
				t.Errorf("unit %d was read %d times in 600 s", u, n)
			}
		}
		if got := st.s.take(); slices.Contains(got, "DBIRTH U4") || !slices.Contains(got, "DBIRTH U3") || slices.Contains(got, "DDEATH U3") {
			t.Errorf("sent %q", got)
		}
		st.m.do(func() { delete(st.m.dead, "4") })
		pass(time.Minute)
		if got := st.s.take(); !slices.Contains(got, "DBIRTH U4") {
			t.Errorf("sent %q after the unit returned", got)
		}
	})
}

// TestAgentBisects checks that one refused address of sixty costs the others
// nothing but a few requests.
func TestAgentBisects(t *testing.T) {
	inBubble(t, func(st *stand) {
		var body strings.Builder
		body.WriteString("devices:\n  - id: D\n    connection: plc\n    metrics:\n")
		for i := range 60 {
			fmt.Fprintf(&body, "      - {name: V%d, addr: \"1:%d\", type: Float}\n", i, i)
		}
		st.m.do(func() { st.m.bad["1:37"] = true })
		st.start(body.String())
		pass(time.Second)
		good, bad := 0, 0
		for _, m := range st.s.takeMetrics() {
			switch {
			case m.typ == sparkplug.DBIRTH && m.quality == 192 && !m.null:
				good++
			case m.typ == sparkplug.DBIRTH && m.quality == 0 && m.null && m.name == "V37":
				bad++
			}
		}
		if good != 59 || bad != 1 {
			t.Errorf("%d good, %d bad in the birth", good, bad)
		}
		before := st.m.count("1")
		pass(10 * time.Second)
		if n := st.m.count("1") - before; n > 80 {
			t.Errorf("%d requests in 10 s after the bad tag was found", n)
		}
		st.m.do(func() { delete(st.m.bad, "1:37") })
		pass(2 * time.Minute)
		back := false
		for _, m := range st.s.takeMetrics() {
			back = back || m.typ == sparkplug.DDATA && m.quality == 192
		}
		if !back {
			t.Error("the tag did not come back")
		}
		before = st.m.count("1")
		pass(10 * time.Second)
		if n := st.m.count("1") - before; n != 10 {
			t.Errorf("%d requests in 10 s after all was well again", n)
		}
	})
}

func TestAgentWrites(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress + "metrics: [{name: Site, type: Double, value: 21.5, write: {max: 50}}]\n")
		pass(3 * time.Second)
		set := uint64(0)
		for _, m := range st.s.takeMetrics() {
			if m.name == "Set" {
				set = m.alias
			}
		}
		dcmd, ncmd := "spBv1.0/G/DCMD/E/Press", "spBv1.0/G/NCMD/E"
		st.s.command(dcmd, sparkplug.Metric{Alias: set, HasAlias: true, Value: sparkplug.Float(90)})
		pass(10 * time.Millisecond)
		if v := st.m.value("1:set"); v != 45 {
			t.Errorf("the machine has %v, want 45", v)
		}
		if got := st.s.takeMetrics(); len(got) != 1 || got[0].value != 90 || got[0].alias != set {
			t.Errorf("told %+v", got)
		}
		st.s.command(dcmd, sparkplug.Metric{Name: "Set", Value: sparkplug.Float(90)}) // unchanged, told all the same
		pass(10 * time.Millisecond)
		if got := st.s.takeMetrics(); len(got) != 1 || got[0].value != 90 {
			t.Errorf("told %+v", got)
		}
		for _, bad := range []sparkplug.Metric{
			{Name: "Set", Value: sparkplug.Float(101)},
			{Name: "Set", Value: sparkplug.String("x")},
			{Name: "Set", Value: sparkplug.Null(sparkplug.TypeFloat)},
			{Name: "Speed", Value: sparkplug.Float(1)},
			{Name: "Nope", Value: sparkplug.Float(1)},
			{Alias: 999, HasAlias: true, Value: sparkplug.Float(1)},
		} {
			st.s.command(dcmd, bad)
		}
		st.s.say(dcmd, []byte("garbage"))
		pass(10 * time.Millisecond)
		if got := st.agent.Stats().Refused; got != 7 {
			t.Errorf("%d refused, want 7:\n%s", got, st.log)
		}
		st.s.command(ncmd, sparkplug.Metric{Name: "Site", Value: sparkplug.Double(30)})
		pass(10 * time.Millisecond)
		st.stop()
		st.s.takeMetrics()

		st.start(onePress + "metrics: [{name: Site, type: Double, value: 21.5, write: {max: 50}}]\n")
		pass(time.Second)
		for _, m := range st.s.takeMetrics() {
			if m.name == "Site" && m.value != 30 || m.name == "bdSeq" && m.value != 1 {
				t.Errorf("after the restart: %+v", m)
			}
		}
	})
}

func TestAgentOverruns(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.m.do(func() { st.m.delay = 250 * time.Millisecond })
		st.start(onePress + "scan_classes: {normal: 100ms}\n")
		pass(10 * time.Second)
		s := st.agent.Stats()
		if s.Scans < 30 || s.Scans > 41 || s.Overruns < 40 || s.Overruns > 70 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestAgentReload(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(3 * time.Second)
		st.s.take()
		dials := st.agent.Stats().Dials
		more := "  - {id: Second, connection: plc, metrics: [{name: V, addr: \"1:v\", type: Float}]}\n"
		if err := st.agent.Reload(st.t.Context(), st.parse(onePress+more)); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"DBIRTH Second"}) || st.agent.Stats().Dials != dials {
			t.Errorf("sent %q, %d dials after a device was added", got, st.agent.Stats().Dials-dials)
		}
		changed := strings.Replace(onePress, "1:speed", "1:speed2", 1)
		if err := st.agent.Reload(st.t.Context(), st.parse(changed+more)); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := st.s.take(); len(got) < 2 || got[0] != "DDEATH Press" || got[1] != "DBIRTH Press" || slices.Contains(got, "DBIRTH Second") {
			t.Errorf("sent %q after a device was changed", got)
		}
		if err := st.agent.Reload(st.t.Context(), st.parse(changed+"metrics: [{name: Site, type: Double}]\n")); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if got := st.s.take(); len(got) < 3 || got[0] != "DDEATH Second" || got[1] != "NBIRTH" || got[2] != "DBIRTH Press" {
			t.Errorf("sent %q after the node was changed", got)
		}
		bad := st.parse(changed)
		bad.Devices[0].Class = "nope"
		if err := st.agent.Reload(st.t.Context(), bad); err == nil || !strings.Contains(err.Error(), `devices[0].class: no scan class "nope"`) {
			t.Errorf("err = %v", err)
		}
		pass(time.Second)
		if got := st.s.take(); len(got) != 0 {
			t.Errorf("sent %q after a bad reload", got)
		}
	})
}
