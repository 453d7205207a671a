package modbus_test

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// scripted answers every request of every connection with reply, in which TT
// stands for the transaction id in hex, and then, if hangUp, closes.
func scripted(t *testing.T, reply string, hangUp bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			req := make([]byte, 12) // a read
			for {
				if _, err := io.ReadFull(c, req); err != nil {
					break
				}
				id := hex.EncodeToString(req[:2])
				b, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(reply, "TT", id), " ", ""))
				if err != nil {
					t.Error(err)
				}
				if _, err := c.Write(b); err != nil || hangUp {
					break
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return "tcp://" + ln.Addr().String()
}

// TestReplies gives a read of hr:0 every kind of reply that a device, a broken
// one or a hostile one could send.
func TestReplies(t *testing.T) {
	silent := errors.Join(driver.ErrUnit, driver.ErrOffline)
	tests := map[string]struct {
		reply  string
		hangUp bool
		class  error // nil: the value 7; of joined ones, all
		stays  bool  // the connection is still good
	}{
		"value":             {"TT 0000 0005 01 03 02 0007", false, nil, true},
		"stale reply first": {"7777 0000 0005 01 03 02 0001 TT 0000 0005 01 03 02 0007", false, nil, true},
		"exception 01":      {"TT 0000 0003 01 83 01", false, driver.ErrAddress, true},
		"exception 02":      {"TT 0000 0003 01 83 02", false, driver.ErrAddress, true},
		"exception 03":      {"TT 0000 0003 01 83 03", false, driver.ErrAddress, true},
		"exception 04":      {"TT 0000 0003 01 83 04", false, driver.ErrRefused, true},
		"exception 05":      {"TT 0000 0003 01 83 05", false, driver.ErrRefused, true},
		"exception 06":      {"TT 0000 0003 01 83 06", false, driver.ErrRefused, true},
		"exception 08":      {"TT 0000 0003 01 83 08", false, driver.ErrRefused, true},
		"exception 0A":      {"TT 0000 0003 01 83 0A", false, driver.ErrUnit, true},
		"exception 0B":      {"TT 0000 0003 01 83 0B", false, driver.ErrUnit, true},
		"exception 55":      {"TT 0000 0003 01 83 55", false, driver.ErrRefused, true},
		"nothing":           {"", false, silent, false},
		"hang up":           {"", true, driver.ErrOffline, false},
		"half a frame":      {"TT 0000 0005 01 03", true, driver.ErrOffline, false},
		"wrong id":          {"7777 0000 0005 01 03 02 0007", false, silent, false},
		"wrong unit":        {"TT 0000 0005 02 03 02 0007", false, driver.ErrOffline, false},
		"wrong function":    {"TT 0000 0005 01 04 02 0007", false, driver.ErrOffline, false},
		"too few bytes":     {"TT 0000 0004 01 03 01 00", false, driver.ErrOffline, false},
		"too many bytes":    {"TT 0000 0007 01 03 04 00070007", false, driver.ErrOffline, false},
		"byte count lies":   {"TT 0000 0005 01 03 FF 0007", false, driver.ErrOffline, false},
		"no PDU":            {"TT 0000 0001 01", false, driver.ErrOffline, false},
		"length 0":          {"TT 0000 0000 01", false, driver.ErrOffline, false},
		"length FFFF":       {"TT 0000 FFFF 01 03", false, driver.ErrOffline, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := open(t, scripted(t, tt.reply, tt.hangUp), driver.Options{"timeout": "200ms"})
			blocks, _ := d.Compile([]driver.Tag{tag(1, "hr:0", sparkplug.TypeUInt16)})
			out := make([]driver.Sample, 1)
			err := d.Read(t.Context(), &blocks[0], out)
			for _, class := range []error{driver.ErrOffline, driver.ErrUnit, driver.ErrAddress, driver.ErrRefused} {
				if errors.Is(err, class) != (tt.class != nil && errors.Is(tt.class, class)) {
					t.Errorf("Read: %v; want class %v", err, tt.class)
				}
			}
			if tt.class == nil && (err != nil || out[0].Value.Uint() != 7) {
				t.Errorf("Read: %v, %v; want 7", out[0].Value, err)
			}
			again := d.Read(t.Context(), &blocks[0], out)
			if tt.stays != !errors.Is(again, driver.ErrOffline) {
				t.Errorf("the next Read: %v; want a good connection: %v", again, tt.stays)
			}
		})
	}
}

// TestReconnects cuts the connection again and again: the driver comes back each
// time and keeps nothing of the old ones.
func TestReconnects(t *testing.T) {
	s := listen(t, "127.0.0.1:0", filled())
	d := open(t, "tcp://"+s.Addr(), nil)
	blocks, _ := d.Compile([]driver.Tag{tag(1, "hr:102", sparkplug.TypeInt16)})
	out := make([]driver.Sample, 1)
	if err := d.Read(t.Context(), &blocks[0], out); err != nil { // the server knows the connection
		t.Fatal(err)
	}
	cycle := func() {
		s.DropConnections()
		for d.Read(t.Context(), &blocks[0], out) == nil {
			continue // the cut has not arrived yet
		}
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Read(t.Context(), &blocks[0], out); err != nil || out[0].Value.Int() != -2 {
			t.Fatalf("Read after a reconnect: %v, %v", out[0].Value, err)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 50 {
		cycle()
	}
	before := heap()
	for range 1000 {
		cycle()
	}
	if after := heap(); after > before+before/20+64<<10 {
		t.Errorf("the heap grew from %d to %d bytes in 1,000 reconnects", before, after)
	}
}
