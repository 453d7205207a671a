// Package historytest is the contract of hostapp/history as code: the suite
// that every store passes whole.
package historytest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Options is what a test asks of the store that it opens.
type Options struct {
	Dir             string // where it keeps its files; opened again to see what lasts
	Now             func() time.Time
	Retention       time.Duration
	OutOfOrder      time.Duration
	FutureTolerance time.Duration
	SeriesPerNode   int
}

// Open opens the store to test. It fails the test itself.
type Open func(t *testing.T, o Options) history.Store

// Noon is the time at which every test begins.
var Noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

// Run tests a store.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"Types":           testTypes,
		"Duplicates":      testDuplicates,
		"OutOfOrder":      testOutOfOrder,
		"Older":           testOlder,
		"Future":          testFuture,
		"Quarantine":      testQuarantine,
		"Death":           testDeath,
		"Null":            testNull,
		"ValueOnMarker":   testValueOnMarker,
		"MarkAll":         testMarkAll,
		"TypeChange":      testTypeChange,
		"Quality":         testQuality,
		"Flapping":        testFlapping,
		"Reopen":          testReopen,
		"LargeBatch":      testLargeBatch,
		"ConcurrentReads": testConcurrentReads,
		"BadKeys":         testBadKeys,
		"Quota":           testQuota,
		"Catalog":         testCatalog,
		"Events":          testEvents,
		"UnknownHandle":   testUnknownHandle,
		"Sync":            testSync,
		"Law":             testLaw,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t: t, open: open, now: Noon, o: Options{
				Dir: t.TempDir(), Retention: 90 * 24 * time.Hour, OutOfOrder: 30 * 24 * time.Hour,
				FutureTolerance: 5 * time.Minute, SeriesPerNode: 20_000,
			}}
			f.o.Now = func() time.Time { return f.now }
			f.start()
			t.Cleanup(f.stop)
			test(t, f)
		})
	}
}

// fixture is an open store and short words for what tests do with it.
type fixture struct {
	t     *testing.T
	open  Open
	o     Options
	now   time.Time
	store history.Store
}

func (f *fixture) start() { f.store = f.open(f.t, f.o) }

func (f *fixture) stop() {
	if err := f.store.Close(); err != nil {
		f.t.Errorf("Close: %v", err)
	}
}

func (f *fixture) reopen() {
	f.stop()
	f.start()
}

// at is a time in seconds after Noon.
func at(seconds float64) int64 { return Noon.UnixMilli() + int64(seconds*1000) }

func key(metric string) history.Key {
	return history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: metric}
}

func (f *fixture) series(k history.Key, typ sparkplug.DataType) history.Series {
	f.t.Helper()
	h, err := f.store.Series(f.t.Context(), k, history.Meta{Type: typ})
	if err != nil {
		f.t.Fatalf("Series(%v): %v", k, err)
	}
	return h
}

func good(h history.Series, ts int64, v sparkplug.Value) history.Point {
	return history.Point{Series: h, Timestamp: ts, Value: v, Quality: history.QualityGood}
}

func stale(h history.Series, ts int64) history.Point {
	return history.Point{Series: h, Timestamp: ts, Stale: true}
}

// write writes and checks what became of the points.
func (f *fixture) write(want history.WriteResult, points ...history.Point) {
	f.t.Helper()
	got, err := f.store.Write(f.t.Context(), points)
	if err != nil {
		f.t.Fatalf("Write: %v", err)
	}
	if got != want {
		f.t.Errorf("Write gave %+v, want %+v", got, want)
	}
}

func written(n int) history.WriteResult { return history.WriteResult{Written: n} }

func (f *fixture) raw(k history.Key, from, to int64) []history.Sample {
	f.t.Helper()
	var all []history.Sample
	if err := f.store.Raw(f.t.Context(), k, from, to, func(s history.Sample) bool { all = append(all, s); return true }); err != nil {
		f.t.Fatalf("Raw(%v): %v", k, err)
	}
	return all
}

// expect checks all samples of a series.
func (f *fixture) expect(k history.Key, want ...history.Point) {
	f.t.Helper()
	got := f.raw(k, 0, at(1e8))
	if len(got) != len(want) {
		f.t.Errorf("%s: %d samples, want %d: %s", k.Metric, len(got), len(want), show(got))
		return
	}
	for i, g := range got {
		w := want[i]
		if g.Timestamp != w.Timestamp || g.Quality != w.Quality || g.Stale || !Same(g.Value, w.Value) {
			f.t.Errorf("%s: sample %d is %s, want %s", k.Metric, i, show(got[i:i+1]),
				show([]history.Sample{{Timestamp: w.Timestamp, Value: w.Value, Quality: w.Quality}}))
		}
	}
}

// valueAt checks what was valid at a time; nil for nothing or a marker.
func (f *fixture) valueAt(k history.Key, ts int64, want *sparkplug.Value) {
	f.t.Helper()
	s, ok, err := f.store.LastBefore(f.t.Context(), k, ts)
	switch {
	case err != nil:
		f.t.Errorf("LastBefore(%s, %d): %v", k.Metric, ts, err)
	case want == nil && ok && !s.Stale:
		f.t.Errorf("%s has %s at %d, want none", k.Metric, show([]history.Sample{s}), ts)
	case want != nil && (!ok || s.Stale || !Same(s.Value, *want)):
		f.t.Errorf("%s has %s (ok %v) at %d, want %v", k.Metric, show([]history.Sample{s}), ok, ts, want.Type())
	}
}

func show(all []history.Sample) string {
	out := ""
	for i, s := range all {
		if i == 8 {
			return out + "..."
		}
		v := s.Value
		out += fmt.Sprintf("[%d %v num=%v str=%q len(raw)=%d q=%d stale=%v]", s.Timestamp-Noon.UnixMilli(), v.Type(), v.Float64(), v.Str(), len(v.Raw()), s.Quality, s.Stale)
	}
	return out
}

func testBadKeys(t *testing.T, f *fixture) {
	good := key("fine")
	for name, k := range map[string]history.Key{
		"metric not UTF-8": {Group: "g", Node: "n", Metric: "a\xffb"},
		"group not UTF-8":  {Group: "\xc3", Node: "n", Metric: "m"},
		"NUL":              {Group: "g", Node: "n", Metric: "a\x00b"},
		"no metric":        {Group: "g", Node: "n"},
		"no node":          {Group: "g", Metric: "m"},
		"long":             {Group: "g", Node: "n", Metric: string(make([]byte, history.MaxMetricName+1))},
	} {
		_, err := f.store.Series(t.Context(), k, history.Meta{Type: sparkplug.TypeInt32})
		if _, ok := errors.AsType[*history.KeyError](err); !ok {
			t.Errorf("%s: Series gave %v, want a *KeyError", name, err)
		}
	}
	odd := history.Key{Group: "Größe", Node: `a"b\c{d}`, Metric: "Ordner/Wärme °C\n#1"}
	f.write(written(2),
		history.Point{Series: f.series(odd, sparkplug.TypeInt32), Timestamp: at(0), Value: sparkplug.Int(sparkplug.TypeInt32, 1), Quality: 192},
		history.Point{Series: f.series(good, sparkplug.TypeInt32), Timestamp: at(0), Value: sparkplug.Int(sparkplug.TypeInt32, 2), Quality: 192})
	if got := f.raw(odd, 0, at(1)); len(got) != 1 || got[0].Value.Int() != 1 {
		t.Errorf("odd but good key: %s", show(got))
	}
}

func testQuota(t *testing.T, f *fixture) {
	f.stop()
	f.o.SeriesPerNode = 3
	f.start()
	for i := range 3 {
		f.series(key(fmt.Sprint(i)), sparkplug.TypeInt32)
	}
	if _, err := f.store.Series(t.Context(), key("one too many"), history.Meta{}); !errors.Is(err, history.ErrQuota) {
		t.Errorf("fourth series: %v, want ErrQuota", err)
	}
	if got := f.store.Stats().Refused; got != 1 {
		t.Errorf("Stats().Refused = %d, want 1", got)
	}
	other := key("x")
	other.Node = "line2"
	f.write(written(2), good(f.series(other, sparkplug.TypeInt32), at(0), sparkplug.Int(sparkplug.TypeInt32, 1)),
		good(f.series(key("0"), sparkplug.TypeInt32), at(0), sparkplug.Int(sparkplug.TypeInt32, 1)))
}

func testUnknownHandle(t *testing.T, f *fixture) {
	h := f.series(key("a"), sparkplug.TypeInt32)
	for _, bad := range []history.Series{0, h + 1, 1 << 60} {
		_, err := f.store.Write(t.Context(), []history.Point{good(h, at(0), sparkplug.Int(sparkplug.TypeInt32, 1)), {Series: bad}})
		if err == nil {
			t.Errorf("Write with handle %d: no error", bad)
		}
	}
	f.expect(key("a"))
}

func testCatalog(t *testing.T, f *fixture) {
	node := history.Key{Group: "Plant", Node: "line1", Metric: "Uptime"}
	meta := history.Meta{Type: sparkplug.TypeFloat, Unit: "bar", Properties: `{"engLow":{"type":"Float","value":0}}`, Template: "motor"}
	for k, m := range map[history.Key]history.Meta{node: {Type: sparkplug.TypeInt64}, key("p"): meta, key("q"): {Type: sparkplug.TypeString}} {
		if _, err := f.store.Series(t.Context(), k, m); err != nil {
			t.Fatal(err)
		}
	}
	f.now = f.now.Add(time.Minute)
	meta.Unit = "mbar"
	h, err := f.store.Series(t.Context(), key("p"), meta)
	if again, err2 := f.store.Series(t.Context(), key("p"), meta); err != nil || err2 != nil || again != h {
		t.Fatalf("Series again: %d %v, then %d %v", h, err, again, err2)
	}
	list := func(flt history.Filter) (got []history.Entry) {
		t.Helper()
		if err := f.store.Catalog(t.Context(), flt, func(e history.Entry) bool { got = append(got, e); return true }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	check := func() {
		t.Helper()
		all := list(history.Filter{})
		if len(all) != 3 || all[0].Key != node || all[1].Key != key("p") || all[2].Key != key("q") {
			t.Fatalf("Catalog: %+v", all)
		}
		if p := all[1]; p.Meta != meta || p.FirstSeen != at(0) || p.ChangedAt != at(60) {
			t.Errorf("entry of p: %+v", p)
		}
		if got := list(history.Filter{Device: "press", Metric: "q"}); len(got) != 1 || got[0].Key != key("q") {
			t.Errorf("Catalog by metric: %+v", got)
		}
		if got := list(history.Filter{NodeOnly: true}); len(got) != 1 || got[0].Key != node {
			t.Errorf("Catalog of the node only: %+v", got)
		}
		if got := list(history.Filter{Limit: 2}); len(got) != 2 {
			t.Errorf("Catalog of two: %+v", got)
		}
	}
	check()
	f.reopen()
	check()
}

func testEvents(t *testing.T, f *fixture) {
	ev := []history.Event{
		{At: at(0), Node: "host1", Kind: history.STATE, Detail: "online"},
		{At: at(1), Group: "Plant", Node: "line1", Kind: history.NBIRTH, BdSeq: 7},
		{At: at(2), Group: "Plant", Node: "line1", Device: "press", Kind: history.DBIRTH},
		{At: at(3), Group: "Plant", Node: "line1", Kind: history.REBIRTH, Detail: "gap in seq"},
		{At: at(4), Group: "Plant", Node: "line1", Kind: history.STALE, Detail: "connection lost"},
		{At: at(5), Group: "Plant", Node: "line1", Kind: history.NDEATH, BdSeq: 7},
	}
	for range 2 { // the second time adds nothing
		if err := f.store.Record(t.Context(), ev...); err != nil {
			t.Fatal(err)
		}
	}
	list := func(flt history.Filter) (got []history.Event) {
		t.Helper()
		if err := f.store.Events(t.Context(), flt, func(e history.Event) bool { got = append(got, e); return true }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	f.reopen()
	got := list(history.Filter{})
	if len(got) != len(ev) {
		t.Fatalf("%d events, want %d: %+v", len(got), len(ev), got)
	}
	for i := range ev {
		if got[i] != ev[i] {
			t.Errorf("event %d: %+v, want %+v", i, got[i], ev[i])
		}
	}
	if got := list(history.Filter{Device: "press"}); len(got) != 1 || got[0] != ev[2] {
		t.Errorf("of the device: %+v", got)
	}
	if got := list(history.Filter{Group: "Plant", From: at(2), To: at(4), NodeOnly: true}); len(got) != 2 {
		t.Errorf("of the node from 2 to 4 s: %+v", got)
	}
	if err := f.store.Record(t.Context(), history.Event{At: at(9), Group: "g", Node: "n", Kind: "BIRTHDAY"}); err == nil {
		t.Error("an unknown kind was taken")
	}
}
