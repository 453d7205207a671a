package embedded

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// infoEvery is how often, in ms of a series' own time, its info sample is
// written again, so that the retention never takes the only one.
const infoEvery = 24 * 60 * 60 * 1000

// mark ends a series at ts, or right after its newest sample.
func (b *batch) mark(e *series, ts int64) error {
	if !e.open {
		b.res.Duplicates++
		return nil
	}
	ts = max(ts, e.last+1)
	if e.numOpen {
		if _, err := b.put(e, ts, staleBits, nil); err != nil {
			return err
		}
		b.accepted = append(b.accepted, accepted{e, ts, staleBits})
	} else if _, err := b.insertRow(e, &row{ts: ts, kind: rowStale, quality: history.QualityStale}); err != nil {
		return err
	}
	if e.quality != nil {
		if err := b.gaugeAt(e.quality, ts, staleBits); err != nil {
			return err
		}
		e.qKnown = false
	}
	e.last, e.bits, e.inTSDB, e.open, e.numOpen = ts, staleBits, e.numOpen, false, false
	b.res.Markers++
	return nil
}

// qualityAt notes the quality of the newest sample if it changed.
func (b *batch) qualityAt(e *series, ts int64, q uint16) error {
	if e.quality == nil {
		b.s.mu.Lock()
		e.quality = &gauge{labels: qualityLabels(e.key), loaded: true}
		b.s.mu.Unlock()
		b.s.soil(e)
	}
	if e.qKnown && e.lastQ == q {
		return nil
	}
	e.lastQ, e.qKnown = q, true
	return b.gaugeAt(e.quality, ts, math.Float64bits(float64(q)))
}

// gaugeAt writes a companion series. What is too old for the head is left out:
// it only repeats what rows know.
func (b *batch) gaugeAt(g *gauge, ts int64, bits uint64) error {
	ref, err := b.app.Append(g.ref, g.labels, 0, ts, math.Float64frombits(bits), nil, nil, storage.AOptions{})
	switch {
	case err == nil:
		g.ref, g.last, g.bits = ref, ts, bits
		return nil
	case errors.Is(err, storage.ErrTooOldSample) || errors.Is(err, storage.ErrOutOfBounds) ||
		errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return nil
	}
	return fmt.Errorf("sample of %s at %d: %w", g.labels, ts, err)
}

// infoAt writes the info series when the birth changed, and once a day.
func (b *batch) infoAt(e *series, ts int64) error {
	if !e.infoDirty && ts-e.info.last < infoEvery {
		return nil
	}
	if e.info.last == 0 || e.infoDirty {
		e.info = gauge{labels: infoLabels(e.key, e.meta), loaded: true}
	}
	if e.oldInfo.Len() > 0 && !labels.Equal(e.oldInfo, e.info.labels) {
		old := gauge{labels: e.oldInfo}
		if err := b.gaugeAt(&old, ts, staleBits); err != nil {
			return err
		}
	}
	e.oldInfo, e.infoDirty = labels.EmptyLabels(), false
	return b.gaugeAt(&e.info, ts, math.Float64bits(1))
}

// changeType notes that the numbers of e are of type t from ts on.
func (b *batch) changeType(e *series, ts int64, t sparkplug.DataType) error {
	if len(e.spans) == 0 {
		ts = math.MinInt64
	}
	if err := b.begun(); err != nil {
		return err
	}
	_, err := b.tx.ExecContext(b.ctx, "INSERT INTO span (series, since, type) VALUES (?,?,?) ON CONFLICT DO UPDATE SET type=excluded.type",
		e.id, ts, int(t))
	if err != nil {
		return err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	e.spans = append(e.spans[:len(e.spans):len(e.spans)], span{ts, t})
	return nil
}
