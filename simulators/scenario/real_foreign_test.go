package scenario_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// node runs a script of testdata with npm's modules, and gives it our lines.
func node(t *testing.T, script string, args ...string) (p *proc, stdin io.Writer) {
	t.Helper()
	t.Setenv("NODE_PATH", need(t, "MAGNETO_NODE_MODULES", "folder of npm's sparkplug-client and sparkplug-payload"))
	path, err := exec.LookPath("node")
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	p = startWith(t, r, path, append([]string{"testdata/" + script}, args...)...)
	require.NoError(t, r.Close())
	return p, w
}

// TestRealForeignEdge has an edge node that others wrote born, updated and
// stale on death in our host.
func TestRealForeignEdge(t *testing.T) {
	need(t, "MAGNETO_NODE_MODULES", "folder of npm's sparkplug-client and sparkplug-payload")
	f, mqtt := startAll(t)
	edge, stdin := node(t, "edge.js", "mqtt://"+mqtt)
	edge.out.await(t, "born")
	f.online("Foreign", "Node")
	value := func(metric string) (m metricState) {
		metrics, err := f.device("Foreign", "Node", "Dev")
		require.NoError(t, err)
		return metrics[metric]
	}
	until(t, "the device is born with its values", func() error {
		metrics, err := f.device("Foreign", "Node", "Dev")
		if err == nil && (string(metrics["Level"].Value) != "1.5" || string(metrics["Count"].Value) != "-3") {
			err = fmt.Errorf("metrics %+v", metrics)
		}
		return err
	})
	require.Equal(t, "Double", value("Level").Datatype)

	_, err := fmt.Fprintln(stdin, "42.25")
	require.NoError(t, err)
	until(t, "the update arrives", func() error {
		if v := string(value("Level").Value); v != "42.25" {
			return fmt.Errorf("Level is %s", v)
		}
		return nil
	})

	edge.kill()
	until(t, "its death makes it stale", func() error {
		n, err := f.node("Foreign", "Node")
		if err == nil && (n.Online || !value("Level").Stale || !value("Count").Stale) {
			err = fmt.Errorf("online %t, Level stale %t", n.Online, value("Level").Stale)
		}
		return err
	})
	require.Equal(t, "42.25", string(value("Level").Value), "a stale value is kept")
}

// TestRealForeignPayload has npm's sparkplug-payload and our codec read one
// another.
func TestRealForeignPayload(t *testing.T) {
	p, stdin := node(t, "payload.js")

	_, err := fmt.Fprintln(stdin, "encode")
	require.NoError(t, err)
	theirs, err := base64.StdEncoding.DecodeString(p.out.await(t, `.+`)[0])
	require.NoError(t, err)
	var got sparkplug.Payload
	require.NoError(t, got.Decode(theirs))
	require.EqualValues(t, 7, got.Seq)
	require.EqualValues(t, 1700000000000, got.Timestamp)
	want := foreignMetrics()
	require.Len(t, got.Metrics, len(want))
	for i, m := range got.Metrics {
		require.Equal(t, want[i].Name, m.Name)
		require.True(t, m.Value.Equal(want[i].Value), "%s: %v %s, want %v", m.Name, m.Value, m.Value.Type(), want[i].Value)
	}

	ours := sparkplug.Payload{Timestamp: 1700000000001, HasTimestamp: true, Seq: 9, HasSeq: true, Metrics: want}
	b, err := ours.Append(nil)
	require.NoError(t, err)
	_, err = fmt.Fprintln(stdin, "decode "+base64.StdEncoding.EncodeToString(b))
	require.NoError(t, err)
	var read struct {
		Timestamp, Seq any
		Metrics        []struct {
			Name, Type string
			Value      any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(p.out.await(t, `.+`)[0]), &read))
	require.Equal(t, "1700000000001", fmt.Sprint(read.Timestamp))
	require.Equal(t, "9", fmt.Sprint(read.Seq))
	require.Len(t, read.Metrics, len(want))
	for i, m := range read.Metrics {
		require.Equal(t, want[i].Name, m.Name)
		require.Equal(t, want[i].Value.Type().String(), m.Type)
		require.Equal(t, foreignText(want[i].Value), fmt.Sprint(m.Value), "%s", m.Name)
	}
}

// foreignMetrics are what testdata/payload.js encodes.
func foreignMetrics() []sparkplug.Metric {
	values := []struct {
		name  string
		value sparkplug.Value
	}{
		{"i8", sparkplug.Int(sparkplug.TypeInt8, -8)},
		{"i16", sparkplug.Int(sparkplug.TypeInt16, -1600)},
		{"i32", sparkplug.Int(sparkplug.TypeInt32, -320000)},
		{"i64", sparkplug.Int(sparkplug.TypeInt64, -5)},
		{"u8", sparkplug.Uint(sparkplug.TypeUInt8, 200)},
		{"u16", sparkplug.Uint(sparkplug.TypeUInt16, 60000)},
		{"u32", sparkplug.Uint(sparkplug.TypeUInt32, 4000000000)},
		{"u64", sparkplug.Uint(sparkplug.TypeUInt64, 9007199254740991)},
		{"f", sparkplug.Float(1.5)},
		{"d", sparkplug.Double(-2.25)},
		{"b", sparkplug.Boolean(true)},
		{"s", sparkplug.String("höhe")},
		{"t", sparkplug.DateTime(1600000000000)},
		{"n", sparkplug.Null(sparkplug.TypeInt32)},
		{"by", sparkplug.Bytes(sparkplug.TypeBytes, []byte{1, 2, 255})},
	}
	metrics := make([]sparkplug.Metric, len(values))
	for i, v := range values {
		metrics[i] = sparkplug.Metric{Name: v.name, Value: v.value}
	}
	return metrics
}

// foreignText is how payload.js, and fmt after it, prints a value.
func foreignText(v sparkplug.Value) string {
	switch {
	case v.IsNull():
		return "<nil>"
	case v.Type() == sparkplug.TypeDateTime:
		return fmt.Sprint(v.Int())
	case v.Type().Numeric() && v.Type() != sparkplug.TypeInt64 && v.Type() != sparkplug.TypeUInt64:
		return fmt.Sprint(v.Float64()) // as fmt prints a JSON number
	case v.Type().Binary():
		return base64.StdEncoding.EncodeToString(v.Raw())
	}
	return v.String()
}

// TestRealPythonEdge has an edge node of pysparkplug live in our host.
func TestRealPythonEdge(t *testing.T) {
	python := need(t, "MAGNETO_PYTHON", "Python with pysparkplug")
	f, mqtt := startAll(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	edge := startWith(t, r, python, "testdata/edge.py", mqtt)
	require.NoError(t, r.Close())
	edge.out.await(t, "born")
	f.online("Python", "Edge")
	shown := func(name string) string {
		metrics, err := f.device("Python", "Edge", "Dev")
		if err != nil {
			return err.Error() // it is not born yet
		}
		return string(metrics[name].Value)
	}
	until(t, "the device is born with its values", func() error {
		if got := []string{shown("Level"), shown("Count"), shown("Curve")}; !slices.Equal(got, []string{"1.5", "-3", "[-1,2]"}) {
			return fmt.Errorf("values %q", got)
		}
		return nil
	})
	_, err = fmt.Fprintln(w, "42.25")
	require.NoError(t, err)
	until(t, "the update arrives", func() error {
		if v := shown("Level"); v != "42.25" {
			return fmt.Errorf("Level is %s", v)
		}
		return nil
	})
	edge.kill()
	until(t, "its death is seen", func() error {
		n, err := f.node("Python", "Edge")
		if err == nil && n.Online {
			err = fmt.Errorf("still online")
		}
		return err
	})
}
