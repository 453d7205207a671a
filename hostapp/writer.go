package hostapp

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// pointsAtOnce is the most points that one write to the store has.
const pointsAtOnce = 16384

// bornPatience is how long a device of a node that was born anew may take to
// be born itself, before its series end.
const bornPatience = 30 * time.Second

// kept is what the writer knows of a node or device.
type kept struct {
	place
	form    *form
	series  []history.Series          // by slot; 0: not stored
	members map[string]history.Series // of templates, by full name
	sent    int64                     // payload time of the last birth
	// closed is the time of the stale marker that its series end with, in the
	// node's clock; 0 when they are open, firstSight when only the store knows.
	closed int64
	// reopen is what closed was before the last birth.
	reopen int64
	gone   int64 // when to close, in the host's clock, unless it is born before; 0: not
	goneAt int64 // the marker's time then
}

const firstSight = -1

// historyWriter turns rows and marks into points and events for one store. It
// belongs to one goroutine.
type historyWriter struct {
	store  history.Writer
	reader history.Reader // store, if it can be asked
	log    *slog.Logger
	fresh  bool // the store was empty when the host started
	kept   map[uint32]*kept
	going  []*kept // those with gone set
	points []history.Point
	events []history.Event

	refused atomic.Uint64 // series the store did not take
}

func newHistoryWriter(store history.Writer, c Config) *historyWriter {
	r, _ := store.(history.Reader)
	return &historyWriter{store: store, reader: r, log: c.Log, kept: map[uint32]*kept{}}
}

// started begins with the first record of a host's run: it ends the series that
// a host before it left open.
func (w *historyWriter) started(ctx context.Context) error {
	w.closeGone(0, true)
	if err := w.flush(ctx); err != nil {
		return err
	}
	clear(w.kept)
	w.fresh = false
	if w.reader == nil {
		return nil
	}
	fresh := true
	err := w.reader.Catalog(ctx, history.Filter{Limit: 1}, func(history.Entry) bool {
		fresh = false
		return false
	})
	if m, ok := w.store.(history.Marker); ok && err == nil && !fresh {
		_, err = m.MarkAll(ctx, 0)
	}
	w.fresh = fresh && err == nil
	return err
}

// write stores a load. After an error the same load is to be given again: it
// goes on where it stopped.
func (w *historyWriter) write(ctx context.Context, l *load) error {
	for l.rowsDone < len(l.rows) || l.marksDone < len(l.marks) {
		if len(w.points) >= pointsAtOnce {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
		if l.marksDone < len(l.marks) && l.marks[l.marksDone].before <= l.rowsDone {
			if err := w.mark(ctx, &l.marks[l.marksDone]); err != nil {
				return err
			}
			l.marksDone++
			continue
		}
		if err := w.row(ctx, &l.rows[l.rowsDone]); err != nil {
			return err
		}
		l.rowsDone++
	}
	w.closeGone(l.at, false)
	return w.flush(ctx)
}

func (w *historyWriter) flush(ctx context.Context) error {
	if len(w.points) > 0 {
		if _, err := w.store.Write(ctx, w.points); err != nil {
			return err
		}
		clear(w.points)
		w.points = w.points[:0]
	}
	if len(w.events) > 0 {
		if err := w.store.Record(ctx, w.events...); err != nil {
			return err
		}
		w.events = w.events[:0]
	}
	return nil
}

// mark applies what is not a sample. On an error it has changed nothing.
func (w *historyWriter) mark(ctx context.Context, m *mark) error {
	k := w.kept[m.entity]
	switch m.kind {
	case markStarted:
		if err := w.started(ctx); err != nil {
			return err
		}
	case markEnded:
		w.closeGone(0, true)
	case markBorn:
		k, err := w.known(ctx, m)
		if err != nil {
			return err
		}
		k.sent, k.reopen, k.closed, k.gone = m.sent, k.closed, 0, 0
	case markKnown:
		if _, err := w.known(ctx, m); err != nil {
			return err
		}
	case markGone:
		if k != nil {
			w.close(k, m.sent)
		}
	case markAway:
		if k == nil {
			break
		}
		if k.gone == 0 && k.closed <= 0 {
			w.going = append(w.going, k)
		}
		k.gone, k.goneAt = m.at+bornPatience.Milliseconds(), m.sent
	}
	if m.event.Kind != "" {
		w.events = append(w.events, m.event)
	}
	return nil
}

// known resolves the series of what a birth has declared.
func (w *historyWriter) known(ctx context.Context, m *mark) (*kept, error) {
	k := w.kept[m.entity]
	if k == nil {
		k = &kept{place: m.place, closed: firstSight}
		if w.fresh {
			k.closed = 0
		}
	}
	if k.form != m.form {
		series := make([]history.Series, len(m.form.defs))
		for i := range series {
			d := &m.form.defs[i]
			if !storable(d) {
				continue
			}
			s, err := w.resolve(ctx, k.key(d.Name), metaOf(d))
			if err != nil {
				return nil, err
			}
			series[i] = s
		}
		k.form, k.series = m.form, series
	}
	w.kept[m.entity] = k
	return k, nil
}

// resolve returns 0 for a series that the store refuses.
func (w *historyWriter) resolve(ctx context.Context, key history.Key, meta history.Meta) (history.Series, error) {
	s, err := w.store.Series(ctx, key, meta)
	_, bad := errors.AsType[*history.KeyError](err)
	if bad || errors.Is(err, history.ErrQuota) {
		if w.refused.Add(1) == 1 {
			w.log.Warn("history refuses a series; more are counted", "group", key.Group, "node", key.Node,
				"device", key.Device, "metric", key.Metric, "err", err)
		}
		return 0, nil
	}
	return s, err
}

// closeGone closes the devices that did not come back in time, or all.
func (w *historyWriter) closeGone(now int64, all bool) {
	waiting := w.going[:0]
	for _, k := range w.going {
		switch {
		case k.gone == 0: // born again, or closed
		case all || now >= k.gone:
			w.close(k, k.goneAt)
		default:
			waiting = append(waiting, k)
		}
	}
	clear(w.going[len(waiting):])
	w.going = waiting
}

// close ends all series of a node or device.
func (w *historyWriter) close(k *kept, at int64) {
	k.gone = 0
	if k.closed > 0 {
		return
	}
	k.closed = max(at, 1)
	for _, s := range k.series {
		if s != 0 {
			w.points = append(w.points, history.Point{Series: s, Timestamp: at, Quality: history.QualityStale, Stale: true})
		}
	}
	for _, s := range k.members {
		if s != 0 {
			w.points = append(w.points, history.Point{Series: s, Timestamp: at, Quality: history.QualityStale, Stale: true})
		}
	}
}

// row adds the points of one sample.
func (w *historyWriter) row(ctx context.Context, r *row) error {
	k := w.kept[r.entity]
	if k == nil || int(r.slot) >= len(k.series) {
		return nil
	}
	if t := r.value.Template(); t != nil {
		return w.template(ctx, k, k.form.defs[r.slot].Name, t, r, 0)
	}
	if s := k.series[r.slot]; s != 0 {
		return w.point(ctx, k, k.form.defs[r.slot].Name, s, r.value, r)
	}
	return nil
}

// point adds one sample. A birth's value that is older than the marker its
// series ends with would stay hidden, so it is stored at the birth's time too.
func (w *historyWriter) point(ctx context.Context, k *kept, name string, s history.Series, v sparkplug.Value, r *row) error {
	again := false
	if r.birth && !r.historical && !v.IsNull() && r.time < k.sent {
		switch {
		case k.reopen > 0:
			again = r.time <= k.reopen
		case k.reopen == firstSight && w.reader != nil:
			before, ok, err := w.reader.LastBefore(ctx, k.key(name), k.sent)
			if err != nil {
				return err
			}
			again = ok && before.Stale && r.time <= before.Timestamp
		}
	}
	p := history.Point{Series: s, Timestamp: r.time, Value: v, Quality: r.quality, Historical: r.historical}
	w.points = append(w.points, p)
	if again {
		p.Timestamp = max(k.sent, k.reopen+1)
		w.points = append(w.points, p)
	}
	return nil
}

// template adds the members of a template instance, "instance/member".
func (w *historyWriter) template(ctx context.Context, k *kept, name string, t *sparkplug.Template, r *row, depth int) error {
	const deepest = 16
	if t.IsDefinition || depth > deepest {
		return nil
	}
	for i := range t.Metrics {
		m := &t.Metrics[i]
		full := name + "/" + m.Name
		if inner := m.Value.Template(); inner != nil {
			if err := w.template(ctx, k, full, inner, r, depth+1); err != nil {
				return err
			}
			continue
		}
		if m.Value.Type() == sparkplug.TypeUnknown || m.Name == "" {
			continue
		}
		s, ok := k.members[full]
		if !ok {
			var err error
			s, err = w.resolve(ctx, k.key(full), history.Meta{Type: m.Value.Type(), Template: t.Ref})
			if err != nil {
				return err
			}
			if k.members == nil {
				k.members = map[string]history.Series{}
			}
			k.members[full] = s
		}
		if s == 0 {
			continue
		}
		at := *r
		if m.HasTimestamp {
			at.time = m.Timestamp
		}
		if err := w.point(ctx, k, full, s, m.Value, &at); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) key(metric string) history.Key {
	return history.Key{Group: k.group, Node: k.node, Device: k.device, Metric: metric}
}

// storable says whether the values of a metric are kept: not those that only
// steer the session, and templates by their members.
func storable(d *session.Def) bool {
	switch {
	case d.Name == sparkplug.MetricBdSeq, d.Transient, d.Type == sparkplug.TypeTemplate:
		return false
	}
	return !strings.HasPrefix(d.Name, "Node Control/")
}

// metaOf is what the catalogue keeps of a declared metric.
func metaOf(d *session.Def) history.Meta {
	m := history.Meta{Type: d.Type}
	if d.Properties == nil || len(d.Properties.Keys) == 0 {
		return m
	}
	m.Properties = string(sparkplug.AppendPropertiesJSON(nil, d.Properties))
	for _, key := range [...]string{"engUnit", "EngUnit", "unit", "Unit", "units"} {
		if p, ok := d.Properties.Get(key); ok && p.Value.Str() != "" {
			m.Unit = p.Value.Str()
			break
		}
	}
	return m
}
