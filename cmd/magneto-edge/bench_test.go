//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

const (
	benchDevices = 10
	benchTags    = 1000 // of each device
	benchChanged = 1000 // each second, of all
	benchSeconds = 20
)

// TestBench runs the real program against a Modbus server and an MQTT server
// in this process: 10,000 float32 tags a second, a tenth of them changing. It
// prints what the program takes, and what the servers take beside it.
func TestBench(t *testing.T) {
	if os.Getenv("MAGNETO_BENCH") == "" {
		t.Skip("takes half a minute of a quiet machine: set MAGNETO_BENCH=1")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "magneto-edge")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mem, plcAddr, brokerAddr := benchPlant(t)
	heard := benchHear(t, brokerAddr)
	edge := benchEdge(t, dir, program, plcAddr, brokerAddr)

	benchChange(t, mem, 5) // so that all is born and warm
	before, heardBefore := benchUsage(t, edge), heard.n.Load()
	own := benchUsage(t, os.Getpid())
	begun := time.Now()
	changes := benchChange(t, mem, benchSeconds)
	took := time.Since(begun)
	after, ownAfter := benchUsage(t, edge), benchUsage(t, os.Getpid())

	cpu := (after.cpu - before.cpu).Seconds() / took.Seconds() * 100
	ownCPU := (ownAfter.cpu - own.cpu).Seconds() / took.Seconds() * 100
	got := heard.n.Load() - heardBefore
	t.Logf("10,000 float32 tags each second, %d changing: %.2f %% of a core, RSS %.1f MB, peak %.1f MB; the Modbus and MQTT servers and this test %.2f %%; %d of %d changes heard",
		benchChanged, cpu, after.rss, after.peak, ownCPU, got, changes)
	if info, err := os.Stat(program); err != nil || info.Size() > 30<<20 {
		t.Errorf("the program has %d bytes, %v; want at most 30 MiB", info.Size(), err)
	} else {
		t.Logf("the program has %.1f MB", float64(info.Size())/1e6)
	}
	if after.peak > 60 {
		t.Errorf("peak RSS %.1f MB, want at most 60", after.peak)
	}
	if cpu > 5 {
		t.Errorf("%.2f %% of a core, want at most 5", cpu)
	}
	if got < int64(changes)*9/10 {
		t.Errorf("%d of %d changes heard", got, changes)
	}
}

func benchPlant(t *testing.T) (mem *plc.Memory, plcAddr, brokerAddr string) {
	mem = plc.NewMemory()
	p, err := plc.ListenMemory(context.Background(), "127.0.0.1:0", mem)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	return mem, p.Addr(), b.Addr()
}

// benchEar counts the metrics of data messages.
type benchEar struct{ n atomic.Int64 }

func benchHear(t *testing.T, addr string) *benchEar {
	e := &benchEar{}
	var p sparkplug.Payload
	count := func(m mqtt.Message) {
		topic, err := sparkplug.ParseTopic(m.Topic)
		if err == nil && topic.Type == sparkplug.DDATA && p.Decode(m.Payload) == nil {
			e.n.Add(int64(len(p.Metrics)))
		}
	}
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://" + addr, ClientID: "ear", OnMessage: count})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Subscribe(t.Context(), mqtt.Filter{Topic: "spBv1.0/#"}); err != nil {
		t.Fatal(err)
	}
	return e
}

func benchEdge(t *testing.T, dir, program, plcAddr, brokerAddr string) (pid int) {
	var cfg bytes.Buffer
	fmt.Fprintf(&cfg, "version: 1\nnode: {group: Bench, id: E}\nmqtt: {servers: [\"mqtt://%s\"]}\nconnections: {plc: {driver: modbus, url: \"tcp://%s\"}}\ndevices:\n", brokerAddr, plcAddr)
	for d := range benchDevices {
		fmt.Fprintf(&cfg, "  - {id: D%d, connection: plc, csv: d%d.csv}\n", d, d)
		rows := bytes.NewBufferString("name,addr,type,unit\n")
		for i := range benchTags {
			fmt.Fprintf(rows, "Line/Zone%d/Sensor%d,hr:%d,Float,C\n", i/100, i, 2*(d*benchTags+i))
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("d%d.csv", d)), rows.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(file, cfg.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "run", "-c", file)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the program ended with %v\n%s", err, log.Bytes())
		}
	})
	return cmd.Process.Pid
}

// benchChange changes a part of all tags each second; it returns how many in all.
func benchChange(t *testing.T, mem *plc.Memory, seconds int) int {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s := range seconds {
		for i := range benchChanged {
			addr := 2 * (i*benchDevices*benchTags/benchChanged + s%(benchDevices*benchTags/benchChanged))
			bits := math.Float32bits(float32(s*7+i) + float32(time.Now().UnixNano()%1000)/1000 + 0.5)
			mem.SetRegisters(plc.Holding, uint16(addr), uint16(bits>>16), uint16(bits))
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
		}
	}
	return seconds * benchChanged
}

type usage struct {
	cpu       time.Duration
	rss, peak float64 // MB
}

// benchUsage reads what a process took so far.
func benchUsage(t *testing.T, pid int) (u usage) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case f[0] == "VmRSS:":
			kb, _ := strconv.ParseFloat(f[1], 64)
			u.rss = kb / 1000
		case f[0] == "VmHWM:":
			kb, _ := strconv.ParseFloat(f[1], 64)
			u.peak = kb / 1000
		}
	}
	return u
}
