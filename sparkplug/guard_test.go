//go:build unix

package sparkplug_test

import (
	"os"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestDecodeEnd decodes every beginning of a payload from memory that ends
// where the bytes do: the page behind it cannot be read, so that one load too
// far is a fault.
func TestDecodeEnd(t *testing.T) {
	short := sparkplug.Payload{UUID: "a text behind the longest head", Metrics: ndata(1).Metrics}
	short.Metrics[0].Alias, short.Metrics[0].Value = 300, sparkplug.Boolean(true)
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err == nil {
		err = syscall.Mprotect(mem[page:], syscall.PROT_NONE)
	}
	if err != nil {
		t.Fatalf("no guarded page: %v", err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for _, data := range []sparkplug.Payload{ndata(12), short} {
		wire, err := data.Append(nil)
		if err != nil || len(wire) > page {
			t.Fatalf("%d bytes, %v", len(wire), err)
		}
		for n := range len(wire) + 1 {
			b := mem[page-n : page : page]
			copy(b, wire)
			p := sparkplug.Payload{Metrics: make([]sparkplug.Metric, 0, 16)}
			if err := p.Decode(b); n == len(wire) && (err != nil || !p.Equal(&data)) {
				t.Errorf("the whole payload: %v", err)
			}
		}
	}
	if err := syscall.Munmap(mem); err != nil {
		t.Error(err)
	}
}
