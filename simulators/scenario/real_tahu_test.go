package scenario_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// tahu runs Eclipse Tahu's Java clients, steered by our lines.
func tahu(t *testing.T, args ...string) (p *proc, stdin io.Writer) {
	t.Helper()
	path := need(t, "MAGNETO_TAHU", "class path of Eclipse Tahu and testdata/tahu")
	java, err := exec.LookPath("java")
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	p = startWith(t, r, java, append([]string{"-cp", path, "-Djava.io.tmpdir=" + t.TempDir(), "Interop"}, args...)...)
	require.NoError(t, r.Close())
	return p, w
}

// samples are a metric of every datatype, extremes included, one with
// properties and the two kinds of template.
func samples(t *testing.T) (out []sparkplug.Metric) {
	for i, k := range kinds {
		typ, ok := sparkplug.ParseDataType(k.typ)
		require.True(t, ok)
		v, err := sparkplug.ParseJSON(typ, []byte(k.json))
		require.NoError(t, err)
		out = append(out, sparkplug.Metric{Name: fmt.Sprintf("V%d %s", i, k.typ), Timestamp: 1700000000000 + int64(i), HasTimestamp: true, Value: v})
	}
	member := sparkplug.Metric{Name: "Amps", Value: sparkplug.Float(1.5), Timestamp: 1700000000000, HasTimestamp: true}
	params := []sparkplug.Parameter{{Name: "Power", Value: sparkplug.Double(7.5)}}
	out = append(
		out,
		sparkplug.Metric{
			Name: "with properties", Alias: 77, HasAlias: true, Timestamp: 1700000000000, HasTimestamp: true, Value: sparkplug.Double(1),
			Properties: &sparkplug.PropertySet{
				Keys: []string{"Quality", "engUnit", "engHigh"},
				Values: []sparkplug.Property{
					{Value: sparkplug.Int(sparkplug.TypeInt32, 192)}, {Value: sparkplug.String("bar")}, {Value: sparkplug.Double(100)},
				},
			},
		},
		sparkplug.Metric{Name: "definition Template", Timestamp: 1700000000000, HasTimestamp: true, Value: sparkplug.OfTemplate(&sparkplug.Template{Version: "1", IsDefinition: true, Metrics: []sparkplug.Metric{member}, Parameters: params})},
		sparkplug.Metric{Name: "instance Template", Timestamp: 1700000000000, HasTimestamp: true, Value: sparkplug.OfTemplate(&sparkplug.Template{Version: "1", Ref: "Motor", Metrics: []sparkplug.Metric{member}, Parameters: params})},
	)
	return out
}

// throughForeign sends each sample through a codec of others, which reads our
// bytes and writes its own, and wants it back unchanged, but for known faults.
func throughForeign(t *testing.T, p *proc, stdin io.Writer, known map[string]string) {
	right := 0
	for _, m := range samples(t) {
		ours := sparkplug.Payload{Timestamp: 1700000000001, HasTimestamp: true, Seq: 9, HasSeq: true, Metrics: []sparkplug.Metric{m}}
		b, err := ours.Append(nil)
		require.NoError(t, err)
		_, err = fmt.Fprintln(stdin, base64.StdEncoding.EncodeToString(b))
		require.NoError(t, err)
		line := p.out.await(t, `^=> (.*)`)[1]
		got := line
		if theirs, err := base64.StdEncoding.DecodeString(line); err == nil {
			var back sparkplug.Payload
			require.NoError(t, back.Decode(theirs), m.Name)
			got = "lost"
			if len(back.Metrics) == 1 {
				got = back.Metrics[0].Value.String()
				if back.Seq == ours.Seq && back.Timestamp == ours.Timestamp && alike(&back.Metrics[0], &m) {
					got = ""
				}
			}
		}
		fault, expected := known[m.Name]
		switch {
		case expected && got != "":
			require.Contains(t, got, fault, "%s: another fault than the known one", m.Name)
		case expected:
			t.Errorf("%s: the known fault is mended: %s", m.Name, fault)
		case got != "":
			t.Errorf("%s: %v comes back as %s", m.Name, m.Value, got)
		default:
			right++
		}
	}
	t.Logf("%d values there and back, %d with known faults of the other", right, len(known))
}

// alike compares two metrics but for what the other adds to files, and for the
// order of properties.
func alike(a, b *sparkplug.Metric) bool {
	if a.Name != b.Name || a.Alias != b.Alias || a.Timestamp != b.Timestamp || !a.Value.Equal(b.Value) {
		return false
	}
	if (a.Properties == nil) != (b.Properties == nil) || b.Properties == nil {
		return a.Properties == nil && b.Properties == nil
	}
	for i, key := range b.Properties.Keys {
		if p, ok := a.Properties.Get(key); !ok || !p.Equal(b.Properties.Values[i]) {
			return false
		}
	}
	return len(a.Properties.Keys) == len(b.Properties.Keys)
}

// TestRealTahuCodec has Tahu's Java core and our codec read one another.
func TestRealTahuCodec(t *testing.T) {
	p, stdin := tahu(t, "codec")
	throughForeign(t, p, stdin, map[string]string{})
}

// TestRealNpmCodec has npm's sparkplug-payload and our codec read one another.
func TestRealNpmCodec(t *testing.T) {
	p, stdin := node(t, "codec.js")
	known := map[string]string{}
	for _, m := range samples(t) {
		switch typ := m.Value.Type(); {
		case typ.Array():
			known[m.Name] = "toUpperCase" // it has no arrays
		case typ == sparkplug.TypeDataSet:
			known[m.Name] = "Invalid DataSetValue" // nor small integers in tables
		}
	}
	throughForeign(t, p, stdin, known)
	for _, how := range []string{"deflate", "gzip"} {
		inner, err := (&sparkplug.Payload{Seq: 3, HasSeq: true, Metrics: samples(t)[:5]}).Append(nil)
		require.NoError(t, err)
		_, err = fmt.Fprintln(stdin, how, base64.StdEncoding.EncodeToString(inner))
		require.NoError(t, err)
		theirs, err := base64.StdEncoding.DecodeString(p.out.await(t, `^=> (.*)`)[1])
		require.NoError(t, err)
		var got sparkplug.Payload
		require.NoError(t, got.Decode(theirs))
		c, err := got.Inflate(sparkplug.Limits{}, 1<<20)
		require.NoError(t, err)
		require.Equal(t, strings.ToUpper(how), c.String())
		require.Len(t, got.Metrics, 5)
	}
}

// TestRealTahuEdge has Tahu's Java edge client live in our host: births, data,
// a write, a rebirth, a death.
func TestRealTahuEdge(t *testing.T) {
	need(t, "MAGNETO_TAHU", "class path of Eclipse Tahu and testdata/tahu")
	f, mqtt := startAll(t)
	edge, stdin := tahu(t, "edge", "tcp://"+mqtt, "Tahu", "Edge", "plant")
	edge.out.await(t, "born")
	f.online("Tahu", "Edge")
	level := func(want string) {
		until(t, "Level is "+want, func() error {
			metrics, err := f.device("Tahu", "Edge", "Dev")
			if err == nil && (string(metrics["Level"].Value) != want || string(metrics["Count"].Value) != "-1") {
				err = fmt.Errorf("metrics %+v", metrics)
			}
			return err
		})
	}
	level("1.5")
	_, err := fmt.Fprintln(stdin, "42.25")
	require.NoError(t, err)
	level("42.25")
	_, err = f.call("PUT", "/v1/nodes/Tahu/Edge/devices/Dev/metrics/Limit", map[string]any{"value": 12.5}, nil)
	require.NoError(t, err)
	edge.out.await(t, "write 12.5")
	_, err = f.call("POST", "/v1/nodes/Tahu/Edge/rebirth", nil, nil)
	require.NoError(t, err)
	edge.out.await(t, "rebirth")
	edge.out.await(t, "born")
	level("42.25")
	edge.kill()
	until(t, "its death is seen", func() error {
		n, err := f.node("Tahu", "Edge")
		if err == nil && n.Online {
			err = fmt.Errorf("still online")
		}
		return err
	})
}

// TestRealTahuHost has Tahu's Java host application follow our agent: births,
// data, a rebirth and a write of its own, a death.
func TestRealTahuHost(t *testing.T) {
	need(t, "MAGNETO_TAHU", "class path of Eclipse Tahu and testdata/tahu")
	b := start(t, program(t, "magneto"), "broker", "--mqtt", "127.0.0.1:0")
	server := b.err.await(t, `msg="broker listens".* mqtt=(\S+)`)[1]
	mem := plc.NewMemory()
	machine, err := plc.ListenMemory(t.Context(), "127.0.0.1:0", mem)
	require.NoError(t, err)
	defer machine.Close()
	host, stdin := tahu(t, "host", "tcp://"+server, "plant")
	host.out.await(t, "connected")
	config := write(t, t.TempDir(), "edge.yaml", fmt.Sprintf(edgeExamined, `["mqtt://`+server+`"]`, machine.Addr()))
	edge := start(t, program(t, "magneto-edge"), "run", "-c", config)
	host.out.await(t, "NBIRTH Exam/Edge")
	host.out.await(t, "birth Exam/Edge/Press Temp=0.0")
	host.out.await(t, "DBIRTH Exam/Edge/Press")
	mem.SetRegisters(plc.Holding, 2, 215)
	host.out.await(t, "data Exam/Edge/Press Temp=21.5")
	_, err = fmt.Fprintln(stdin, "rebirth Exam Edge")
	require.NoError(t, err)
	host.out.await(t, "NBIRTH Exam/Edge")
	host.out.await(t, "DBIRTH Exam/Edge/Press")
	_, err = fmt.Fprintln(stdin, "stop")
	require.NoError(t, err)
	edge.err.await(t, "primary host plant went offline")
	time.AfterFunc(0, edge.stop)
	<-edge.done
}
