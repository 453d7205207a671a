package watch_test

import (
	"bytes"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/watch"
)

// FuzzLoad checks that no bytes make Load panic, and that what it has loaded
// it saves so that it is loaded again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("magneto births 1\n"))
	f.Add([]byte("magneto births 1\n\x05\x00\x00\x00abcdefghi"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := watch.New(watch.Config{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := w.Load(bytes.NewReader(b))
		var out bytes.Buffer
		saved, serr := w.Save(&out)
		if serr != nil || saved > n {
			t.Fatalf("%d loaded (%v), %d saved, %v", n, err, saved, serr)
		}
	})
}
