package embedded

import (
	"context"
	"math"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// query is an instant query at an age.
func (o *old) query(q string, age time.Duration) *promql.Result {
	return o.queryIn(carry{o.s.db, o.s.overlays, o.cfg.Retention.Milliseconds()}, q, age)
}

func (o *old) queryIn(c carry, q string, age time.Duration) *promql.Result {
	p, err := o.s.engine.NewInstantQuery(context.Background(), c, promql.NewPrometheusQueryOpts(false, o.cfg.Retention, nil), q, o.now.Add(-age))
	require.NoError(o.t, err)
	res := p.Exec(context.Background())
	require.NoError(o.t, res.Err)
	return res
}

// promNumbers are the values that a range selector gives, by age.
func (o *old) promNumbers(metric string) map[time.Duration]float64 {
	all := map[time.Duration]float64{}
	m, err := o.query(`sparkplug_value{metric="`+metric+`"}[100d]`, 0).Matrix()
	require.NoError(o.t, err)
	for _, s := range m {
		for _, p := range s.Floats {
			require.NotContains(o.t, all, p.T)
			all[o.now.Sub(time.UnixMilli(p.T))] = p.F
		}
	}
	return all
}

// same compares what PromQL gives at an age with what LastBefore does.
func (o *old) same(metric string, age time.Duration) {
	v, err := o.query(`sparkplug_value{metric="`+metric+`"}`, age).Vector()
	require.NoError(o.t, err)
	s, ok, err := o.s.LastBefore(context.Background(), history.Key{Group: "G", Node: "N", Metric: metric}, o.now.Add(-age).UnixMilli())
	require.NoError(o.t, err)
	bits, _, isNumber := number(s.Value)
	if !ok || s.Stale || !isNumber {
		require.Empty(o.t, v, "%s of %v", metric, age)
		return
	}
	require.Len(o.t, v, 1, "%s of %v: want %v", metric, age, s.Value.Float64())
	require.InDelta(o.t, math.Float64frombits(bits), v[0].F, 0, "%s of %v", metric, age)
}

// PromQL sees at once what waits for its block.
func TestLateSeenByPromQL(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", 50*day, sparkplug.Double(1))
	o.write("a", 49*day, sparkplug.Double(2))
	want := map[time.Duration]float64{50 * day: 1, 49 * day: 2}
	require.Equal(t, want, o.promNumbers("a"))
	o.kill()
	o.open()
	require.Equal(t, want, o.promNumbers("a"))
	o.same("a", 50*day-time.Second)
	o.same("a", 30*day)
	for path, want := range map[string]string{
		"/api/v1/label/metric/values?match[]=sparkplug_value":            `["a","now"]`,
		`/api/v1/label/metric/values?match[]={metric=~"[^n].*"}`:         `["a"]`,
		`/api/v1/labels?match[]={metric="a"}`:                            `["__name__","edge_node","group","metric"]`,
		`/api/v1/series?match[]={metric="a"}`:                            `[{"__name__":"sparkplug_value","edge_node":"N","group":"G","metric":"a"}]`,
		`/api/v1/series?match[]={metric="a"}&start=2026-05-01T00:00:00Z`: `[]`,
	} {
		w := httptest.NewRecorder()
		o.s.PrometheusHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.JSONEq(t, `{"status":"success","data":`+want+`}`, w.Body.String(), path)
	}
	o.flush()
	require.Equal(t, want, o.promNumbers("a")) // the block is there, but not loaded
	o.look()
	require.Equal(t, want, o.promNumbers("a"))        // the rows too
	o.write("now", -time.Second, sparkplug.Double(0)) // when the store looks
	require.Empty(t, o.rows())
	require.Empty(t, o.s.overlaid)
	require.Equal(t, want, o.promNumbers("a"))
}

// A value in the millisecond of a marker is seen, until what comes after it.
func TestValueOnMarkerSeenByPromQL(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", time.Hour, sparkplug.Double(1))
	o.write("a", time.Minute, sparkplug.Null(sparkplug.TypeDouble))
	o.same("a", time.Minute)
	require.Equal(t, history.WriteResult{Written: 1}, o.write("a", time.Minute, sparkplug.Int(sparkplug.TypeInt64, 1<<60+1)))
	for range 2 {
		o.same("a", time.Minute)
		o.same("a", 0)
		o.kill()
		o.open()
	}
	o.write("a", time.Second, sparkplug.Null(sparkplug.TypeDouble)) // ends it
	for range 2 {
		o.same("a", 2*time.Second)
		o.same("a", time.Second)
		o.same("a", 0)
		o.kill()
		o.open()
	}
	require.Len(t, o.promNumbers("a"), 2)
}

// The words of overlaid in SQL are those of isNumber, and those of number.
func TestIsNumber(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	for typ := range sparkplug.DataType(64) {
		_, err := o.s.write.ExecContext(t.Context(), "INSERT INTO sample VALUES (7, ?, 0, ?, 0, NULL, 192)", int(typ), int(typ))
		require.NoError(t, err)
	}
	got := map[sparkplug.DataType]bool{}
	rows, err := o.s.read.QueryContext(t.Context(), "SELECT type FROM "+overlaid[1])
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var typ int
		require.NoError(t, rows.Scan(&typ))
		got[sparkplug.DataType(typ)] = true
	}
	require.NoError(t, rows.Err())
	for typ := range sparkplug.DataType(64) {
		r := row{typ: typ}
		require.Equal(t, r.isNumber(), got[typ], typ)
		if v, err := r.value(); err == nil && typ != sparkplug.TypeUnknown {
			_, _, ok := number(v)
			require.Equal(t, ok, got[typ], typ)
		}
	}
}

// A text ends the number before it, wherever the two came in, and however late.
func TestTextEndsNumber(t *testing.T) {
	for name, ages := range map[string][3]time.Duration{ // number, text, asked
		"late":    {50 * day, 45 * day, 44 * day},
		"in time": {9 * time.Hour, 8 * time.Hour, 7 * time.Hour},
		"both":    {45 * day, 8 * time.Hour, 7 * time.Hour},
	} {
		for _, first := range []string{"number", "text", "newest, then text", "newest, then number"} {
			t.Run(name+", first "+first, func(t *testing.T) {
				o := openOld(t, t.TempDir())
				defer func() { require.NoError(t, o.s.Close()) }()
				if len(first) > 6 {
					o.write("a", time.Hour, sparkplug.Double(3))
				}
				write := []func(){
					func() { o.write("a", ages[0], sparkplug.Double(1)) },
					func() { o.write("a", ages[1], sparkplug.String("x")) },
				}
				if first == "text" || first == "newest, then text" {
					write[0], write[1] = write[1], write[0]
				}
				for _, w := range write {
					w()
				}
				for range 3 {
					o.same("a", ages[1]+time.Second)
					o.same("a", ages[1])
					o.same("a", ages[2])
					require.NoError(t, o.s.Close())
					o.open()
					o.write("now", -time.Second, sparkplug.Double(0)) // when the store looks
				}
				n := 0
				require.NoError(t, o.s.Raw(t.Context(), history.Key{Group: "G", Node: "N", Metric: "a"}, 0, math.MaxInt64, func(s history.Sample) bool {
					if s.Value.Type() == sparkplug.TypeString {
						require.Equal(t, "x", s.Value.Str())
						n++
					}
					return true
				}))
				require.Equal(t, 1, n)
				require.Zero(t, o.s.late.rows)
			})
		}
	}
}

// openedThen is a TSDB after whose opening something happens.
type openedThen struct {
	storage.Queryable
	then func()
}

func (q openedThen) Querier(mint, maxt int64) (storage.Querier, error) {
	defer q.then()
	return q.Queryable.Querier(mint, maxt)
}

// A query sees the samples whose rows become a block between its looks at the two.
func TestLateSettledMeanwhile(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	for i, q := range []string{`sparkplug_value{metric="a"}`, `last_over_time(sparkplug_value{metric="a"}[90d])`} {
		o.write("a", 50*day-time.Duration(i)*time.Hour, sparkplug.Double(float64(i)))
		o.flush()
		require.Equal(t, 1, o.s.late.rows)
		settle := sync.OnceFunc(func() {
			o.look()
			o.write("now", -time.Second-time.Duration(i), sparkplug.Double(0)) // when the store looks
			require.Empty(t, o.rows())
		})
		c := carry{openedThen{o.s.db, settle}, func(ctx context.Context, mint, maxt int64, ms []*labels.Matcher) ([]overlay, error) {
			defer settle()
			return o.s.overlays(ctx, mint, maxt, ms)
		}, o.cfg.Retention.Milliseconds()}
		v, err := o.queryIn(c, q, 0).Vector()
		require.NoError(t, err)
		require.Len(t, v, 1)
		require.InDelta(t, float64(i), v[0].F, 0)
	}
}
