package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// maxReason bounds the label of a rebirth request, in bytes.
const maxReason = 64

// loadDevices learns from the counters which devices each node has.
func (s *Store) loadDevices(ctx context.Context) error {
	rows, err := s.write.QueryContext(ctx, "SELECT DISTINCT grp, node, device FROM counter WHERE device <> ''")
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var g, n, d string
		if err := rows.Scan(&g, &n, &d); err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
		s.addDevice(g, n, d)
	}
	return rows.Err()
}

func (s *Store) addDevice(group, node, device string) {
	k := nodeKey{group, node}
	if s.devices[k] == nil {
		s.devices[k] = map[string]bool{}
	}
	s.devices[k][device] = true
}

// Record stores events; see history.Writer.
func (s *Store) Record(ctx context.Context, events ...history.Event) error {
	for i := range events {
		if err := checkEvent(&events[i]); err != nil {
			return err
		}
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	b := s.begin(ctx)
	var err error
	for i := range events {
		if err = b.record(&events[i]); err != nil {
			break
		}
	}
	if err = b.end(err); err != nil {
		for _, g := range s.gauges {
			g.loaded = false
		}
	}
	return err
}

// checkEvent refuses what could not be a label.
func checkEvent(ev *history.Event) error {
	if !ev.Kind.Known() {
		return fmt.Errorf("embedded: event of unknown kind %q", ev.Kind)
	}
	k := history.Key{Group: ev.Group, Node: ev.Node, Device: ev.Device, Metric: "-"}
	if ev.Kind == history.STATE {
		k.Group = "-"
	}
	return k.Check()
}

func (b *batch) record(ev *history.Event) error {
	if err := b.begun(); err != nil {
		return err
	}
	res, err := b.tx.ExecContext(b.ctx, "INSERT INTO event (at, grp, node, device, kind, bdseq, detail) VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
		ev.At, ev.Group, ev.Node, ev.Device, string(ev.Kind), int64(ev.BdSeq), ev.Detail)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	at := min(ev.At, b.limit) // one wrong clock must not lift the head of all
	switch ev.Kind {
	case history.NBIRTH, history.DBIRTH:
		return errors.Join(b.count(ev, history.MetricBirths, "", at), b.online(ev, math.Float64bits(1), at))
	case history.NDEATH, history.DDEATH:
		return errors.Join(b.count(ev, history.MetricDeaths, "", at), b.online(ev, 0, at))
	case history.STALE:
		return b.online(ev, staleBits, at)
	case history.REBIRTH:
		reason := strings.ToValidUTF8(ev.Detail[:min(len(ev.Detail), maxReason)], "")
		return b.count(ev, history.MetricRebirths, reason, at)
	case history.STATE:
		up := 0.0
		if ev.Detail == "online" {
			up = 1
		}
		return b.event(labels.FromStrings(model.MetricNameLabel, history.MetricHostOnline, history.LabelHost, ev.Node), math.Float64bits(up), at)
	}
	return nil
}

// online notes whether a node or device is online; what ends a node ends its
// devices.
func (b *batch) online(ev *history.Event, bits uint64, at int64) error {
	if ev.Device != "" {
		b.s.addDevice(ev.Group, ev.Node, ev.Device)
	}
	if err := b.event(placeLabels(history.MetricOnline, ev.Group, ev.Node, ev.Device, ""), bits, at); err != nil {
		return err
	}
	if ev.Device != "" || ev.Kind == history.NBIRTH {
		return nil
	}
	for _, d := range slices.Sorted(maps.Keys(b.s.devices[nodeKey{ev.Group, ev.Node}])) {
		if err := b.event(placeLabels(history.MetricOnline, ev.Group, ev.Node, d, ""), bits, at); err != nil {
			return err
		}
	}
	return nil
}

func placeLabels(name, group, node, device, reason string) labels.Labels {
	m := map[string]string{model.MetricNameLabel: name, history.LabelGroup: group, history.LabelNode: node}
	if device != "" {
		m[history.LabelDevice] = device
	}
	if reason != "" {
		m[history.LabelReason] = reason
	}
	return labels.FromMap(m)
}

// count adds one to a counter, which SQLite remembers over restarts.
func (b *batch) count(ev *history.Event, name, reason string, at int64) error {
	var n int64
	err := b.tx.QueryRowContext(b.ctx, `INSERT INTO counter (name, grp, node, device, reason, n) VALUES (?,?,?,?,?,1)
		ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n`, name, ev.Group, ev.Node, ev.Device, reason).Scan(&n)
	if err != nil {
		return fmt.Errorf("counter: %w", err)
	}
	return b.event(placeLabels(name, ev.Group, ev.Node, ev.Device, reason), math.Float64bits(float64(n)), at)
}

// event writes a sample of a series that events make, 1 ms after the last one
// if that is later: two events of one millisecond both count.
func (b *batch) event(l labels.Labels, bits uint64, at int64) error {
	name := l.String()
	g := b.s.gauges[name]
	if g == nil {
		g = &gauge{labels: l}
		b.s.gauges[name] = g
	}
	if !g.loaded {
		ts, last, ok, err := b.s.lastSample(b.ctx, l, math.MaxInt64)
		if err != nil {
			return err
		}
		g.loaded, g.last, g.bits = true, ts, last
		if !ok {
			g.last, g.bits = math.MinInt64, staleBits
		}
	}
	if g.bits == bits && value.IsStaleNaN(math.Float64frombits(bits)) {
		return nil
	}
	if g.last != math.MinInt64 {
		at = max(at, g.last+1)
	}
	return b.gaugeAt(g, at, bits)
}

// MarkAll ends every series that has a value at its end; see history.Marker.
func (s *Store) MarkAll(ctx context.Context, at int64) (int, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if at <= 0 {
		at = s.newest
	}
	b := s.begin(ctx)
	at = min(at, b.limit)
	var err error
	for _, e := range s.list {
		if e == nil {
			continue
		}
		if !e.loaded {
			if err = s.loadSeries(ctx, e); err != nil {
				break
			}
		}
		if e.open {
			if err = b.mark(e, at); err != nil {
				break
			}
		}
	}
	if err = b.end(err); err != nil {
		for _, e := range s.list {
			if e != nil {
				e.loaded = false
			}
		}
		return 0, err
	}
	s.count(b.res)
	return b.res.Markers, nil
}
