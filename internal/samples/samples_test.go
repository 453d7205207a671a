package samples_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// all has a sample of every kind.
func all(t testing.TB) []samples.Sample {
	t.Helper()
	words, err := sparkplug.StringArray([]string{"a", "", "ü"})
	if err != nil {
		t.Fatal(err)
	}
	values := []sparkplug.Value{
		sparkplug.Double(math.NaN()), sparkplug.Double(-0.5), sparkplug.Float(float32(math.Inf(-1))),
		sparkplug.Int(sparkplug.TypeInt8, -128), sparkplug.Int(sparkplug.TypeInt64, math.MinInt64),
		sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64), sparkplug.Uint(sparkplug.TypeUInt8, 255),
		sparkplug.Boolean(true), sparkplug.Boolean(false), sparkplug.DateTime(1700000000000),
		sparkplug.String(""), sparkplug.String("Größe"), sparkplug.Text(sparkplug.TypeUUID, "67e55044-10b1-426f-9247-bb680e5fe0c8"),
		sparkplug.Bytes(sparkplug.TypeBytes, []byte{0, 255}), sparkplug.Bytes(sparkplug.TypeFile, nil),
		sparkplug.Null(sparkplug.TypeDouble), sparkplug.Null(sparkplug.TypeTemplate), sparkplug.Null(sparkplug.TypeUnknown),
		sparkplug.ArrayOf([]int32{1, -2}), sparkplug.BooleanArray([]bool{true, false, true}), words,
		sparkplug.OfDataSet(&sparkplug.DataSet{
			Columns: []string{"n"}, Types: []sparkplug.DataType{sparkplug.TypeInt32},
			Rows: []sparkplug.Value{sparkplug.Int(sparkplug.TypeInt32, 7)},
		}),
		sparkplug.OfTemplate(&sparkplug.Template{Ref: "motor", Metrics: []sparkplug.Metric{{Name: "speed", Value: sparkplug.Double(1)}}}),
	}
	list := make([]samples.Sample, len(values))
	for i, v := range values {
		list[i] = samples.Sample{
			ID: uint32(i * i * 1000003), Time: 1700000000000 + int64(i%3)*1000 - int64(i), Value: v,
			Quality: [...]uint16{192, 0, 500}[i%3], Flags: uint8(i % 2),
		}
	}
	list[1].Time, list[2].Time = math.MinInt64, math.MaxInt64
	return list
}

func same(a, b samples.Sample) bool {
	return a.ID == b.ID && a.Time == b.Time && a.Quality == b.Quality && a.Flags == b.Flags &&
		a.Value.Type() == b.Value.Type() && a.Value.IsNull() == b.Value.IsNull() && a.Value.Equal(b.Value)
}

func TestRoundTrip(t *testing.T) {
	list := all(t)
	b, err := samples.Append([]byte("before"), list)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, "behind"...)
	got, rest, err := samples.Read(nil, b[len("before"):])
	if err != nil || string(rest) != "behind" || len(got) != len(list) {
		t.Fatalf("%d samples, %q behind, %v", len(got), rest, err)
	}
	clear(b) // nothing may refer to it
	for i := range list {
		if !same(list[i], got[i]) {
			t.Errorf("sample %d: %+v came back as %+v", i, list[i], got[i])
		}
	}
}

// TestSize: a change of a floating-point number costs what docs/loss.md reckons
// with.
func TestSize(t *testing.T) {
	var list []samples.Sample
	for i := range 1000 {
		list = append(list, samples.Sample{ID: uint32(i * 37 % 5000), Time: 1700000000000 + int64(i%10)*100, Quality: 192, Value: sparkplug.Double(float64(i) / 3)})
	}
	b, err := samples.Append(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	if n := float64(len(b)) / 1000; n > 14 {
		t.Errorf("%.1f bytes a sample", n)
	}
	if n := testing.AllocsPerRun(100, func() { b, _ = samples.Append(b[:0], list) }); n != 0 {
		t.Errorf("%v allocations to encode", n)
	}
	got := make([]samples.Sample, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { got, _, _ = samples.Read(got[:0], b) }); n != 0 {
		t.Errorf("%v allocations to decode", n)
	}
}

func FuzzRead(f *testing.F) {
	list := all(f)
	for i := range list {
		b, _ := samples.Append(nil, list[i:])
		f.Add(b)
	}
	f.Add([]byte{200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _, err := samples.Read(nil, b)
		if err != nil {
			if !errors.Is(err, samples.ErrMalformed) {
				t.Errorf("error %v of no known kind", err)
			}
			return
		}
		if n, err := samples.Count(b); err != nil || n != len(list) {
			t.Errorf("Count says %d, %v; there are %d", n, err, len(list))
		}
		again, err := samples.Append(nil, list)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, rest, err := samples.Read(nil, again)
		if err != nil || len(rest) != 0 || len(got) != len(list) {
			t.Fatalf("%d samples of %d, %d bytes behind, %v", len(got), len(list), len(rest), err)
		}
		for i := range list {
			if !same(list[i], got[i]) {
				t.Errorf("sample %d: %+v became %+v", i, list[i], got[i])
			}
		}
	})
}

func TestNames(t *testing.T) {
	disk := journaltest.NewDisk(1)
	open := func() *samples.Names {
		t.Helper()
		n, err := samples.OpenNames(samples.NamesConfig{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	id := func(n *samples.Names, text string) uint32 {
		t.Helper()
		id, err := n.ID(text)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	n := open()
	a, b := id(n, "a"), id(n, "b")
	if a == b || id(n, "a") != a {
		t.Fatal("numbers are mixed up")
	}
	if err := n.Sync(); err != nil {
		t.Fatal(err)
	}
	id(n, "lost")
	disk.Reboot(0)
	n = open()
	if text, ok := n.Text(b); !ok || text != "b" || id(n, "a") != a {
		t.Errorf("after a power cut %d is %q", b, text)
	}
	if err := n.Forget(); err != nil {
		t.Fatal(err)
	}
	c := id(n, "c")
	if _, ok := n.Text(a); ok || c <= b {
		t.Errorf("%d is known though forgotten, or used again: %d", a, c)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = open()
	if text, ok := n.Text(c); !ok || text != "c" || n.Bytes() != 1 {
		t.Errorf("after a restart %d is %q, %d bytes", c, text, n.Bytes())
	}
	if again := id(n, "a"); again <= c {
		t.Errorf("a number is used again: %d", again)
	}
}

func BenchmarkAppend(b *testing.B) {
	list := make([]samples.Sample, 1000)
	for i := range list {
		list[i] = samples.Sample{ID: uint32(i), Time: 1700000000000, Quality: 192, Value: sparkplug.Double(float64(i) / 3)}
	}
	var buf []byte
	for b.Loop() {
		buf, _ = samples.Append(buf[:0], list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
}

func Example() {
	b, err := samples.Append(nil, []samples.Sample{{ID: 7, Time: 1000, Quality: 192, Value: sparkplug.Double(21.5)}})
	if err != nil {
		panic(err)
	}
	list, _, err := samples.Read(nil, b)
	fmt.Println(len(b), "bytes:", list[0].ID, list[0].Time, list[0].Value, err)
	// Output: 13 bytes: 7 1000 21.5 <nil>
}
