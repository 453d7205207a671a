package scenario_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/simulators/plc"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// kinds is a value of every datatype, extremes included: as it stands in a
// configuration, and as the host's REST API must show it.
var kinds = []struct{ typ, yaml, json string }{
	{"Int8", "-1", "-1"},
	{"Int8", "-128", "-128"},
	{"Int8", "127", "127"},
	{"Int16", "-1", "-1"},
	{"Int16", "-32768", "-32768"},
	{"Int16", "32767", "32767"},
	{"Int32", "-1", "-1"},
	{"Int32", "-2147483648", "-2147483648"},
	{"Int32", "2147483647", "2147483647"},
	{"Int64", "-1", `"-1"`},
	{"Int64", "-9223372036854775808", `"-9223372036854775808"`},
	{"Int64", "9223372036854775807", `"9223372036854775807"`},
	{"UInt8", "255", "255"},
	{"UInt16", "65535", "65535"},
	{"UInt32", "4294967295", "4294967295"},
	{"UInt64", "18446744073709551615", `"18446744073709551615"`},
	{"UInt64", "0", `"0"`},
	{"Float", "1.5", "1.5"},
	{"Float", "3.4028235e38", "3.4028235e+38"},
	{"Float", `"NaN"`, `"NaN"`},
	{"Float", `"-Infinity"`, `"-Infinity"`},
	{"Double", "-0.1", "-0.1"},
	{"Double", "1.7976931348623157e308", "1.7976931348623157e+308"},
	{"Double", `"NaN"`, `"NaN"`},
	{"Double", `"Infinity"`, `"Infinity"`},
	{"Double", `"-Infinity"`, `"-Infinity"`},
	{"Double", "5e-324", "5e-324"},
	{"Boolean", "true", "true"},
	{"Boolean", "false", "false"},
	{"String", `""`, `""`},
	{"String", `"Grüße, 世界 \u0001"`, `"Grüße, 世界 \u0001"`},
	{"String", `"` + strings.Repeat("x", 64<<10) + `"`, `"` + strings.Repeat("x", 64<<10) + `"`},
	{"DateTime", "1234567890123", `"1234567890123"`},
	{"DateTime", `"1969-07-20T20:17:40Z"`, `"-14182940000"`},
	{"Text", `"a\nb"`, `"a\nb"`},
	{"UUID", `"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`, `"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`},
	{"Bytes", `"AP8="`, `"AP8="`},
	{"Bytes", `""`, `""`},
	{"File", `"aGVsbG8="`, `"aGVsbG8="`},
	{"Int8Array", "[-128, -1, 127]", "[-128,-1,127]"},
	{"Int16Array", "[-32768, -1]", "[-32768,-1]"},
	{"Int32Array", "[-1, 2147483647]", "[-1,2147483647]"},
	{"Int64Array", "[-1, 9223372036854775807]", `["-1","9223372036854775807"]`},
	{"UInt8Array", "[0, 255]", "[0,255]"},
	{"UInt16Array", "[65535]", "[65535]"},
	{"UInt32Array", "[4294967295]", "[4294967295]"},
	{"UInt64Array", "[18446744073709551615]", `["18446744073709551615"]`},
	{"FloatArray", `[1.5, "NaN", "-Infinity"]`, `[1.5,"NaN","-Infinity"]`},
	{"DoubleArray", `[0.1, "Infinity"]`, `[0.1,"Infinity"]`},
	{"BooleanArray", "[true, false, true, true, false, false, false, false, true]", "[true,false,true,true,false,false,false,false,true]"},
	{"StringArray", `["a", "", "ü"]`, `["a","","ü"]`},
	{"DateTimeArray", "[0, 1234567890123]", `["0","1234567890123"]`},
	{"Int8Array", "[]", "[]"},
	{"DoubleArray", "[]", "[]"},
	{"StringArray", "[]", "[]"},
	{"BooleanArray", "[]", "[]"},
	{
		"DataSet", `{columns: [{name: A, type: Int8}, {name: B, type: UInt64}, {name: C, type: String}], rows: [[-1, 18446744073709551615, x], [1, 0, ""]]}`,
		`{"columns":[{"name":"A","type":"Int8"},{"name":"B","type":"UInt64"},{"name":"C","type":"String"}],"rows":[[-1,"18446744073709551615","x"],[1,"0",""]]}`,
	},
	{"Int32", "", "null"},
	{"String", "", "null"},
	{"DoubleArray", "", "null"},
	{"DateTime", "", "null"},
	{"Bytes", "", "null"},
}

// shownMetric is what the REST API says of a metric.
type shownMetric struct {
	Name     string
	Datatype string
	Value    json.RawMessage
}

func (b *hostBench) shown() map[string]shownMetric {
	_, body := b.call("GET", "/v1/nodes/G/E", "")
	var node struct{ Metrics []shownMetric }
	require.NoError(b.t, json.Unmarshal([]byte(body), &node))
	out := map[string]shownMetric{}
	for _, m := range node.Metrics {
		out[m.Name] = m
	}
	return out
}

// TestAllTypes follows a value of every datatype from the configuration of the
// edge node over the wire to the host's REST API and its history.
func TestAllTypes(t *testing.T) {
	b := newBench(t)
	var more strings.Builder
	for i, k := range kinds {
		value := ""
		if k.yaml != "" {
			value = ", value: " + k.yaml
		}
		fmt.Fprintf(&more, "  - {name: V%d, type: %s%s}\n", i, k.typ, value)
	}
	config, err := os.ReadFile(b.file)
	require.NoError(t, err)
	whole := strings.Replace(string(config), "devices:\n", more.String()+"devices:\n", 1)
	require.NoError(t, os.WriteFile(b.file, []byte(whole), 0o600))
	ear := listen(t, b.server)
	h := newHostBench(t, t.TempDir(), b.server)
	b.start(t)
	birth, _ := ear.until("NBIRTH", func(h heard) bool { return h.topic.Type == sparkplug.NBIRTH })
	bytes, err := birth.p.Append(nil)
	require.NoError(t, err)
	foreign := new(pb.Payload)
	require.NoError(t, proto.Unmarshal(bytes, foreign), "not protobuf")
	h.eventually("born", func() bool { _, ok := h.shown()[fmt.Sprintf("V%d", len(kinds)-1)]; return ok })
	shown := h.shown()
	for i, k := range kinds {
		name := fmt.Sprintf("V%d", i)
		m := shown[name]
		require.JSONEq(t, k.json, string(m.Value), "%s %.60s", k.typ, k.yaml)
		require.Equal(t, k.typ, m.Datatype, "%s %.60s", k.typ, k.yaml)
		if k.json != "null" {
			stored(t, h, name, m)
		}
	}
}

// stored wants the history to give back what REST has shown, as it was.
func stored(t *testing.T, h *hostBench, name string, m shownMetric) {
	var got history.Sample
	h.eventually("stored: "+name, func() bool {
		all := h.raw("", name)
		if len(all) > 0 {
			got = all[len(all)-1]
		}
		return len(all) > 0
	})
	require.Equal(t, m.Datatype, got.Value.Type().String(), name)
	require.Equal(t, string(m.Value), string(sparkplug.AppendJSON(nil, got.Value)), name)
}

// TestForeignNumbers has an edge node of another make send signed numbers in
// every form that is in use: sign-extended and masked to their width, in either
// field, and UInt32 in either field.
func TestForeignNumbers(t *testing.T) {
	b := newBench(t)
	h := newHostBench(t, t.TempDir(), b.server)
	c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: b.server, ClientID: "foreign"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	now := uint64(time.Now().UnixMilli())
	small := func(v uint32) *pb.Payload_Metric {
		return &pb.Payload_Metric{Value: &pb.Payload_Metric_IntValue{IntValue: v}}
	}
	long := func(v uint64) *pb.Payload_Metric {
		return &pb.Payload_Metric{Value: &pb.Payload_Metric_LongValue{LongValue: v}}
	}
	cases := []struct {
		typ  sparkplug.DataType
		m    *pb.Payload_Metric
		want string
	}{
		{sparkplug.TypeInt8, small(0xFB), "-5"},
		{sparkplug.TypeInt8, small(0xFFFFFFFB), "-5"},
		{sparkplug.TypeInt8, small(0xFF), "-1"},
		{sparkplug.TypeInt16, small(0xFFFF), "-1"},
		{sparkplug.TypeInt16, small(0xFFFFFFFF), "-1"},
		{sparkplug.TypeInt16, small(0x8000), "-32768"},
		{sparkplug.TypeInt32, small(0xFFFFFFFF), "-1"},
		{sparkplug.TypeInt32, long(math.MaxUint64), "-1"},
		{sparkplug.TypeInt64, long(math.MaxUint64), `"-1"`},
		{sparkplug.TypeUInt8, small(255), "255"},
		{sparkplug.TypeUInt32, small(math.MaxUint32), "4294967295"},
		{sparkplug.TypeUInt32, long(math.MaxUint32), "4294967295"},
		{sparkplug.TypeUInt64, long(math.MaxUint64), `"18446744073709551615"`},
		{sparkplug.TypeDateTime, long(now), fmt.Sprintf(`"%d"`, now)},
	}
	p := &pb.Payload{Timestamp: &now, Seq: new(uint64(0)), Metrics: []*pb.Payload_Metric{long(0), {Value: &pb.Payload_Metric_BooleanValue{}}}}
	p.Metrics[0].Name, p.Metrics[0].Datatype = new("bdSeq"), new(uint32(sparkplug.TypeInt64))
	p.Metrics[1].Name, p.Metrics[1].Datatype = new(sparkplug.MetricRebirth), new(uint32(sparkplug.TypeBoolean))
	for i, c := range cases {
		c.m.Name, c.m.Datatype = new(fmt.Sprintf("V%d", i)), new(uint32(c.typ))
		p.Metrics = append(p.Metrics, c.m)
	}
	for _, m := range p.Metrics {
		m.Timestamp = &now
	}
	raw, err := proto.Marshal(p)
	require.NoError(t, err)
	require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "spBv1.0/G/NBIRTH/E", Payload: raw}))
	h.eventually("born", func() bool { return len(h.shown()) == len(p.Metrics) })
	shown := h.shown()
	for i, c := range cases {
		name := fmt.Sprintf("V%d", i)
		require.Equal(t, c.want, string(shown[name].Value), "%s as %v", c.typ, c.m.Value)
		stored(t, h, name, shown[name])
	}
}

// TestTemplates publishes template instances, nested, and writes a member.
func TestTemplates(t *testing.T) {
	b := newBench(t)
	config, err := os.ReadFile(b.file)
	require.NoError(t, err)
	whole := strings.Replace(string(config), "metrics:\n", `templates:
  bearing: [{name: Temp, addr: "hr:{base}", type: Int16}]
  motor:
    version: "2"
    parameters: {base: 0, maker: Acme}
    metrics:
      - {name: Amps, addr: "hr:{base}", type: Int16, unit: A}
      - {name: Limit, addr: "hr:{base+1}", type: Int16, write: {min: 0, max: 100}}
    use: [{template: bearing, as: Front, instance: true, base: "{base+2}"}]
metrics:
`, 1)
	whole = strings.Replace(whole, "    class: quick\n", "    class: quick\n    use: [{template: motor, as: Main, instance: true, base: 40}, {template: motor, as: Spare, instance: true, base: 50, maker: Other}]\n", 1)
	require.NoError(t, os.WriteFile(b.file, []byte(whole), 0o600))
	for i := range uint16(20) {
		b.mem.SetRegisters(plc.Holding, 40+i, i)
	}
	h := newHostBench(t, t.TempDir(), b.server)
	agent, _ := b.start(t)
	main := func() string { return string(sparkplug.AppendJSON(nil, h.metric("Press", "Main").Value)) }
	h.eventually("born", func() bool { return main() != "null" && h.metric("Press", "Main").Type == sparkplug.TypeTemplate })
	require.JSONEq(t, `{"ref":"motor","version":"2","members":{"Amps":0,"Limit":1,"Front":{"ref":"bearing","version":"","members":{"Temp":2},"parameters":{"base":"42"}}},"parameters":{"base":"40","maker":"Acme"}}`, main())
	require.Equal(t, sparkplug.TypeTemplate, h.metric("Press", "Spare").Type)
	require.Contains(t, string(sparkplug.AppendJSON(nil, h.metric("Press", "Spare").Value)), `"maker":"Other"`)
	definition, ok := h.host.Watcher().Metric("G", "E", "", "motor")
	require.True(t, ok)
	require.True(t, definition.Value.Template().IsDefinition)

	b.mem.SetRegisters(plc.Holding, 42, 99) // within the instance within
	h.eventually("the inner member changes, the others stay", func() bool {
		return strings.Contains(main(), `"Temp":99`) && strings.Contains(main(), `"Limit":1`) && strings.Contains(main(), `"Amps":0`)
	})
	write := func(name string, member string, v int64) {
		value := sparkplug.OfTemplate(&sparkplug.Template{Ref: "motor", Metrics: []sparkplug.Metric{{Name: member, Value: sparkplug.Int(sparkplug.TypeInt16, v)}}})
		ear := listenAs(t, b.server, name+member)
		ear.command("spBv1.0/G/DCMD/E/Press", sparkplug.Metric{Name: name, Value: value})
	}
	write("Main", "Limit", 77)
	h.eventually("written", func() bool { return b.mem.Register(plc.Holding, 41) == 77 && strings.Contains(main(), `"Limit":77`) })
	require.NotContains(t, string(sparkplug.AppendJSON(nil, h.metric("Press", "Spare").Value)), `77`)
	path := "/v1/nodes/G/E/devices/Press/metrics/Spare"
	status, body := h.call("PUT", path, `{"value": {"members": {"Limit": 55}}}`)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, `"Limit":55`)
	require.EqualValues(t, 55, b.mem.Register(plc.Holding, 51))
	for bad, why := range map[string]string{
		`{"members": {"Limit": 101}}`:               "above the maximum",
		`{"members": {"Amps": 1}}`:                  "read-only",
		`{"members": {"Nothing": 1}}`:               "has no member",
		`{"members": {"Limit": "x"}}`:               "not a whole number",
		`{"members": {}}`:                           "no members",
		`{"ref": "other", "members": {"Limit": 1}}`: "not of",
		`5`: "is not",
		`{"members": {"Front": {"members": {"Temp": 1}}}}`: "read-only",
	} {
		status, body := h.call("PUT", path, `{"value": `+bad+`}`)
		require.Equal(t, 422, status, body)
		require.Contains(t, body, why)
	}
	write("Main", "Limit", 101)
	write("Main", "Amps", 1)
	write("Main", "Nothing", 1)
	h.eventually("refused", func() bool { return agent.Stats().Refused == 3 })
}

// TestCompressedPlant has an agent compress what it publishes: the host shows
// the same values, and the grader finds no fault.
func TestCompressedPlant(t *testing.T) {
	b := newBench(t)
	config, err := os.ReadFile(b.file)
	require.NoError(t, err)
	for _, how := range []string{"deflate", "gzip"} {
		t.Run(how, func(t *testing.T) {
			whole := strings.Replace(string(config), "mqtt: {", "mqtt: {compression: "+how+", ", 1)
			whole = strings.Replace(whole, "metrics:\n", "metrics:\n  - {name: Note, type: String, value: \""+strings.Repeat("spark ", 200)+"\"}\n", 1)
			require.NoError(t, os.WriteFile(b.file, []byte(whole), 0o600))
			h := newHostBench(t, t.TempDir(), b.server)
			_, stop := b.start(t)
			h.eventually("born", func() bool { return strings.Contains(string(h.shown()["Note"].Value), "spark spark") })
			require.NotZero(t, h.host.Watcher().Stats().Compressed)
			require.Zero(t, h.host.Watcher().Stats().Malformed)
			stop()
			h.stop()
		})
	}
}
