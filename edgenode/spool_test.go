package edgenode

import (
	"slices"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

const ackedPress = onePress + "mqtt: {servers: [\"mqtt://127.0.0.1\"], primary_host: plant}\n"

// online says that the host is there.
func (st *stand) online() {
	st.s.say("spBv1.0/STATE/plant", sparkplug.State{Online: true, Timestamp: 5}.Append(nil))
}

// acknowledge says as a host that all is stored that the last birth and the
// data after it have told.
func (st *stand) acknowledge(host string, off int64) {
	st.s.mu.Lock()
	p := st.s.last
	st.s.mu.Unlock()
	p.Timestamp += off
	m := session.Acknowledgement(p, host)
	st.s.command("spBv1.0/G/NCMD/E", m)
}

// historical takes the values of Speed that were sent again.
func (st *stand) historical() (values []float64) {
	for _, m := range st.s.takeMetrics() {
		if m.historical && m.alias == st.s.alias("Speed") {
			values = append(values, m.value)
		}
	}
	return values
}

// TestAgentNotesLateDurable has what is acknowledged become durable long after:
// that it has arrived is noted then, though nothing else happens.
func TestAgentNotesLateDurable(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(ackedPress + "spool: {fsync: 20s}\n")
		st.online()
		pass(2500 * time.Millisecond)
		st.m.do(func() { st.m.values["1:speed"] = 1 })
		pass(time.Second)
		st.acknowledge("plant", 0)
		pass(time.Minute)
		low := st.agent.spool.delivery.Low()
		if got := readDelivered(st.agent.spool.files.notes); low < 2 || len(got) != 1 || got[0].To != low {
			t.Errorf("noted %v, want all before %d", got, low)
		}
	})
}

// TestAgentAcknowledged checks that what the host has acknowledged is not sent
// again, and that all else is, also when much time has gone by and over a
// restart.
func TestAgentAcknowledged(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(ackedPress)
		st.online()
		pass(2500 * time.Millisecond)
		set := func(values ...float32) {
			for _, v := range values {
				st.m.do(func() { st.m.values["1:speed"] = v })
				pass(time.Second)
			}
		}
		set(1, 2, 3)
		st.acknowledge("plant", 0)
		set(4, 5)
		if s := st.agent.Stats(); s.SpoolRecords != 2 || s.Refused+s.Misacked != 0 {
			t.Errorf("stats %+v", s)
		}
		st.s.takeMetrics()
		st.s.cut(false)
		pass(10 * time.Second)
		st.online()
		pass(10 * time.Second)
		if got := st.historical(); !slices.Equal(got, []float64{4, 5}) {
			t.Errorf("%v came again, want what was not acknowledged", got)
		}
		pass(5 * time.Second)
		if got := st.historical(); len(got) != 0 {
			t.Errorf("%v came again at once", got)
		}
		pass(time.Minute) // the acknowledgement does not come
		if got := st.historical(); !slices.Equal(got, []float64{4, 5, 4, 5}) {
			t.Errorf("%v came again within a minute without an acknowledgement", got)
		}
		st.stop()

		st.start(ackedPress)
		st.online()
		pass(10 * time.Second)
		if got := st.historical(); !slices.Equal(got, []float64{4, 5}) {
			t.Errorf("%v came again after a restart", got)
		}
		st.acknowledge("plant", 0)
		pass(3 * time.Second)
		if s := st.agent.Stats(); s.SpoolRecords != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestAgentWronglyAcknowledged checks that nothing counts as delivered that was
// acknowledged by another host or with another timestamp, and that the latter
// leads to new births.
func TestAgentWronglyAcknowledged(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(ackedPress)
		st.online()
		pass(2500 * time.Millisecond)
		st.m.do(func() { st.m.values["1:speed"] = 1 })
		pass(time.Second)
		st.s.take()
		st.acknowledge("spy", 0)
		pass(time.Second)
		if s := st.agent.Stats(); s.SpoolRecords != 2 || s.Refused != 1 || len(st.s.take()) != 0 {
			t.Errorf("another host: stats %+v", s)
		}
		st.acknowledge("plant", 1)
		pass(time.Second)
		got := st.s.take()
		if s := st.agent.Stats(); s.Misacked != 1 || s.SpoolRecords != 2 || !slices.Equal(got, []string{"NBIRTH", "DBIRTH Press", "DDATA Press"}) {
			t.Errorf("another timestamp: stats %+v, sent %q", s, got)
		}
	})
}

// TestAgentForeignHost checks that with a host that acknowledges nothing the
// spool does not grow for ever.
func TestAgentForeignHost(t *testing.T) {
	for name, conf := range map[string]string{
		"no host":         onePress,
		"a foreign host":  ackedPress,
		"nobody is heard": onePress + "mqtt: {servers: [\"mqtt://127.0.0.1\"], primary_host: plant, ack_host: none}\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(st *stand) {
				st.start(conf)
				st.online()
				for v := range 300 {
					st.m.do(func() { st.m.values["1:speed"] = float32(v) })
					pass(time.Second)
				}
				if s := st.agent.Stats(); s.SpoolRecords > 25 || s.SpoolRecords < 10 {
					t.Errorf("%d records in the spool, want those in doubt", s.SpoolRecords)
				}
				st.s.takeMetrics()
				st.s.cut(false)
				pass(5 * time.Second)
				st.online()
				pass(20 * time.Second)
				if got := st.historical(); len(got) < 15 || len(got) > 25 || got[len(got)-1] != 299 {
					t.Errorf("%v came again, want what was in doubt", got)
				}
			})
		})
	}
}

// TestAgentKeepsOfAbsentDevice checks that what a device told before it went
// away is sent when it is back, and not before.
func TestAgentKeepsOfAbsentDevice(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(ackedPress)
		st.online()
		pass(2500 * time.Millisecond)
		st.acknowledge("plant", 0)
		st.s.cut(true)
		st.m.do(func() { st.m.values["1:speed"] = 7 })
		pass(2 * time.Second)
		st.m.do(func() { st.m.off, st.m.dead["1"] = true, true })
		pass(time.Minute)
		st.s.mu.Lock()
		st.s.down = false
		st.s.mu.Unlock()
		st.s.takeMetrics()
		pass(time.Minute)
		st.online()
		pass(time.Minute)
		if got := st.historical(); len(got) != 0 {
			t.Errorf("%v was sent of a device that is away", got)
		}
		st.m.do(func() { st.m.off, st.m.dead["1"] = false, false })
		pass(2 * time.Minute)
		if got := st.historical(); len(got) == 0 || got[0] != 7 {
			t.Errorf("%v was sent when the device was back", got)
		}
	})
}
