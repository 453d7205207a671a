package sparkplug_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

func tagged(n int) sparkplug.Payload {
	p := sparkplug.Payload{Timestamp: 1700000000000, HasTimestamp: true, Seq: 5, HasSeq: true}
	for i := range n {
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Name: fmt.Sprintf("Line/Motor %d/Temperature", i), Timestamp: 1700000000000, HasTimestamp: true, Value: sparkplug.Double(20 + float64(i)/8),
		})
	}
	return p
}

func TestCompress(t *testing.T) {
	p := tagged(500)
	plain, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []sparkplug.Compression{sparkplug.Deflate, sparkplug.Gzip} {
		b, err := sparkplug.AppendCompressed([]byte("x"), plain, c)
		if err != nil || b[0] != 'x' {
			t.Fatal(c, err)
		}
		b = b[1:]
		t.Logf("%v: %d bytes become %d, %.1f times fewer", c, len(plain), len(b), float64(len(plain))/float64(len(b)))
		if len(b)*4 > len(plain) {
			t.Errorf("%v: %d bytes become %d", c, len(plain), len(b))
		}
		var got sparkplug.Payload
		if err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
		if was, err := got.Inflate(sparkplug.Limits{}, len(plain)); was != c || err != nil {
			t.Fatalf("Inflate = %v, %v", was, err)
		}
		if !got.Equal(&p) {
			t.Errorf("%v: another payload came back", c)
		}
		if err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
		if _, err := got.Inflate(sparkplug.Limits{}, len(plain)-1); !errors.Is(err, sparkplug.ErrInflated) {
			t.Errorf("%v: over the limit: %v", c, err)
		}
		twice, err := sparkplug.AppendCompressed(nil, b, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Decode(twice); err != nil {
			t.Fatal(err)
		}
		if _, err := got.Inflate(sparkplug.Limits{}, 1<<20); err == nil {
			t.Errorf("%v: compressed twice was taken", c)
		}
	}
	if _, err := sparkplug.AppendCompressed(nil, plain, 9); err == nil {
		t.Error("an unknown algorithm was taken")
	}
	if c, err := p.Inflate(sparkplug.Limits{}, 0); c != sparkplug.Uncompressed || err != nil {
		t.Errorf("a plain payload: %v, %v", c, err)
	}
	odd := sparkplug.Payload{UUID: sparkplug.CompressedUUID, Metrics: []sparkplug.Metric{{Name: "algorithm", Value: sparkplug.String("LZ4")}}}
	if _, err := odd.Inflate(sparkplug.Limits{}, 9); err == nil || !strings.Contains(err.Error(), "LZ4") {
		t.Errorf("LZ4: %v", err)
	}
}

// FuzzInflate checks that no bytes make Inflate panic or give more than asked
// for, and that what was compressed comes back.
func FuzzInflate(f *testing.F) {
	plain, err := (&sparkplug.Payload{Seq: 1, HasSeq: true}).Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range []sparkplug.Compression{sparkplug.Deflate, sparkplug.Gzip} {
		b, err := sparkplug.AppendCompressed(nil, plain, c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	bomb, err := sparkplug.AppendCompressed(nil, make([]byte, 1<<20), sparkplug.Gzip)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bomb)
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4096
		var p sparkplug.Payload
		if p.Decode(b) == nil {
			was := p.Clone()
			if _, err := p.Inflate(sparkplug.Limits{}, limit); err != nil && !p.Equal(&was) {
				t.Error("changed in spite of an error")
			}
		}
		if len(b) > limit {
			return
		}
		packed, err := sparkplug.AppendCompressed(nil, b, sparkplug.Deflate)
		if err != nil || p.Decode(packed) != nil {
			t.Fatalf("compressed: %v", err)
		}
		var direct sparkplug.Payload
		decodes := direct.Decode(b) == nil && direct.UUID != sparkplug.CompressedUUID
		if _, err := p.Inflate(sparkplug.Limits{}, limit); (err == nil) != decodes || decodes && !p.Equal(&direct) {
			t.Errorf("%x comes back as something else: %v", b, err)
		}
	})
}

func ExamplePayload_Inflate() {
	plain, err := (&sparkplug.Payload{Metrics: []sparkplug.Metric{{Name: "Note", Value: sparkplug.String(string(bytes.Repeat([]byte("spark "), 100)))}}}).Append(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := sparkplug.AppendCompressed(nil, plain, sparkplug.Gzip)
	if err != nil {
		fmt.Println(err)
		return
	}
	var p sparkplug.Payload
	if err := p.Decode(b); err != nil {
		fmt.Println(err)
		return
	}
	how, err := p.Inflate(sparkplug.Limits{}, sparkplug.MaxInflated)
	fmt.Println(how, err, p.Metrics[0].Name, len(b) < len(plain)/4)
	// Output: GZIP <nil> Note true
}
