package embedded

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// selection is what series, labels and label values have in common.
type selection struct {
	q        storage.Querier
	from, to int64
	limit    int
	matchers [][]*labels.Matcher
}

func (s *Store) selection(r *http.Request) (sel selection, err error) {
	if sel.limit, err = limitParam(r); err != nil {
		return sel, err
	}
	from, err := timeParam(r, "start", time.UnixMilli(0))
	if err != nil {
		return sel, err
	}
	to, err := timeParam(r, "end", s.cfg.Now().Add(s.cfg.FutureTolerance))
	if err != nil {
		return sel, err
	}
	if sel.matchers, err = s.matcherSets(r.Form["match[]"]); err != nil {
		return sel, err
	}
	sel.from, sel.to = from.UnixMilli(), to.UnixMilli()
	sel.q, err = carry{db: s.db, overlays: s.overlays}.Querier(sel.from, sel.to)
	return sel, err
}

func (s *Store) matcherSets(selectors []string) ([][]*labels.Matcher, error) {
	sets, err := s.parser.ParseMetricSelectors(selectors)
	if err != nil {
		return nil, badParam("match[]", err)
	}
	for _, ms := range sets {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, badParam("match[]", errors.New("match[] must contain at least one non-empty matcher"))
		}
	}
	return sets, nil
}

func (s *Store) apiSeries(r *http.Request) (result, error) {
	if len(r.Form["match[]"]) == 0 {
		return result{}, &apiError{"bad_data", http.StatusBadRequest, errors.New("no match[] parameter provided")}
	}
	sel, err := s.selection(r)
	if err != nil {
		return result{}, err
	}
	defer sel.q.Close()
	hints := &storage.SelectHints{Start: sel.from, End: sel.to, Func: "series"}
	var sets []storage.SeriesSet
	for _, ms := range sel.matchers {
		sets = append(sets, sel.q.Select(r.Context(), true, hints, ms...))
	}
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	found, warnings := []labels.Labels{}, set.Warnings()
	for set.Next() {
		if sel.limit > 0 && len(found) == sel.limit {
			warnings = warnings.Add(errors.New("results truncated due to limit"))
			break
		}
		found = append(found, set.At().Labels().Copy())
	}
	return result{found, warnings}, set.Err()
}

func (s *Store) apiLabels(r *http.Request) (result, error) {
	return s.strings(r, func(sel selection, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return sel.q.LabelNames(r.Context(), &storage.LabelHints{}, ms...)
	})
}

func (s *Store) apiLabelValues(r *http.Request) (result, error) {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return result{}, &apiError{"bad_data", http.StatusBadRequest, fmt.Errorf("invalid label name: %q", name)}
	}
	return s.strings(r, func(sel selection, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return sel.q.LabelValues(r.Context(), name, &storage.LabelHints{}, ms...)
	})
}

// strings asks for each set of matchers, or without any, and unites the answers.
func (s *Store) strings(r *http.Request, ask func(selection, []*labels.Matcher) ([]string, annotations.Annotations, error)) (result, error) {
	sel, err := s.selection(r)
	if err != nil {
		return result{}, err
	}
	defer sel.q.Close()
	sets := sel.matchers
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	all := []string{}
	var warnings annotations.Annotations
	for _, ms := range sets {
		vals, w, err := ask(sel, ms)
		warnings.Merge(w)
		if err != nil {
			return result{warnings: warnings}, err
		}
		for _, v := range vals {
			all = append(all, strings.Clone(v)) // they live in the querier
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if sel.limit > 0 && len(all) > sel.limit {
		all = all[:sel.limit]
		warnings = warnings.Add(errors.New("results truncated due to limit"))
	}
	return result{all, warnings}, nil
}
