package hostapp

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// asideNode sums up what is in quarantine of an edge node.
type asideNode struct {
	Group         string `json:"group"`
	Node          string `json:"node"`
	Samples       int    `json:"samples"`
	From          stamp  `json:"from"` // their own times
	To            stamp  `json:"to"`
	ReceivedFirst stamp  `json:"received_first"`
	ReceivedLast  stamp  `json:"received_last"`
}

type asideSample struct {
	Group     string          `json:"group"`
	Node      string          `json:"node"`
	Device    string          `json:"device"`
	Metric    string          `json:"metric"`
	Timestamp stamp           `json:"timestamp"`
	Received  stamp           `json:"received"`
	DataType  string          `json:"datatype"`
	Value     json.RawMessage `json:"value"`
	Quality   uint16          `json:"quality"`
}

// asideOf names the edge node that is released or dropped.
type asideOf struct {
	Group string `json:"group"`
	Node  string `json:"node"`
}

func (o asideOf) check() error {
	if !sparkplug.ValidID(o.Group) || !sparkplug.ValidID(o.Node) {
		return refuse(422, "group %q and node %q: name both", o.Group, o.Node)
	}
	return nil
}

func (h *Host) quarantine() (history.Quarantine, error) {
	q, ok := h.cfg.History.(history.Quarantine)
	if !ok {
		return nil, refuse(404, "this host has no history that puts samples aside")
	}
	return q, nil
}

// countParam is a parameter of a query: a number from 0 to most.
func countParam(r *http.Request, name string, missing, most int) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most {
		return 0, refuse(400, "%s: %q is not in 0 to %d", name, s, most)
	}
	return n, nil
}

// mostAside bounds the samples of one answer.
const mostAside = 10_000

func (h *Host) getQuarantine(w http.ResponseWriter, r *http.Request) error {
	q, err := h.quarantine()
	if err != nil {
		return err
	}
	limit, err := countParam(r, "limit", 100, mostAside)
	if err != nil {
		return err
	}
	skip, err := countParam(r, "offset", 0, math.MaxInt32)
	if err != nil {
		return err
	}
	out := struct {
		Nodes   []*asideNode  `json:"nodes"`
		Samples []asideSample `json:"samples"`
	}{[]*asideNode{}, []asideSample{}}
	byNode := map[[2]string]*asideNode{}
	err = q.Quarantined(r.Context(), history.Filter{Group: r.FormValue("group"), Node: r.FormValue("node")}, func(x history.Quarantined) bool {
		at, got := stamp(x.Sample.Timestamp), stamp(x.Received)
		n := byNode[[2]string{x.Key.Group, x.Key.Node}]
		if n == nil {
			n = &asideNode{Group: x.Key.Group, Node: x.Key.Node, From: at, To: at, ReceivedFirst: got}
			byNode[[2]string{x.Key.Group, x.Key.Node}] = n
			out.Nodes = append(out.Nodes, n)
		}
		n.Samples++
		n.From, n.To, n.ReceivedLast = min(n.From, at), max(n.To, at), got
		if skip > 0 {
			skip--
		} else if len(out.Samples) < limit {
			out.Samples = append(out.Samples, asideSample{
				x.Key.Group, x.Key.Node, x.Key.Device, x.Key.Metric, at, got,
				x.Sample.Value.Type().String(), sparkplug.AppendJSON(nil, x.Sample.Value), x.Sample.Quality,
			})
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("the quarantine cannot be read: %w", err)
	}
	slices.SortFunc(out.Nodes, func(a, b *asideNode) int { return slices.Compare([]string{a.Group, a.Node}, []string{b.Group, b.Node}) })
	return writeJSON(w, http.StatusOK, out)
}

func (h *Host) postRelease(w http.ResponseWriter, r *http.Request) error {
	q, err := h.quarantine()
	if err != nil {
		return err
	}
	var of struct {
		asideOf
		ShiftMs int64 `json:"shift_ms"`
	}
	if err := readBody(r.Body, &of, `{"group": G, "node": E, "shift_ms": N}`); err != nil {
		return err
	}
	if err := of.check(); err != nil {
		return err
	}
	res, err := q.Release(r.Context(), of.Group, of.Node, of.ShiftMs)
	if err != nil {
		return fmt.Errorf("not all could be released, which can be tried again: %w", err)
	}
	h.cfg.Log.Info("quarantine released", "group", of.Group, "node", of.Node, "shift_ms", of.ShiftMs, "stored", res.Written, "known", res.Duplicates, "conflicts", res.Conflicts)
	return writeJSON(w, http.StatusOK, struct {
		Stored     int `json:"stored"`
		Duplicates int `json:"duplicates"`
		Conflicts  int `json:"conflicts"`
		Expired    int `json:"expired"`
	}{res.Written + res.Markers, res.Duplicates, res.Conflicts, res.Expired})
}

func (h *Host) postDiscard(w http.ResponseWriter, r *http.Request) error {
	q, err := h.quarantine()
	if err != nil {
		return err
	}
	var of asideOf
	if err := readBody(r.Body, &of, `{"group": G, "node": E}`); err != nil {
		return err
	}
	if err := of.check(); err != nil {
		return err
	}
	n, err := q.Discard(r.Context(), of.Group, of.Node)
	if err != nil {
		return fmt.Errorf("the quarantine cannot be written: %w", err)
	}
	h.cfg.Log.Warn("quarantine dropped", "group", of.Group, "node", of.Node, "samples", n)
	return writeJSON(w, http.StatusOK, struct {
		Dropped int `json:"dropped"`
	}{n})
}
