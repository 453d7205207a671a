package historytest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func num(i int) sparkplug.Value { return sparkplug.Double(float64(i)) }

func testDuplicates(t *testing.T, f *fixture) {
	k, text := key("d"), key("s")
	h, s := f.series(k, sparkplug.TypeDouble), f.series(text, sparkplug.TypeString)
	big := f.series(key("big"), sparkplug.TypeInt64)
	p := good(h, at(1), num(1))
	q := good(s, at(1), sparkplug.String("a"))
	r := good(big, at(1), sparkplug.Int(sparkplug.TypeInt64, 1<<53+1))
	f.write(history.WriteResult{Written: 3, Duplicates: 3}, p, p, q, q, r, r)
	f.write(history.WriteResult{Duplicates: 3}, p, q, r)
	f.write(history.WriteResult{Conflicts: 3}, good(h, at(1), num(2)), good(s, at(1), sparkplug.String("b")),
		good(big, at(1), sparkplug.Int(sparkplug.TypeInt64, 1<<53)))
	f.write(written(1), good(h, at(2), num(3)))
	f.write(history.WriteResult{Duplicates: 1, Conflicts: 1}, p, good(h, at(1), num(2)))
	f.write(history.WriteResult{Conflicts: 1}, good(h, at(2), sparkplug.Float(3))) // another type is another value
	for range 2 {
		f.expect(k, p, good(h, at(2), num(3)))
		f.expect(text, q)
		f.expect(key("big"), r)
		f.reopen()
	}
	want := history.WriteResult{Duplicates: 2}
	f.write(want, good(f.series(k, sparkplug.TypeDouble), at(1), num(1)), good(f.series(text, sparkplug.TypeString), at(1), q.Value))
	if got := f.store.Stats().WriteResult; got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

// testOutOfOrder writes a shuffled series in batches, parts of it twice.
func testOutOfOrder(_ *testing.T, f *fixture) {
	k := key("shuffled")
	h := f.series(k, sparkplug.TypeInt64)
	var want []history.Point
	for i := range 500 {
		want = append(want, good(h, at(float64(i*60)), sparkplug.Int(sparkplug.TypeInt64, int64(i))))
	}
	mixed := append([]history.Point{}, want...)
	f.now = f.now.Add(24 * time.Hour)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	f.write(written(200), mixed[:200]...)
	f.write(history.WriteResult{Written: 200, Duplicates: 100}, mixed[100:400]...)
	f.write(history.WriteResult{Written: 100, Duplicates: 100}, append(mixed[400:], mixed[400:]...)...)
	f.expect(k, want...)
	f.reopen()
	f.expect(k, want...)
}

// testOlder writes samples older than the out-of-order window, and than the
// retention.
func testOlder(_ *testing.T, f *fixture) {
	k := key("old")
	h := f.series(k, sparkplug.TypeDouble)
	s := f.series(key("oldtext"), sparkplug.TypeString)
	now := good(h, at(0), num(0))
	f.write(written(1), now)
	day := -24 * 3600.0
	a, b := good(h, at(40*day), num(40)), good(h, at(35*day), num(35))
	big := good(f.series(key("oldbig"), sparkplug.TypeUInt64), at(50*day), sparkplug.Uint(sparkplug.TypeUInt64, 1<<60+1))
	text := good(s, at(60*day), sparkplug.String("old"))
	f.write(written(4), b, a, big, text)
	f.write(history.WriteResult{Duplicates: 2, Conflicts: 1, Expired: 1}, a, b, good(h, at(40*day), num(41)), good(h, at(100*day), num(1)))
	for range 3 {
		f.expect(k, a, b, now)
		f.expect(key("oldbig"), big)
		f.expect(key("oldtext"), text)
		f.reopen()
	}
	h = f.series(k, sparkplug.TypeDouble)
	f.write(history.WriteResult{Duplicates: 1, Conflicts: 1}, good(h, a.Timestamp, num(40)), good(h, b.Timestamp, num(0)))
}

func testFuture(t *testing.T, f *fixture) {
	fast, right := f.series(key("fast"), sparkplug.TypeDouble), f.series(key("right"), sparkplug.TypeDouble)
	var want []history.Point
	for i := range 10 {
		p := good(right, at(float64(i-10)), num(i))
		want = append(want, p)
		f.write(history.WriteResult{Written: 1, Quarantined: 2}, good(fast, at(40*86400+float64(i)), num(i)), p,
			good(fast, at(6*60+float64(i)), sparkplug.String("soon")))
	}
	f.write(written(1), good(fast, at(4*60), num(1))) // within the tolerance
	f.expect(key("right"), want...)
	if got := f.store.Stats(); got.Quarantined != 20 || got.QuarantineSize != 20 {
		t.Errorf("Stats() = %+v, want 20 quarantined", got)
	}
	f.reopen()
	f.expect(key("right"), want...)
	right = f.series(key("right"), sparkplug.TypeDouble)
	f.write(written(1), good(right, at(1), num(11)))
}

func testQuarantine(t *testing.T, f *fixture) {
	q, ok := f.store.(history.Quarantine)
	if !ok {
		t.Skip("skipped: the store puts nothing aside")
	}
	ctx := t.Context()
	k, other := key("fast"), history.Key{Group: "Plant", Node: "line2", Metric: "fast"}
	const day = 86400.0
	h := f.series(k, sparkplug.TypeDouble)
	aside := []history.Point{good(h, at(day), num(1)), good(h, at(day+1), sparkplug.String("two")), good(h, at(3*day), num(3))}
	f.write(history.WriteResult{Written: 1, Quarantined: 3}, good(h, at(0), num(0)), aside[0], aside[1], aside[2])
	f.write(history.WriteResult{Quarantined: 1}, good(f.series(other, sparkplug.TypeDouble), at(day), num(9)))
	list := func(filter history.Filter) (all []history.Quarantined) {
		t.Helper()
		if err := q.Quarantined(ctx, filter, func(x history.Quarantined) bool { all = append(all, x); return true }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	f.reopen()
	q = f.store.(history.Quarantine)
	if all := list(history.Filter{}); len(all) != 4 || all[3].Key != other || all[0].Received != f.now.UnixMilli() {
		t.Fatalf("aside is %+v", all)
	}
	for _, filter := range []history.Filter{
		{Group: "Plant", Node: "line2"}, {Metric: "fast", Node: "line1", Limit: 1}, {NodeOnly: true}, {Device: "press", Limit: 1},
	} {
		if all := list(filter); len(all) != 1 {
			t.Errorf("%+v gives %+v", filter, all)
		}
	}
	got := list(history.Filter{Node: "line1"})
	for i, x := range got {
		if p := aside[i]; x.Key != k || x.Sample.Timestamp != p.Timestamp || !x.Sample.Value.Equal(p.Value) || x.Sample.Quality != p.Quality {
			t.Errorf("aside is %+v, want %+v", x, p)
		}
	}

	// a clock that was a day and ten seconds ahead: what was three days ahead stays
	shift := int64(-day*1000 - 10_000)
	moved := func(p history.Point) history.Point { p.Timestamp += shift; return p }
	h = f.series(k, sparkplug.TypeDouble)
	again := moved(aside[0])
	again.Series = h
	f.write(written(1), again) // as far as a Release came that was killed
	for i, want := range []history.WriteResult{{Written: 1, Duplicates: 1}, {}} {
		res, err := q.Release(ctx, "Plant", "line1", shift)
		if err != nil || res != want {
			t.Errorf("Release %d = %+v, %v", i, res, err)
		}
	}
	f.expect(k, moved(aside[0]), moved(aside[1]), good(0, at(0), num(0)))
	if all := list(history.Filter{Node: "line1"}); len(all) != 1 || all[0].Sample.Timestamp != aside[2].Timestamp {
		t.Errorf("aside is %+v", all)
	}
	// a slip: what would be beyond the retention, or beyond all time, stays
	for shift, want := range map[int64]history.WriteResult{
		-200 * day * 1000: {Expired: 1}, math.MinInt64: {Expired: 1}, math.MaxInt64: {},
	} {
		if res, err := q.Release(ctx, "Plant", "line1", shift); err != nil || res != want {
			t.Errorf("Release by %d ms = %+v, %v; want %+v", shift, res, err, want)
		}
		if all := list(history.Filter{Node: "line1"}); len(all) != 1 {
			t.Errorf("after Release by %d ms aside is %+v", shift, all)
		}
	}
	// the time has come
	f.now = f.now.Add(72 * time.Hour)
	if res, err := q.Release(ctx, "Plant", "line1", 0); err != nil || res != written(1) {
		t.Errorf("Release = %+v, %v", res, err)
	}
	f.expect(k, moved(aside[0]), moved(aside[1]), good(0, at(0), num(0)), aside[2])
	for _, want := range []int{1, 0} {
		if n, err := q.Discard(ctx, "Plant", "line2"); err != nil || n != want {
			t.Errorf("Discard = %d, %v, want %d", n, err, want)
		}
	}
	f.expect(other)
	if s := f.store.Stats(); s.QuarantineSize != 0 {
		t.Errorf("%+v", s)
	}
}

func testDeath(_ *testing.T, f *fixture) {
	k, text := key("dying"), key("dyingtext")
	h, s := f.series(k, sparkplug.TypeDouble), f.series(text, sparkplug.TypeString)
	f.write(history.WriteResult{Duplicates: 1}, stale(h, at(0))) // nothing to end
	one, two := good(h, at(1), num(1)), good(s, at(1), sparkplug.String("up"))
	f.write(history.WriteResult{Written: 2, Markers: 2, Duplicates: 1}, one, two, stale(h, at(5)), stale(s, at(5)), stale(h, at(6)))
	f.valueAt(k, at(4), &one.Value)
	f.valueAt(k, at(5), nil)
	f.valueAt(text, at(4), &two.Value)
	f.valueAt(text, at(1000), nil)
	f.reopen()
	h, s = f.series(k, sparkplug.TypeDouble), f.series(text, sparkplug.TypeString)
	f.write(history.WriteResult{Duplicates: 2}, stale(h, at(7)), stale(s, at(7)))
	// Held back before the marker, and after it: the second opens the series.
	held, after := good(h, at(3), num(3)), good(h, at(8), num(8))
	f.write(written(1), held)
	f.valueAt(k, at(7), nil)
	f.write(written(1), after)
	f.valueAt(k, at(9), &after.Value)
	// A slow clock: the marker comes after the newest sample all the same.
	f.write(history.WriteResult{Markers: 1}, stale(h, at(2)))
	f.valueAt(k, at(8), &after.Value)
	f.valueAt(k, at(9), nil)
	f.expect(k, one, held, after)
	f.expect(text, two)
}

func testNull(_ *testing.T, f *fixture) {
	k := key("null")
	h := f.series(k, sparkplug.TypeInt16)
	v := sparkplug.Int(sparkplug.TypeInt16, 5)
	one, two := good(h, at(1), v), good(h, at(4), v)
	null := good(h, at(2), sparkplug.Null(sparkplug.TypeInt16))
	f.write(history.WriteResult{Written: 2, Markers: 1}, one, null, two)
	f.valueAt(k, at(1.5), &v)
	f.valueAt(k, at(3), nil)
	f.valueAt(k, at(5), &v)
	f.write(history.WriteResult{Markers: 1, Duplicates: 1}, good(h, at(3), sparkplug.Null(sparkplug.TypeInt16)), null)
	f.write(history.WriteResult{Conflicts: 1}, good(h, at(1), sparkplug.Null(sparkplug.TypeInt16)))
	f.expect(k, one, two)
	f.reopen()
	f.expect(k, one, two)
	f.valueAt(k, at(3), nil)
}

// testValueOnMarker: the node measured at the very millisecond at which the
// host had seen it die.
func testValueOnMarker(_ *testing.T, f *fixture) {
	k := key("edge")
	h := f.series(k, sparkplug.TypeDouble)
	one, on, after := good(h, at(1), num(1)), good(h, at(2), num(2)), good(h, at(3), num(3))
	f.write(history.WriteResult{Written: 1, Markers: 1}, one, stale(h, at(2)))
	f.write(written(1), on)
	f.write(history.WriteResult{Duplicates: 1, Conflicts: 1}, on, good(h, at(2), num(9)))
	f.valueAt(k, at(2), &on.Value)
	f.write(written(1), after)
	for range 2 {
		f.expect(k, one, on, after)
		f.reopen()
	}
}

func testMarkAll(t *testing.T, f *fixture) {
	if _, ok := f.store.(history.Marker); !ok {
		t.Logf("not a history.Marker: nothing to test")
		return
	}
	a, b, s := f.series(key("a"), sparkplug.TypeDouble), f.series(key("b"), sparkplug.TypeDouble), f.series(key("s"), sparkplug.TypeString)
	f.write(history.WriteResult{Written: 3, Markers: 1}, good(a, at(1), num(1)), good(b, at(1), num(1)), stale(b, at(2)),
		good(s, at(3), sparkplug.String("x")))
	f.reopen() // as after a crash
	m := f.store.(history.Marker)
	if n, err := m.MarkAll(t.Context(), 0); n != 2 || err != nil {
		t.Errorf("MarkAll = %d, %v; want 2", n, err)
	}
	if n, err := m.MarkAll(t.Context(), at(10)); n != 0 || err != nil {
		t.Errorf("MarkAll again = %d, %v; want 0", n, err)
	}
	f.valueAt(key("a"), at(1), new(num(1)))
	for _, name := range []string{"a", "b", "s"} {
		f.valueAt(key(name), at(4), nil)
	}
}

func testReopen(t *testing.T, f *fixture) {
	k := key("lasting")
	var want []history.Point
	for round := range 4 {
		h := f.series(k, sparkplug.TypeFloat)
		for i := range 50 {
			p := good(h, at(float64(round*50+i)), sparkplug.Float(float32(round)+float32(i)/10))
			want = append(want, p)
			f.write(written(1), p)
		}
		f.expect(k, want...)
		f.reopen()
	}
	if got := f.store.Stats().Series; got != 1 {
		t.Errorf("%d series, want 1", got)
	}
}

func testLargeBatch(_ *testing.T, f *fixture) {
	const series, each = 2_000, 25
	var points []history.Point
	for i := range series {
		h := f.series(key(fmt.Sprintf("m/%d", i)), sparkplug.TypeInt32)
		for j := range each {
			points = append(points, good(h, at(float64(j)), sparkplug.Int(sparkplug.TypeInt32, int64(i*j))))
		}
	}
	f.write(written(len(points)), points...)
	for _, i := range []int{0, 1, series / 2, series - 1} {
		f.expect(key(fmt.Sprintf("m/%d", i)), points[i*each:(i+1)*each]...)
	}
	f.write(history.WriteResult{Duplicates: 1000}, points[:1000]...)
}

// testConcurrentReads reads while batches are written: a reader sees each
// series growing, in order and without holes.
func testConcurrentReads(t *testing.T, f *fixture) {
	k := key("busy")
	h := f.series(k, sparkplug.TypeInt32)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for seen := 0; ; {
				n := 0
				err := f.store.Raw(t.Context(), k, 0, at(1e6), func(s history.Sample) bool {
					if s.Value.Int() != int64(n) {
						t.Errorf("sample %d holds %d", n, s.Value.Int())
						return false
					}
					n++
					return true
				})
				if err != nil || n < seen {
					t.Errorf("%d samples after %d: %v", n, seen, err)
				}
				seen = n
				f.store.Stats()
				if _, _, err := f.store.LastBefore(t.Context(), k, at(50)); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 200 {
		f.write(written(1), good(h, at(float64(i)), sparkplug.Int(sparkplug.TypeInt32, int64(i))))
	}
	close(done)
	wg.Wait()
}

// testSync opens a copy of the files as they are after Sync: all is there.
func testSync(t *testing.T, f *fixture) {
	s, ok := f.store.(history.Syncer)
	if !ok {
		t.Skip("skipped: the store is no history.Syncer")
	}
	number, text := key("number"), key("text")
	hn, ht := f.series(number, sparkplug.TypeDouble), f.series(text, sparkplug.TypeString)
	var numbers, texts []history.Point
	for i := range 100 {
		numbers = append(numbers, good(hn, at(float64(i)), sparkplug.Double(float64(i))))
		texts = append(texts, good(ht, at(float64(i)), sparkplug.String(fmt.Sprint(i))))
		f.write(written(2), numbers[i], texts[i])
		if i%30 == 0 {
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the second time nothing has changed
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	twin := *f
	twin.o.Dir = t.TempDir()
	if err := os.CopyFS(twin.o.Dir, os.DirFS(f.o.Dir)); err != nil {
		t.Fatal(err)
	}
	twin.start()
	defer twin.stop()
	twin.expect(number, numbers...)
	twin.expect(text, texts...)
}
