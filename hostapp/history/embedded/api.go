package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// maxPoints is the most points per series that a range query may ask for, and
// maxForm the largest request body in bytes.
const (
	maxPoints = 11_000
	maxForm   = 4 << 20
)

// answer is the envelope of every answer of the Prometheus HTTP API.
type answer struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// apiError is an error of the Prometheus HTTP API: its type and HTTP status.
type apiError struct {
	kind   string
	status int
	err    error
}

func (e *apiError) Error() string { return e.err.Error() }

func badParam(name string, err error) *apiError {
	return &apiError{"bad_data", http.StatusBadRequest, fmt.Errorf("invalid parameter %q: %w", name, err)}
}

// result is what an endpoint found.
type result struct {
	data     any
	warnings annotations.Annotations
}

// PrometheusHandler serves the part of the Prometheus HTTP API that reads,
// under /api/v1/ and, for whoever mounts it without stripping the prefix, under
// /prometheus/api/v1/. Instant selectors carry values on (see carry); the
// parameter lookback_delta narrows that for one query.
func (s *Store) PrometheusHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f func(*http.Request) (result, error), methods ...string) {
		for _, m := range methods {
			for _, prefix := range []string{"", "/prometheus"} {
				mux.HandleFunc(m+" "+prefix+"/api/v1/"+path, s.serve(f))
			}
		}
	}
	handle("query", s.apiQuery, "GET", "POST")
	handle("query_range", s.apiRange, "GET", "POST")
	handle("series", s.apiSeries, "GET", "POST")
	handle("labels", s.apiLabels, "GET", "POST")
	handle("label/{name}/values", s.apiLabelValues, "GET")
	handle("metadata", s.apiMetadata, "GET")
	handle("query_exemplars", s.apiExemplars, "GET", "POST")
	handle("status/buildinfo", s.apiBuildInfo, "GET")
	handle("format_query", s.apiFormat, "GET", "POST")
	return mux
}

func (s *Store) serve(f func(*http.Request) (result, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		var res result
		err := r.ParseForm()
		if err != nil {
			err = &apiError{"bad_data", http.StatusBadRequest, fmt.Errorf("error parsing form values: %w", err)}
		} else {
			res, err = f(r)
		}
		status, a := http.StatusOK, answer{Status: "success", Data: res.data}
		a.Warnings, a.Infos = res.warnings.AsStrings(r.FormValue("query"), 10, 10)
		if err != nil {
			e := classify(err)
			status, a = e.status, answer{Status: "error", ErrorType: e.kind, Error: e.Error(), Warnings: a.Warnings, Infos: a.Infos}
		}
		body, err := json.Marshal(a)
		if err != nil {
			s.cfg.Log.Error("history: answer cannot be written as JSON", "path", r.URL.Path, "err", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may have gone
	}
}

// classify gives an error its type, as Prometheus does.
func classify(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		return &apiError{"timeout", http.StatusServiceUnavailable, err}
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok || errors.Is(err, context.Canceled) {
		return &apiError{"canceled", 499, err}
	}
	if _, ok := errors.AsType[promql.ErrStorage](err); ok {
		return &apiError{"internal", http.StatusInternalServerError, err}
	}
	return &apiError{"execution", http.StatusUnprocessableEntity, err}
}

// queryData is the data of query and query_range.
type queryData struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     parser.Value     `json:"result"`
}

func (s *Store) apiQuery(r *http.Request) (result, error) {
	at, err := timeParam(r, "time", s.cfg.Now())
	if err != nil {
		return result{}, err
	}
	return s.execute(r, func(ctx context.Context, q storage.Queryable, o promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewInstantQuery(ctx, q, o, r.FormValue("query"), at)
	})
}

func (s *Store) apiRange(r *http.Request) (result, error) {
	var bounds [2]time.Time
	for i, name := range [...]string{"start", "end"} {
		t, err := parseTime(r.FormValue(name))
		if err != nil {
			return result{}, badParam(name, err)
		}
		bounds[i] = t
	}
	if bounds[1].Before(bounds[0]) {
		return result{}, badParam("end", errors.New("end timestamp must not be before start time"))
	}
	step, err := parseDuration(r.FormValue("step"))
	switch {
	case err != nil:
		return result{}, badParam("step", err)
	case step <= 0:
		return result{}, badParam("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	case bounds[1].Sub(bounds[0])/step > maxPoints:
		return result{}, &apiError{"bad_data", http.StatusBadRequest, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")}
	}
	return s.execute(r, func(ctx context.Context, q storage.Queryable, o promql.QueryOpts) (promql.Query, error) {
		return s.engine.NewRangeQuery(ctx, q, o, r.FormValue("query"), bounds[0], bounds[1], step)
	})
}

// execute runs the query that build makes, with the parameters that both kinds
// of query have: timeout, lookback_delta, limit.
func (s *Store) execute(r *http.Request, build func(context.Context, storage.Queryable, promql.QueryOpts) (promql.Query, error)) (result, error) {
	limit, err := limitParam(r)
	if err != nil {
		return result{}, err
	}
	ctx, lookback := r.Context(), s.cfg.Retention
	for name, set := range map[string]func(time.Duration){
		"timeout": func(d time.Duration) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, d)
			context.AfterFunc(r.Context(), cancel)
		},
		"lookback_delta": func(d time.Duration) { lookback = min(d, s.cfg.Retention) },
	} {
		v := r.FormValue(name)
		if v == "" {
			continue
		}
		d, err := parseDuration(v)
		if err == nil && d < time.Millisecond {
			err = errors.New("must be at least 1ms")
		}
		if err != nil {
			return result{}, badParam(name, err)
		}
		set(d)
	}
	lookback = lookback.Truncate(time.Millisecond)
	q, err := build(ctx, carry{s.db, s.overlays, lookback.Milliseconds()}, promql.NewPrometheusQueryOpts(false, lookback, nil))
	if err != nil {
		return result{}, badParam("query", err)
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return result{warnings: res.Warnings}, res.Err
	}
	v, warnings := truncated(res.Value, limit, res.Warnings)
	// Marshalled here, before Close takes the points back.
	raw, err := json.Marshal(queryData{v.Type(), v})
	return result{json.RawMessage(raw), warnings}, err
}

func truncated(v parser.Value, limit int, w annotations.Annotations) (parser.Value, annotations.Annotations) {
	cut := false
	switch x := v.(type) {
	case promql.Vector:
		if cut = limit > 0 && len(x) > limit; cut {
			v = x[:limit]
		}
	case promql.Matrix:
		if cut = limit > 0 && len(x) > limit; cut {
			v = x[:limit]
		}
	}
	if cut {
		w = w.Add(errors.New("results truncated due to limit"))
	}
	return v, w
}

// metadata is one entry of the metadata endpoint.
type metadata struct {
	Type string `json:"type"`
	Unit string `json:"unit"`
	Help string `json:"help"`
}

func (s *Store) apiMetadata(r *http.Request) (result, error) {
	all := map[string][]metadata{}
	limit := math.MaxInt
	if v := r.FormValue("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return result{}, &apiError{"bad_data", http.StatusBadRequest, errors.New("limit must be a number")}
		}
		if n >= 0 {
			limit = n
		}
	}
	for name, help := range history.MetricHelp() {
		if m := r.FormValue("metric"); (m == "" || m == name) && len(all) < limit {
			all[name] = []metadata{{Type: help[0], Help: help[1]}}
		}
	}
	return result{data: all}, nil
}

func (s *Store) apiExemplars(r *http.Request) (result, error) {
	if _, err := s.parser.ParseExpr(r.FormValue("query")); err != nil {
		return result{}, badParam("query", err)
	}
	return result{data: []string{}}, nil
}

func (s *Store) apiFormat(r *http.Request) (result, error) {
	e, err := s.parser.ParseExpr(r.FormValue("query"))
	if err != nil {
		return result{}, badParam("query", err)
	}
	return result{data: e.Pretty(0)}, nil
}

// promVersion is the version of the library in use: clients choose by it what
// to ask for.
const promVersion = "3.16.0"

func (s *Store) apiBuildInfo(*http.Request) (result, error) {
	return result{data: map[string]string{
		"version": promVersion, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(),
	}}, nil
}
