package edgenode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestAgentFormer checks that what was taken out of the configuration before its
// reports have arrived stays declared, without a value, until they have: a
// metric over a restart, and a device over a reload.
func TestAgentFormer(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(ackedPress)
		st.online()
		pass(2500 * time.Millisecond)
		st.acknowledge("plant", 0)
		pass(2 * time.Second)
		st.m.do(func() { st.m.values["1:speed"] = 7 })
		pass(2 * time.Second)
		st.stop()

		// the metric is renamed
		renamed := strings.Replace(ackedPress, "Speed", "Velocity", 1)
		st.s.takeMetrics()
		st.start(renamed)
		st.online()
		pass(10 * time.Second)
		all := st.s.takeMetrics()
		declared := slices.IndexFunc(all, func(m told) bool { return m.typ == sparkplug.DBIRTH && m.name == "Speed" })
		if declared < 0 || !all[declared].null || all[declared].quality != int64(stale) {
			st.t.Fatalf("Speed is not declared without a value: %+v", all)
		}
		sent := func(all []told) (values []float64) {
			for _, m := range all {
				if m.historical && m.alias == st.s.alias("Speed") && m.name == "" {
					values = append(values, m.value)
				}
			}
			return values
		}
		if got := sent(all); !slices.Equal(got, []float64{7}) {
			st.t.Errorf("%v of Speed came", got)
		}
		if !slices.ContainsFunc(all, func(m told) bool { return m.name == "Velocity" && m.value == 7 }) {
			st.t.Error("Velocity is not declared")
		}
		st.acknowledge("plant", 0)
		pass(3 * time.Second)
		if s := st.agent.Stats(); s.SpoolRecords != 0 || s.Dropped != 0 {
			st.t.Errorf("stats %+v", s)
		}
		st.s.cut(false)
		pass(10 * time.Second)
		st.online()
		st.s.takeMetrics()
		pass(10 * time.Second)
		if slices.ContainsFunc(st.s.takeMetrics(), func(m told) bool { return m.name == "Speed" }) {
			st.t.Error("Speed is declared though its reports have arrived")
		}

		// the device is replaced
		st.acknowledge("plant", 0)
		pass(2 * time.Second)
		st.m.do(func() { st.m.values["1:speed"] = 8 })
		pass(2 * time.Second)
		if s := st.agent.Stats(); s.SpoolRecords == 0 {
			st.t.Fatalf("nothing waits: %+v", s)
		}
		st.s.take()
		if err := st.agent.Reload(st.t.Context(), st.parse(strings.ReplaceAll(renamed, "Press", "Other"))); err != nil {
			st.t.Fatal(err)
		}
		pass(40 * time.Second)
		if got := st.s.take(); !slices.Contains(got, "DBIRTH Other") || slices.Index(got, "DBIRTH Press") < slices.Index(got, "DDEATH Press") {
			st.t.Errorf("sent %q when the device was taken out of the configuration", got)
		}
		st.acknowledge("plant", 0)
		pass(3 * time.Second)
		if got := st.s.take(); !slices.Contains(got, "DDEATH Press") {
			st.t.Errorf("sent %q when all of the device had arrived", got)
		}
		if s := st.agent.Stats(); s.SpoolRecords != 0 || s.Dropped != 0 {
			st.t.Errorf("stats %+v", s)
		}
	})
}
