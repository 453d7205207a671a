package embedded_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/sparkplug"
)

var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

// plant is a store with a clock of its own, and short words for tests.
type plant struct {
	t     *testing.T
	cfg   embedded.Config
	now   time.Time
	store *embedded.Store
}

func newPlant(t *testing.T) *plant {
	p := &plant{t: t, now: noon}
	p.cfg = embedded.Config{Dir: t.TempDir(), Now: func() time.Time { return p.now }}
	p.open()
	t.Cleanup(func() {
		if err := p.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *plant) open() {
	s, err := embedded.Open(p.cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	p.store = s
}

func (p *plant) reopen() {
	if err := p.store.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.open()
}

func (p *plant) series(metric string, m history.Meta) history.Series {
	p.t.Helper()
	h, err := p.store.Series(p.t.Context(), history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: metric}, m)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

func (p *plant) write(points ...history.Point) {
	p.t.Helper()
	if _, err := p.store.Write(p.t.Context(), points); err != nil {
		p.t.Fatal(err)
	}
}

// at is the time d after noon, in ms.
func at(d time.Duration) int64 { return noon.Add(d).UnixMilli() }

func double(h history.Series, d time.Duration, v float64) history.Point {
	return history.Point{Series: h, Timestamp: at(d), Value: sparkplug.Double(v), Quality: history.QualityGood}
}

// get asks the API and gives status and body.
func (p *plant) get(path string, form url.Values) (int, string) {
	p.t.Helper()
	return get(p.store, path+"?"+form.Encode())
}

func get(s *embedded.Store, path string) (int, string) {
	w := httptest.NewRecorder()
	s.PrometheusHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

// ask makes a range query from noon and gives each series' points as
// "minute:value", so that gaps show; an instant query if minutes is negative.
func (p *plant) ask(query string, from, minutes int, more ...string) map[string][]string {
	p.t.Helper()
	form := url.Values{"query": {query}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	start := noon.Add(time.Duration(from) * time.Minute)
	path := "/api/v1/query"
	if minutes < 0 {
		form.Set("time", fmt.Sprint(start.Unix()))
	} else {
		path = "/api/v1/query_range"
		form.Set("start", fmt.Sprint(start.Unix()))
		form.Set("end", fmt.Sprint(start.Add(time.Duration(minutes)*time.Minute).Unix()))
		form.Set("step", "60")
	}
	code, body := p.get(path, form)
	var a struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || code != 200 {
		p.t.Fatalf("%s: status %d, %v: %s", query, code, err, body)
	}
	all := map[string][]string{}
	for _, r := range a.Data.Result {
		name := r.Metric["metric"] + r.Metric["unit"]
		if minutes < 0 {
			r.Values = [][2]any{r.Value}
		}
		for _, v := range r.Values {
			all[name] = append(all[name], fmt.Sprintf("%v:%v", (v[0].(float64)-float64(noon.Unix()))/60, v[1]))
		}
	}
	return all
}

func (p *plant) want(got map[string][]string, name string, want ...string) {
	p.t.Helper()
	if !slices.Equal(got[name], want) {
		p.t.Errorf("%s: got %v, want %v", name, got[name], want)
	}
}

func TestReportByExceptionStaysVisible(t *testing.T) {
	p := newPlant(t)
	quiet, busy, dead, text := p.series("quiet", history.Meta{}), p.series("busy", history.Meta{}), p.series("dead", history.Meta{}), p.series("turned", history.Meta{})
	p.write(double(quiet, -20*24*time.Hour, 7), double(dead, -3*time.Hour, 1), double(text, -2*time.Hour, 3),
		history.Point{Series: dead, Timestamp: at(-2 * time.Hour), Stale: true})
	p.write(history.Point{Series: text, Timestamp: at(-time.Hour), Value: sparkplug.String("now a string"), Quality: 192})
	for m := -120; m <= 120; m++ {
		p.now = noon.Add(time.Duration(m) * time.Minute)
		p.write(double(busy, time.Duration(m)*time.Minute, float64(m)))
	}
	p.write(double(quiet, 2*time.Minute+time.Second, 8))
	got := p.ask("sparkplug_value", 0, 4)
	p.want(got, "quiet", "0:7", "1:7", "2:7", "3:8", "4:8")
	p.want(got, "busy", "0:0", "1:1", "2:2", "3:3", "4:4")
	p.want(got, "dead")
	p.want(got, "turned")
	p.want(p.ask("sparkplug_value", 0, -1), "quiet", "0:7")
	p.want(p.ask(`sparkplug_value{metric="quiet"} * 2 + on(metric) sparkplug_value`, 1, 2), "quiet", "1:21", "2:21", "3:24")
	p.want(p.ask("sparkplug_value offset 1h", 62, 2), "quiet", "62:7", "63:8", "64:8")
	p.want(p.ask("sparkplug_value", 60*24, -1), "quiet", "1440:8")
	p.want(p.ask("timestamp(sparkplug_value)-"+strconv.FormatInt(noon.Unix(), 10), 0, -1), "quiet", fmt.Sprintf("0:%d", -20*24*3600))
	// As Prometheus sees it, with a lookback of 5 minutes.
	p.want(p.ask("sparkplug_value", 0, 4, "lookback_delta", "5m"), "quiet", "3:8", "4:8")
	// Range selectors see what was measured, nothing else.
	p.want(p.ask("count_over_time(sparkplug_value[10m])", 5, -1), "quiet", "5:1")
	p.want(p.ask("last_over_time(sparkplug_value[1m])", 0, -1), "quiet")
	p.want(p.ask("max_over_time(sparkplug_value[2m:1m])", 3, -1), "quiet", "3:8")
}

func TestDeathShowsAsGap(t *testing.T) {
	p := newPlant(t)
	h := p.series("Speed", history.Meta{})
	p.write(double(h, 0, 5), history.Point{Series: h, Timestamp: at(90 * time.Second), Stale: true}, double(h, 4*time.Minute, 5))
	p.want(p.ask("sparkplug_value", 0, 5), "Speed", "0:5", "1:5", "4:5", "5:5")
	p.want(p.ask("sparkplug_value", 2, 1), "Speed")
	p.reopen()
	p.want(p.ask("sparkplug_value", 0, 5), "Speed", "0:5", "1:5", "4:5", "5:5")
	// What the node held back, from within the gap, closes it from there on.
	p.write(double(p.series("Speed", history.Meta{}), 3*time.Minute, 6))
	p.want(p.ask("sparkplug_value", 0, 5), "Speed", "0:5", "1:5", "3:6", "4:5", "5:5")
}

func TestInfoAndQuality(t *testing.T) {
	p := newPlant(t)
	h := p.series("T", history.Meta{Type: sparkplug.TypeDouble, Unit: "°C"})
	p.write(double(h, 0, 1))
	p.want(p.ask("sparkplug_quality", 1, -1), "T")
	p.series("T", history.Meta{Type: sparkplug.TypeDouble, Unit: "K"})
	bad := double(h, 2*time.Minute, 2)
	bad.Quality = history.QualityBad
	p.write(bad, double(h, 3*time.Minute, 3), history.Point{Series: h, Timestamp: at(4 * time.Minute), Stale: true})
	got := p.ask("sparkplug_metric_info", 0, 3)
	p.want(got, "T°C", "0:1", "1:1")
	p.want(got, "TK", "2:1", "3:1")
	p.want(p.ask("sparkplug_value * on(group,edge_node,device,metric) group_left(unit) sparkplug_metric_info", 3, -1), "TK", "3:3")
	p.want(p.ask("sparkplug_quality", 0, 5), "T", "2:0", "3:192")
}

func TestNaNIsNoMarker(t *testing.T) {
	p := newPlant(t)
	h := p.series("x", history.Meta{})
	p.write(double(h, 0, math.Float64frombits(0x7ff0000000000002)))
	p.want(p.ask("sparkplug_value", 0, 1), "x", "0:NaN", "1:NaN")
}

func TestEventsAsSeries(t *testing.T) {
	p := newPlant(t)
	ev := func(d time.Duration, k history.Kind, device, detail string) history.Event {
		return history.Event{At: at(d), Group: "Plant", Node: "line1", Device: device, Kind: k, Detail: detail}
	}
	record := func(e ...history.Event) {
		t.Helper()
		if err := p.store.Record(t.Context(), e...); err != nil {
			t.Fatal(err)
		}
	}
	record(ev(0, history.NBIRTH, "", ""), ev(0, history.DBIRTH, "press", ""), ev(2*time.Minute, history.NDEATH, "", ""))
	p.reopen()
	record(ev(3*time.Minute, history.NBIRTH, "", ""), ev(5*time.Minute, history.STALE, "", ""),
		ev(6*time.Minute, history.REBIRTH, "", "gap in seq"), history.Event{At: at(0), Node: "h1", Kind: history.STATE, Detail: "online"})
	p.want(p.ask(`sparkplug_online{device=""}`, 0, 6), "", "0:1", "1:1", "2:0", "3:1", "4:1")
	p.want(p.ask(`sparkplug_online{device="press"}`, 0, 6), "", "0:1", "1:1", "2:0", "3:0", "4:0")
	p.want(p.ask(`sparkplug_births_total{device=""}`, 4, -1), "", "4:2")
	p.want(p.ask(`sparkplug_deaths_total`, 4, -1), "", "4:1")
	p.want(p.ask(`sparkplug_rebirth_requests_total{reason="gap in seq"}`, 6, -1), "", "6:1")
	p.want(p.ask(`sparkplug_host_online{host="h1"}`, 6, -1), "", "6:1")
}

// TestLateBlocks writes samples older than the out-of-order window and finds
// them by PromQL once they are in blocks, and still exactly by Raw.
func TestLateBlocks(t *testing.T) {
	p := newPlant(t)
	h, big := p.series("old", history.Meta{}), p.series("big", history.Meta{})
	p.write(double(h, 0, 1))
	day := 24 * time.Hour
	exact := history.Point{Series: big, Timestamp: at(-50 * day), Value: sparkplug.Uint(sparkplug.TypeUInt64, 1<<60+1), Quality: 192}
	p.write(double(h, -40*day, 40), exact, double(h, -40*day+time.Minute, 41))
	for range 2 {
		p.reopen() // the first Close writes the blocks, the second Open settles the rows
		p.want(p.ask("sparkplug_value", -40*24*60, 2), "old", "-57600:40", "-57599:41", "-57598:41")
		p.write(double(p.series("old", history.Meta{}), 0, 1))
		n := 0
		if err := p.store.Raw(t.Context(), history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: "big"}, 0, at(0), func(s history.Sample) bool {
			n++
			if s.Value.Uint() != 1<<60+1 {
				t.Errorf("got %d", s.Value.Uint())
			}
			return true
		}); err != nil || n != 1 {
			t.Errorf("%d samples, %v; want 1", n, err)
		}
	}
}

func TestQuarantine(t *testing.T) {
	p := newPlant(t)
	p.cfg.QuarantineMax = 3
	p.reopen()
	h := p.series("fast", history.Meta{})
	for i := range 5 {
		p.write(double(h, time.Hour+time.Duration(i)*time.Minute, float64(i)))
	}
	p.write(double(h, time.Hour+4*time.Minute, 4)) // again
	list := func() (got []string) {
		t.Helper()
		if err := p.store.Quarantined(t.Context(), history.Filter{}, func(q history.Quarantined) bool {
			got = append(got, fmt.Sprint(q.Key.Metric, q.Sample.Value.Float64()))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := list(); !slices.Equal(got, []string{"fast2", "fast3", "fast4"}) {
		t.Errorf("quarantined: %v", got)
	}
	if st := p.store.Stats(); st.QuarantineDropped != 2 || st.QuarantineSize != 3 || st.Quarantined != 6 {
		t.Errorf("Stats() = %+v", st)
	}
	if res, err := p.store.Release(t.Context(), "Plant", "line1", 0); err != nil || res.Written != 0 {
		t.Errorf("Release without shift: %+v, %v", res, err)
	}
	if res, err := p.store.Release(t.Context(), "Plant", "line1", -time.Hour.Milliseconds()); err != nil || res.Written != 3 {
		t.Errorf("Release: %+v, %v; want 3 written", res, err)
	}
	if got := list(); got != nil {
		t.Errorf("still quarantined: %v", got)
	}
	p.want(p.ask("sparkplug_value", 2, 2), "fast", "2:2", "3:3", "4:4")
}

func TestAPI(t *testing.T) {
	p := newPlant(t)
	p.write(double(p.series("Temp/°C", history.Meta{Type: sparkplug.TypeDouble, Unit: "°C"}), 0, 1.5))
	const metric = `{"__name__":"sparkplug_value","device":"press","edge_node":"line1","group":"Plant","metric":"Temp/°C"}`
	v := func(kv ...string) url.Values {
		f := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			f.Add(kv[i], kv[i+1])
		}
		return f
	}
	for name, tt := range map[string]struct {
		path string
		form url.Values
		code int
		want string
	}{
		"instant":      {"query", v("query", "sparkplug_value", "time", "1779278401.5"), 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":` + metric + `,"value":[1779278401.5,"1.5"]}]}}`},
		"scalar":       {"query", v("query", "1+1", "time", "1"), 200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`},
		"string":       {"query", v("query", `"x"`, "time", "1"), 200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`},
		"empty":        {"query", v("query", "nothing"), 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		"raw matrix":   {"query", v("query", "sparkplug_value[1m]", "time", "2026-05-20T12:00:01Z"), 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":` + metric + `,"values":[[1779278400,"1.5"]]}]}}`},
		"range":        {"query_range", v("query", "sparkplug_value", "start", "1779278400", "end", "1779278402", "step", "1s"), 200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":` + metric + `,"values":[[1779278400,"1.5"],[1779278401,"1.5"],[1779278402,"1.5"]]}]}}`},
		"utf-8 name":   {"query", v("query", `{"sparkplug_value", metric="Temp/°C"} > bool 1`, "time", "1779278400"), 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":` + strings.Replace(metric, `"__name__":"sparkplug_value",`, "", 1) + `,"value":[1779278400,"1"]}]}}`},
		"series":       {"series", v("match[]", "sparkplug_value", "match[]", `{metric=~"T.*",__name__="sparkplug_value"}`), 200, `{"status":"success","data":[` + metric + `]}`},
		"labels":       {"labels", v("match[]", "sparkplug_value"), 200, `{"status":"success","data":["__name__","device","edge_node","group","metric"]}`},
		"label values": {"label/__name__/values", nil, 200, `{"status":"success","data":["sparkplug_metric_info","sparkplug_value"]}`},
		"limited":      {"label/__name__/values", v("limit", "1"), 200, `{"status":"success","data":["sparkplug_metric_info"],"warnings":["results truncated due to limit"]}`},
		"no values":    {"label/nothing/values", nil, 200, `{"status":"success","data":[]}`},
		"metadata":     {"metadata", v("metric", "sparkplug_value"), 200, `{"status":"success","data":{"sparkplug_value":[{"type":"gauge","unit":"","help":"Value of a Sparkplug metric; booleans are 0 and 1."}]}}`},
		"exemplars":    {"query_exemplars", v("query", "sparkplug_value"), 200, `{"status":"success","data":[]}`},
		"format":       {"format_query", v("query", "a+b"), 200, `{"status":"success","data":"a + b"}`},
		"bad query":    {"query", v("query", "sum("), 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"}`},
		"bad time":     {"query", v("query", "a", "time", "x"), 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp"}`},
		"huge time":    {"query", v("query", "a", "time", "1e300"), 400, ""},
		"no step":      {"query_range", v("query", "a", "start", "1", "end", "2", "step", "0"), 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"}`},
		"too fine":     {"query_range", v("query", "a", "start", "0", "end", "99999", "step", "1"), 400, `{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}`},
		"no match":     {"series", nil, 400, `{"status":"error","errorType":"bad_data","error":"no match[] parameter provided"}`},
		"empty match":  {"series", v("match[]", `{a=~".*"}`), 400, ""},
		"execution":    {"query", v("query", `sparkplug_value * on(group) sparkplug_value{metric="x"} + label_replace(sparkplug_value,"group","$1","x","(")`), 422, ""},
		"unknown":      {"rules", nil, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prefix := range []string{"/api/v1/", "/prometheus/api/v1/"} {
				code, body := p.get(prefix+tt.path, tt.form)
				if code != tt.code || tt.want != "" && body != tt.want {
					t.Errorf("%s: %d %s\nwant %d %s", prefix+tt.path, code, body, tt.code, tt.want)
				}
			}
		})
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/api/v1/query", strings.NewReader(v("query", "count(sparkplug_value)", "time", "1779278400").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	p.store.PrometheusHandler().ServeHTTP(w, r)
	if want := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1779278400,"1"]}]}}`; w.Body.String() != want {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
}
