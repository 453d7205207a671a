package modbus_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/edgenode/driver/drivertest"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// foreign starts a pymodbus server on port and gives the name of its serial
// line, if the arguments ask for one, and how to stop it.
func foreign(t *testing.T, python string, args ...string) (line string, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), python, append([]string{"testdata/pymodbus_server.py"}, args...)...)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill() // gone at once, as a device without power
			_ = in.Close()
			_ = cmd.Wait() // killed: its status says only that
		}
	}
	t.Cleanup(stop)
	s := bufio.NewScanner(out)
	s.Scan()
	line, ready := strings.CutPrefix(s.Text(), "ready")
	if !ready {
		t.Fatalf("the server did not start: %q", s.Text())
	}
	return strings.TrimSpace(line), stop
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// TestRealPymodbus passes the whole suite over a server that we did not write,
// with TCP and with RTU frames.
func TestRealPymodbus(t *testing.T) {
	python := os.Getenv("MAGNETO_PYTHON")
	if python == "" {
		t.Skip("MAGNETO_PYTHON is not set: it names a python that has pymodbus 3.11")
	}
	for framer, scheme := range map[string]string{"socket": "tcp", "rtu": "rtu+tcp"} {
		t.Run(framer, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Rig {
				port := freePort(t)
				_, stop := foreign(t, python, port, framer)
				r := rig(scheme + "://127.0.0.1:" + port)
				r.Illegal = new(tag(32, "hr:105", sparkplug.TypeInt16))
				r.Cut = stop
				r.Restore = func() { _, stop = foreign(t, python, port, framer) }
				return r
			})
		})
	}
}

// TestRealSerial passes the suite over a serial line, which is a pseudo terminal
// in front of the same server.
func TestRealSerial(t *testing.T) {
	python := os.Getenv("MAGNETO_PYTHON")
	if python == "" {
		t.Skip("MAGNETO_PYTHON is not set: it names a python that has pymodbus 3.11")
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Rig {
		line, _ := foreign(t, python, freePort(t), "rtu", "line")
		return rig("serial://" + line + "?baud=115200")
	})
}

// TestRealServer writes to and reads from a running server with plain memory of
// at least 300 addresses in each table (libmodbus, a PLC on the bench).
func TestRealServer(t *testing.T) {
	addr := os.Getenv("MAGNETO_MODBUS_SERVER")
	if python := os.Getenv("MAGNETO_PYTHON"); addr == "" && python != "" {
		port := freePort(t)
		foreign(t, python, port, "socket")
		addr = "127.0.0.1:" + port
	}
	if addr == "" {
		t.Skip("neither MAGNETO_MODBUS_SERVER (host:port of a Modbus TCP server whose memory may be changed) nor MAGNETO_PYTHON is set")
	}
	d := open(t, "tcp://"+addr, nil)
	var writes []driver.Write
	var tags []driver.Tag
	for i, order := range []string{"ABCD", "CDAB", "BADC", "DCBA"} {
		for j, v := range []sparkplug.Value{
			sparkplug.Float(3.25), sparkplug.Double(-1e300), sparkplug.Int(sparkplug.TypeInt16, -2),
			sparkplug.Uint(sparkplug.TypeUInt32, 0xDEADBEEF), sparkplug.Int(sparkplug.TypeInt64, -1<<40),
		} {
			tag := driver.Tag{ID: uint32(len(tags)), Addr: fmt.Sprintf("hr:%d", 40*i+8*j), Type: v.Type(), Order: order}
			tags = append(tags, tag)
			writes = append(writes, driver.Write{Tag: tag, Value: v})
		}
	}
	for _, w := range []driver.Write{
		{Tag: tag(100, "hr:200.9", sparkplug.TypeBoolean), Value: sparkplug.Boolean(true)},
		{Tag: tag(101, "hr:210[7]", sparkplug.TypeString), Value: sparkplug.String("Pump 12")},
		{Tag: tag(102, "co:11", sparkplug.TypeBoolean), Value: sparkplug.Boolean(true)},
		{Tag: tag(103, "co:20[11]", sparkplug.TypeBooleanArray), Value: sparkplug.BooleanArray([]bool{0: true, 10: true})},
	} {
		tags = append(tags, w.Tag)
		writes = append(writes, w)
	}
	for i, err := range d.Write(t.Context(), writes) {
		if err != nil {
			t.Fatalf("write %s: %v", writes[i].Tag.Addr, err)
		}
	}
	blocks, bad := d.Compile(tags)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	want := map[uint32]driver.Write{}
	for _, w := range writes {
		want[w.Tag.ID] = w
	}
	for _, b := range blocks {
		out := make([]driver.Sample, len(b.Tags))
		if err := d.Read(t.Context(), &b, out); err != nil {
			t.Fatal(err)
		}
		for _, s := range out {
			if w := want[s.ID]; !s.Value.Equal(w.Value) {
				t.Errorf("%s %s = %v; want %v", w.Tag.Addr, w.Tag.Order, s.Value, w.Value)
			}
		}
	}
}
