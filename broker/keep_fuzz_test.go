package broker

import (
	"bytes"
	"testing"
)

// FuzzReadKept checks that no bytes make the reader panic or go on behind
// damage, and that what it read is read again from what it would write.
func FuzzReadKept(f *testing.F) {
	whole := appendKept([]byte(keepMagic), Message{Topic: "a/b", Payload: []byte("x"), QoS: 1})
	whole = appendKept(whole, Message{Topic: "c", Payload: []byte("y")})
	whole = appendKept(whole, Message{Topic: "c"})
	f.Add(whole)
	f.Add(whole[:len(whole)-2])
	f.Add([]byte(keepMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept, good, err := readKept(bytes.NewReader(b))
		if good > int64(len(b)) || err == nil && good != int64(len(b)) {
			t.Fatalf("%d good bytes of %d, %v", good, len(b), err)
		}
		out := []byte(keepMagic)
		for _, m := range kept {
			out = appendKept(out, m)
		}
		again, n, err := readKept(bytes.NewReader(out))
		if err != nil || n != int64(len(out)) || len(again) != len(kept) {
			t.Fatalf("%d messages of %d come back, %v", len(again), len(kept), err)
		}
		for topic, m := range kept {
			if o := again[topic]; o.QoS != m.QoS || !bytes.Equal(o.Payload, m.Payload) {
				t.Errorf("%q comes back as %+v", topic, o)
			}
		}
	})
}
