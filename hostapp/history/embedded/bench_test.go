package embedded_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// BenchmarkWrite writes one sample of each of 10,000 series a round, in
// batches of 1,000 as a host does.
func BenchmarkWrite(b *testing.B) {
	const series, batch = 10_000, 1_000
	s, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	points := make([]history.Point, series)
	for i := range points {
		h, err := s.Series(b.Context(), history.Key{Group: "g", Node: fmt.Sprint("n", i/1000), Device: "d", Metric: fmt.Sprint("folder/metric", i)}, history.Meta{Type: sparkplug.TypeDouble})
		if err != nil {
			b.Fatal(err)
		}
		points[i] = history.Point{Series: h, Quality: history.QualityGood}
	}
	ts := time.Now().Add(-24 * time.Hour).UnixMilli()
	round := func() {
		ts += 1000
		for i := range points {
			points[i].Timestamp, points[i].Value = ts, sparkplug.Double(float64(ts%100_000)/7+float64(i))
		}
		for i := 0; i < series; i += batch {
			if r, err := s.Write(b.Context(), points[i:i+batch]); err != nil || r.Written != batch {
				b.Fatal(r, err)
			}
		}
	}
	round() // the series themselves, and their info samples
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(b.N)*series/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkQuery asks for the value of each of 1,000 series, of which each has
// a sample a second for an hour.
func BenchmarkQuery(b *testing.B) {
	s, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	from := time.Now().Add(-time.Hour).UnixMilli()
	key := func(i int) history.Key { return history.Key{Group: "g", Node: "n", Metric: fmt.Sprint(i)} }
	for i := range 1000 {
		h, err := s.Series(b.Context(), key(i), history.Meta{})
		if err != nil {
			b.Fatal(err)
		}
		points := make([]history.Point, 3600)
		for j := range points {
			points[j] = history.Point{Series: h, Timestamp: from + int64(j)*1000, Value: sparkplug.Double(float64(j)), Quality: history.QualityGood}
		}
		if _, err := s.Write(b.Context(), points); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("instant/1000 series", func(b *testing.B) {
		for b.Loop() {
			if code, body := get(s, "/api/v1/query?query=count(sparkplug_value)"); code != 200 {
				b.Fatal(body)
			}
		}
	})
	b.Run("range 1h/1 series", func(b *testing.B) {
		path := fmt.Sprintf("/api/v1/query_range?query=sparkplug_value{metric=%%22500%%22}&start=%d&end=%d&step=15", from/1000, from/1000+3600)
		for b.Loop() {
			if code, body := get(s, path); code != 200 {
				b.Fatal(body)
			}
		}
	})
	b.Run("raw 1h/1 series", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Raw(b.Context(), key(500), 0, from+1e9, func(history.Sample) bool { n++; return true }); err != nil || n != 3600 {
				b.Fatal(n, err)
			}
		}
	})
}

// BenchmarkReplay writes what a node held back: batches of 10 samples of each
// of 100 series, older than what is stored already.
func BenchmarkReplay(b *testing.B) {
	s, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var all []history.Series
	now := time.Now().UnixMilli()
	for i := range 100 {
		h, err := s.Series(b.Context(), history.Key{Group: "g", Node: "n", Metric: fmt.Sprint(i)}, history.Meta{})
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, h)
		if _, err := s.Write(b.Context(), []history.Point{{Series: h, Timestamp: now, Value: sparkplug.Double(0), Quality: history.QualityGood}}); err != nil {
			b.Fatal(err)
		}
	}
	ts := now - 24*time.Hour.Milliseconds()
	var points []history.Point
	for b.Loop() {
		points = points[:0]
		for range 10 {
			ts += 100
			for _, h := range all {
				points = append(points, history.Point{Series: h, Timestamp: ts, Value: sparkplug.Double(float64(ts)), Quality: history.QualityGood, Historical: true})
			}
		}
		if r, err := s.Write(b.Context(), points); err != nil || r.Written != len(points) {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(b.N*len(points))/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkMarkAll ends 10,000 series of a store that was just opened.
func BenchmarkMarkAll(b *testing.B) {
	dir := b.TempDir()
	open := func() *embedded.Store {
		s, err := embedded.Open(embedded.Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	ts := time.Now().Add(-time.Hour).UnixMilli()
	for b.Loop() {
		b.StopTimer()
		points := make([]history.Point, 10_000)
		ts += 1000
		for i := range points {
			h, err := s.Series(b.Context(), history.Key{Group: "g", Node: "n", Metric: fmt.Sprint(i)}, history.Meta{})
			if err != nil {
				b.Fatal(err)
			}
			points[i] = history.Point{Series: h, Timestamp: ts, Value: sparkplug.Double(1), Quality: history.QualityGood}
		}
		if _, err := s.Write(b.Context(), points); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s = open()
		b.StartTimer()
		if n, err := s.MarkAll(b.Context(), 0); n != len(points) || err != nil {
			b.Fatal(n, err)
		}
	}
	s.Close()
}
