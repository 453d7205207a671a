package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// gauge is a series of the TSDB that goes with a metric, node or host.
type gauge struct {
	labels labels.Labels
	ref    storage.SeriesRef
	loaded bool
	last   int64 // ms; math.MinInt64 when there is none
	bits   uint64
}

// span says which datatype the numbers of a series have from a time on.
type span struct {
	since int64
	typ   sparkplug.DataType
}

// series is one metric. The upper half is guarded by Store.mu, the lower is
// the writer's own.
type series struct {
	id        int64
	key       history.Key
	meta      history.Meta
	firstSeen int64
	changedAt int64
	spans     []span
	labels    labels.Labels
	quality   *gauge // nil for a series that was never anything but good

	ref       storage.SeriesRef
	loaded    bool   // the fields below are known
	last      int64  // time of the newest sample or marker; math.MinInt64 when there is none
	bits      uint64 // what the TSDB has there; of meaning if inTSDB
	inTSDB    bool   // the newest is in the TSDB
	open      bool   // the newest is a value
	numOpen   bool   // the newest in the TSDB is a value
	numeric   bool   // the TSDB may have something
	lastQ     uint16
	qKnown    bool  // lastQ is what the quality series ends with
	info      gauge // of the newest birth
	oldInfo   labels.Labels
	infoDirty bool
	isDirty   bool
}

// typeAt is the datatype of the numbers at ts.
func (e *series) typeAt(ts int64) sparkplug.DataType { return typeOf(e.spans, ts) }

func typeOf(spans []span, ts int64) sparkplug.DataType {
	t := sparkplug.TypeUnknown
	for i := range spans {
		if spans[i].since > ts {
			break
		}
		t = spans[i].typ
	}
	return t
}

func keyLabels(name string, k history.Key, more ...string) labels.Labels {
	b := labels.NewScratchBuilder(8)
	b.Add(model.MetricNameLabel, name)
	add := func(name, v string) {
		if v != "" {
			b.Add(name, v)
		}
	}
	add(history.LabelGroup, k.Group)
	add(history.LabelNode, k.Node)
	add(history.LabelDevice, k.Device)
	add(history.LabelMetric, k.Metric)
	for i := 0; i < len(more); i += 2 {
		add(more[i], more[i+1])
	}
	b.Sort()
	return b.Labels()
}

func valueLabels(k history.Key) labels.Labels { return keyLabels(history.MetricValue, k) }

func qualityLabels(k history.Key) labels.Labels { return keyLabels(history.MetricQuality, k) }

func infoLabels(k history.Key, m history.Meta) labels.Labels {
	return keyLabels(history.MetricInfo, k, history.LabelType, m.Type.String(),
		history.LabelUnit, strings.ToValidUTF8(m.Unit, "\uFFFD"), history.LabelTemplate, strings.ToValidUTF8(m.Template, "\uFFFD"))
}

// Series resolves a key; see history.Writer. The catalogue is written with the
// next batch, together with the first samples.
func (s *Store) Series(_ context.Context, key history.Key, meta history.Meta) (history.Series, error) {
	s.mu.RLock()
	e := s.index[key]
	same := e != nil && e.meta == meta
	s.mu.RUnlock()
	if same {
		return history.Series(e.id), nil
	}
	if err := key.Check(); err != nil {
		return 0, err
	}
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now().UnixMilli()
	meta.Unit, meta.Properties, meta.Template = strings.Clone(meta.Unit), strings.Clone(meta.Properties), strings.Clone(meta.Template)
	if e = s.index[key]; e != nil {
		if !e.infoDirty {
			e.oldInfo = infoLabels(e.key, e.meta)
		}
		e.meta, e.changedAt, e.infoDirty = meta, now, true
		s.soil(e)
		return history.Series(e.id), nil
	}
	if s.perNode[nodeKey{key.Group, key.Node}] >= s.cfg.SeriesPerNode {
		s.stats.Refused++
		return 0, fmt.Errorf("embedded: node %q of group %q has %d series: %w", key.Node, key.Group, s.cfg.SeriesPerNode, history.ErrQuota)
	}
	key = history.Key{Group: strings.Clone(key.Group), Node: strings.Clone(key.Node), Device: strings.Clone(key.Device), Metric: strings.Clone(key.Metric)}
	e = &series{
		id: int64(len(s.list)) + 1, key: key, meta: meta, firstSeen: now, changedAt: now,
		labels: valueLabels(key), loaded: true, last: math.MinInt64, infoDirty: true,
	}
	e.info.loaded = true
	s.addLocked(e)
	s.soil(e)
	return history.Series(e.id), nil
}

func (s *Store) soil(e *series) {
	if !e.isDirty {
		e.isDirty = true
		s.dirty = append(s.dirty, e)
	}
}

func (s *Store) add(e *series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(e)
}

// addLocked puts e into the index. Handles are row ids, counted from 1 without
// gaps since series are never removed.
func (s *Store) addLocked(e *series) {
	for int64(len(s.list)) < e.id {
		s.list = append(s.list, nil)
	}
	s.list[e.id-1] = e
	s.index[e.key] = e
	s.perNode[nodeKey{e.key.Group, e.key.Node}]++
}

// byID returns the series of a handle, nil for an unknown one.
func (s *Store) byID(h history.Series) *series {
	if h == 0 || h > history.Series(len(s.list)) {
		return nil
	}
	return s.list[h-1]
}

// saveSeries writes the dirty series within tx. They stay dirty until clean.
func (s *Store) saveSeries(ctx context.Context, tx *sql.Tx) error {
	if len(s.dirty) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO series
		(id, grp, node, device, metric, type, unit, properties, template, first_seen, changed_at, has_quality)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET type=excluded.type, unit=excluded.unit, properties=excluded.properties,
		template=excluded.template, changed_at=excluded.changed_at, has_quality=excluded.has_quality`)
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	defer stmt.Close()
	for _, e := range s.dirty {
		_, err := stmt.ExecContext(ctx, e.id, e.key.Group, e.key.Node, e.key.Device, e.key.Metric, int(e.meta.Type),
			e.meta.Unit, e.meta.Properties, e.meta.Template, e.firstSeen, e.changedAt, e.quality != nil)
		if err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
	}
	return nil
}

// clean forgets the dirty series once they are committed.
func (s *Store) clean() {
	for _, e := range s.dirty {
		e.isDirty = false
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

func (s *Store) flushCatalog(ctx context.Context) error {
	if len(s.dirty) == 0 {
		return nil
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	if err := s.saveSeries(ctx, tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	s.clean()
	return nil
}
