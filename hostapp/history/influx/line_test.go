package influx

import (
	"math"
	"strings"
	"testing"
	"time"

	protocol "github.com/influxdata/line-protocol"
	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestFields(t *testing.T) {
	good := func(v sparkplug.Value) history.Point { return history.Point{Value: v, Quality: history.QualityGood} }
	for name, c := range map[string]struct {
		p        history.Point
		template string
		signed   bool // a server of version 1
		want     string
	}{
		"double":          {p: good(sparkplug.Double(0.1)), want: `f=0.1`},
		"float":           {p: good(sparkplug.Float(0.1)), want: `f=0.1`},
		"large":           {p: good(sparkplug.Double(1e300)), want: `f=1e+300`},
		"nan":             {p: good(sparkplug.Double(math.NaN())), want: `s="NaN"`},
		"infinite":        {p: good(sparkplug.Float(float32(math.Inf(-1)))), want: `s="-Infinity"`},
		"int":             {p: good(sparkplug.Int(sparkplug.TypeInt8, -5)), want: `i=-5i`},
		"time":            {p: good(sparkplug.DateTime(1779278400000)), want: `i=1779278400000i`},
		"uint":            {p: good(sparkplug.Uint(sparkplug.TypeUInt64, math.MaxUint64)), want: `u=18446744073709551615u`},
		"uint of 1":       {p: good(sparkplug.Uint(sparkplug.TypeUInt16, 7)), signed: true, want: `u=7i`},
		"large uint of 1": {p: good(sparkplug.Uint(sparkplug.TypeUInt64, math.MaxInt64+1)), signed: true, want: `s="9223372036854775808"`},
		"boolean":         {p: good(sparkplug.Boolean(true)), want: `b=true`},
		"text":            {p: good(sparkplug.Text(sparkplug.TypeText, "say \"a\\b\"\nand,c=d")), want: "s=\"say \\\"a\\\\b\\\"\nand,c=d\""},
		"empty":           {p: good(sparkplug.String("")), want: `s=""`},
		"bytes":           {p: good(sparkplug.Bytes(sparkplug.TypeBytes, []byte{0, 1})), want: `s="\"AAE=\""`},
		"bad":             {p: history.Point{Value: sparkplug.Boolean(false)}, want: `b=false,q=0i`},
		"null":            {p: history.Point{Quality: history.QualityGood}, want: `q=192i`},
		"stale":           {p: history.Point{Value: sparkplug.Boolean(false), Quality: history.QualityStale, Stale: true}, want: `q=500i`},
		"template":        {p: good(sparkplug.Boolean(true)), template: `Motor "A"`, want: `b=true,t="Motor \"A\""`},
	} {
		require.Equal(t, c.want, string(appendFields(nil, &c.p, c.template, !c.signed)), name)
	}
}

func TestSeriesPrefix(t *testing.T) {
	for name, c := range map[string]struct {
		key  history.Key
		want string
	}{
		"plain":       {history.Key{Group: "Plant 1", Node: "a,b", Device: "c=d", Metric: "Line/Temp"}, `sparkplug,group=Plant\ 1,edge_node=a\,b,device=c\=d,metric=Line/Temp `},
		"node":        {history.Key{Group: "G", Node: "N", Metric: "m"}, `sparkplug,group=G,edge_node=N,metric=m `},
		"backslash":   {history.Key{Group: "G", Node: "N", Metric: `a\b`}, `sparkplug,group=G,edge_node=N,metric=a\b `},
		"at the end":  {history.Key{Group: "G", Node: "N", Metric: `50%\`}, `sparkplug,group=G,edge_node=N,metric=50%25%5C `},
		"before ,":    {history.Key{Group: "G", Node: "N", Metric: `a\,b`}, `sparkplug,group=G,edge_node=N,metric=a%5C\,b `},
		"line breaks": {history.Key{Group: "G", Node: "N", Metric: "a\r\nb"}, `sparkplug,group=G,edge_node=N,metric=a%0D%0Ab `},
		"percent":     {history.Key{Group: "G", Node: "N", Metric: "50%0A"}, `sparkplug,group=G,edge_node=N,metric=50%0A `},
	} {
		require.Equal(t, c.want, string(appendSeries(nil, c.key)), name)
	}
}

// A line says to a parser that we did not write what went into it.
func FuzzLine(f *testing.F) {
	f.Add("Plant", "line 1", "", "Temp, inlet", "text \"\\", int64(-7))
	f.Add(`G\`, "N", "D=", "a\\,b", "\n", int64(math.MaxInt64))
	f.Add("G", "N", "D", `a\\b\ `, `\`, int64(0))
	f.Fuzz(func(t *testing.T, group, node, device, metric, text string, number int64) {
		key := history.Key{Group: group, Node: node, Device: device, Metric: metric}
		unknown := func(r rune) bool { return r < ' ' && r != '\n' } // to this parser, not to databases
		ids := strings.ReplaceAll(group+node+device+metric, "\r", "")
		if key.Check() != nil || strings.ContainsFunc(text+ids, unknown) {
			return
		}
		line := appendSeries(nil, key)
		line = appendValue(line, sparkplug.Text(sparkplug.TypeText, text), true)
		line = append(line, ',')
		line = appendValue(line, sparkplug.Int(sparkplug.TypeInt64, number), true)
		line = append(line, " 1779278400000\n"...)

		h := protocol.NewMetricHandler()
		h.SetTimePrecision(time.Millisecond)
		got, err := protocol.NewParser(h).Parse(line)
		require.NoError(t, err, "%q", line)
		require.Len(t, got, 1)
		want := map[string]string{history.LabelGroup: group, history.LabelNode: node, history.LabelMetric: metric}
		if device != "" {
			want[history.LabelDevice] = device
		}
		for _, tag := range got[0].TagList() {
			if w, ok := want[tag.Key]; !awkward(w) {
				require.True(t, ok)
				require.Equal(t, w, tag.Value)
			}
			delete(want, tag.Key)
		}
		require.Empty(t, want)
		for _, field := range got[0].FieldList() {
			switch field.Key {
			case history.FieldString:
				if !strings.Contains(text, `\`) { // it knows other escapes than databases do; TestRealInflux has backslashes
					require.Equal(t, text, field.Value)
				}
			case history.FieldInt:
				require.Equal(t, number, field.Value)
			}
		}
		require.Equal(t, int64(1779278400000), got[0].Time().UnixMilli())
	})
}
