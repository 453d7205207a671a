package edgenode

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestAgentWithoutAliases(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress + "mqtt: {servers: [\"mqtt://127.0.0.1\"], aliases: false}\n")
		pass(2500 * time.Millisecond)
		st.s.takeMetrics()
		st.m.do(func() { st.m.values["1:speed"] = 5 })
		pass(time.Second)
		if got := st.s.takeMetrics(); len(got) != 1 || got[0].name != "Speed" || got[0].alias != 0 || got[0].quality != -1 {
			t.Errorf("told %+v", got)
		}
	})
}

// TestAgentSurvivesBadPublish checks that a link on which nothing can be
// written is given up, and that what it should have carried comes again.
func TestAgentSurvivesBadPublish(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(2500 * time.Millisecond)
		st.s.mu.Lock()
		st.s.fail = errors.New("write: broken pipe")
		st.s.mu.Unlock()
		st.s.take()
		st.s.takeMetrics()
		st.m.do(func() { st.m.values["1:speed"] = 5 })
		pass(time.Second)
		st.m.do(func() { st.m.values["1:speed"] = 6 })
		pass(30 * time.Second)
		got := st.s.take()
		if want := []string{"closed", "NBIRTH", "DBIRTH Press", "DDATA Press", "DDATA Press"}; !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		again := false
		for _, m := range st.s.takeMetrics() { // 5 comes with the birth and from the spool, 6 after it
			again = again || m.historical && m.value == 5
			if m.typ == sparkplug.DDATA && !m.historical && m.value != 6 || m.typ == sparkplug.DBIRTH && m.name == "Speed" && m.value != 5 {
				t.Errorf("told %+v", m)
			}
		}
		if !again {
			t.Error("what could not be written does not come again")
		}
	})
}

// TestAgentStopsOnBrokenLink checks that a stop ends well when the farewell
// finds the link broken.
func TestAgentStopsOnBrokenLink(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(time.Second)
		st.s.mu.Lock()
		st.s.fail = errors.New("the link broke just now")
		st.s.mu.Unlock()
		st.stop() // its farewell fails
		if got := st.s.take(); slices.Contains(got, "DDEATH Press") {
			t.Errorf("sent %q over a broken link", got)
		}
	})
}

// TestAgentHalfOpen checks that nothing is lost when a link takes messages and
// loses them until, one and a half keepalives later, it is found dead.
func TestAgentHalfOpen(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		got := map[float64]bool{}
		for v := range 60 {
			st.m.do(func() { st.m.values["1:speed"] = float32(v) })
			pass(time.Second)
			switch v {
			case 20:
				st.s.mu.Lock()
				st.s.lossy = true
				st.s.mu.Unlock()
			case 35:
				st.s.mu.Lock()
				st.s.lossy = false
				st.s.mu.Unlock()
				st.s.cut(false)
			}
			for _, m := range st.s.takeMetrics() {
				if m.name == "Speed" || m.typ == sparkplug.DDATA {
					got[m.value] = true
				}
			}
		}
		for v := range 59 {
			if !got[float64(v)] {
				t.Errorf("%d was lost", v)
			}
		}
	})
}

func TestAgentAnswersRebirth(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(2500 * time.Millisecond)
		st.s.take()
		for range 10 {
			st.s.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
		}
		st.s.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(false)})
		pass(20 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"NBIRTH", "DBIRTH Press", "NBIRTH", "DBIRTH Press"}) {
			t.Errorf("sent %q after ten requests", got)
		}
	})
}

// TestAgentRebirthTellsNothingTwice checks that a rebirth on a link that is
// well sends nothing again, and that a new connection still does.
func TestAgentRebirthTellsNothingTwice(t *testing.T) {
	inBubble(t, func(st *stand) {
		st.start(onePress)
		pass(2500 * time.Millisecond)
		seen := map[int64]bool{} // times of what came as data
		again := func() (n int) {
			for _, m := range st.s.takeMetrics() {
				if m.typ == sparkplug.DDATA && seen[m.time] {
					n++
				}
				seen[m.time] = seen[m.time] || m.typ == sparkplug.DDATA
			}
			return n
		}
		for v := range 10 {
			st.m.do(func() { st.m.values["1:speed"] = float32(v + 1) })
			pass(time.Second)
			if v%2 == 0 {
				st.s.command("spBv1.0/G/NCMD/E", sparkplug.Metric{Name: sparkplug.MetricRebirth, Value: sparkplug.Boolean(true)})
			}
		}
		pass(10 * time.Second)
		births := 0
		for _, m := range st.s.take() {
			if m == "NBIRTH" {
				births++
			}
		}
		if n := again(); n != 0 || births < 3 {
			t.Errorf("%d reports were sent again after %d births", n, births)
		}
		st.s.cut(false)
		pass(10 * time.Second)
		if n := again(); n == 0 {
			t.Error("nothing was sent again on the new connection")
		}
	})
}

// TestAgentBirthsRefused checks that a device is born though its equipment
// refuses all of its addresses, and that it dies and returns like any other.
func TestAgentBirthsRefused(t *testing.T) {
	inBubble(t, func(st *stand) {
		bad := func(b bool) {
			st.m.do(func() { st.m.bad["1:speed"], st.m.bad["1:set"] = b, b })
		}
		bad(true)
		st.start(onePress)
		pass(2 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"NBIRTH", "DBIRTH Press"}) {
			t.Errorf("sent %q", got)
		}
		for _, m := range st.s.takeMetrics() {
			if m.device == "Press" && (!m.null || m.quality != 0) {
				t.Errorf("born with %+v", m)
			}
		}
		bad(false)
		pass(2 * time.Minute)
		good := 0
		for _, m := range st.s.takeMetrics() {
			if m.quality == 192 && !m.null {
				good++
			}
		}
		if good != 2 {
			t.Errorf("%d metrics became good", good)
		}
		bad(true)
		pass(time.Minute)
		st.s.take()
		st.m.do(func() { st.m.off = true })
		pass(2 * time.Minute)
		st.m.do(func() { st.m.off = false })
		pass(15 * time.Second)
		if got := st.s.take(); !slices.Equal(got, []string{"DDEATH Press", "DBIRTH Press"}) {
			t.Errorf("sent %q when the equipment left and returned", got)
		}
	})
}

// TestAgentSays checks what the operator reads of a server that is away, comes,
// is lost and returns, and of the end.
func TestAgentSays(t *testing.T) {
	inBubble(t, func(st *stand) {
		said := func(want string) {
			t.Helper()
			if n := strings.Count(st.log.String(), want); n != 1 {
				t.Errorf("said %d times: %s", n, want)
			}
		}
		serve := func(down bool) {
			st.s.mu.Lock()
			st.s.down = down
			st.s.mu.Unlock()
		}
		serve(true)
		st.start(onePress)
		pass(time.Minute)
		said(`level=WARN msg="waiting for MQTT server mqtt://127.0.0.1: refused; trying again"`)
		serve(false)
		pass(time.Minute)
		said(`level=INFO msg=online`)
		st.log.Reset()
		st.s.cut(true)
		pass(time.Minute)
		said(`level=WARN msg="connection to MQTT server mqtt://127.0.0.1 lost: cut; trying again"`)
		said(`waiting for MQTT server`)
		serve(false)
		pass(time.Minute)
		said(`level=INFO msg=online`)
		st.stop()
		said(`level=INFO msg=stopped group=G node=E devices=1`)
	})
}

// TestFailedWords checks that the words of one failure are the same each time,
// whatever local port it had.
func TestFailedWords(t *testing.T) {
	op := &net.OpError{Op: "dial", Net: "tcp", Source: &net.TCPAddr{Port: 40001}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for want, err := range map[string]error{
		"waiting for MQTT server mqtt://h: connection refused; trying again":                        &mqtt.DialError{Server: "mqtt://h", Err: op},
		"waiting for MQTT server mqtt://h: the broker refused: not authorized (0x87); trying again": &mqtt.DialError{Server: "mqtt://h", Code: 0x87},
		"waiting for MQTT server mqtt://h: ca: open x: no such file or directory; trying again": fmt.Errorf("mqtt: ca: %w",
			&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}),
	} {
		if got := failedWords("mqtt://h", err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestAgentSplits checks that texts beyond one message go into several.
func TestAgentSplits(t *testing.T) {
	d := newDevice(&deviceDef{id: "D", metrics: make([]metricDef, 10)}, 1)
	a := &Agent{plan: &plan{cfg: withDefaults(Config{})}}
	text := strings.Repeat("x", 25<<10)
	var reports []report
	for i := range 10 {
		reports = append(reports, report{sparkplug.String(text), int64(i), uint32(i), driver.Good})
	}
	if n := a.fits(d, reports); n != 2 {
		t.Errorf("%d texts of 25 KiB in a message", n)
	}
	reports[0].value = sparkplug.String(strings.Repeat("x", 1<<20))
	if n := a.fits(d, reports); n != 1 {
		t.Errorf("%d with one that is too long by itself", n)
	}
}

func TestDiskKeepsItsFileWhole(t *testing.T) {
	dir := journaltest.NewDisk(1)
	k, err := openDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	values := []sparkplug.Value{
		sparkplug.Int(sparkplug.TypeInt64, -1<<62), sparkplug.String("é\"x"), sparkplug.Boolean(true),
		sparkplug.Double(0.1), sparkplug.Null(sparkplug.TypeFloat), sparkplug.DateTime(1700000000123),
	}
	for i, v := range values {
		if err := errors.Join(k.setNext(uint8(i)), k.setValue("D", v.Type().String(), v, int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openDisk(dir)
	if err != nil || again.data.NextBdSeq != uint8(len(values)-1) {
		t.Fatalf("got %+v, %v", again, err)
	}
	for i, v := range values {
		got, at, ok := again.value("D", v.Type().String(), v.Type())
		if !ok || !got.Equal(v) || at != int64(i) {
			t.Errorf("%v came back as %v, %d, %v", v, got, at, ok)
		}
	}
	if _, _, ok := again.value("D", "Int64", sparkplug.TypeInt32); ok {
		t.Error("a value of another type came back")
	}
}
