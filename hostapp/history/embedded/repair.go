package embedded

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdbindex "github.com/prometheus/prometheus/tsdb/index"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Damaged implements history.Mender. What was damaged is in the folder "damaged"
// of the store, as far as it could not stay.
func (s *Store) Damaged() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.damaged
}

// Mended implements history.Mender.
func (s *Store) Mended() {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = nil
}

// outside says whether an error has its cause outside of the files: then they
// stay where they are.
func outside(err error) bool {
	for _, no := range []syscall.Errno{
		syscall.EAGAIN, syscall.EACCES, syscall.EPERM, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EIO,
		syscall.EROFS, syscall.ENOMEM, syscall.EINTR,
	} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// openTSDB opens the TSDB; what keeps it from opening is moved aside. It returns
// in words what was damaged.
func openTSDB(cfg Config, log *slog.Logger) (db *tsdb.DB, damaged []string, err error) {
	for step := range 4 {
		var parts []string
		switch step {
		case 1:
			parts = badBlocks(cfg.Dir)
		case 2:
			parts = []string{"tsdb/wal", "tsdb/wbl", "tsdb/chunks_head"}
		case 3:
			parts = []string{"tsdb"}
		}
		if parts != nil {
			to, moveErr := setAside(cfg.Dir, cfg.Now(), parts...)
			if moveErr != nil {
				return nil, nil, errors.Join(err, moveErr)
			}
			damaged = append(damaged, fmt.Sprintf("tsdb: %v: moved to %s", err, to))
		}
		registry := prometheus.NewRegistry()
		db, err = tsdb.Open(filepath.Join(cfg.Dir, "tsdb"), log, registry, tsdbOptions(cfg), nil)
		if err == nil {
			if n := corruptions(registry); n > 0 {
				damaged = append(damaged, "tsdb: the write-ahead log was damaged and is cut off there")
			}
			return db, damaged, nil
		}
		if outside(err) {
			break
		}
	}
	return nil, nil, err
}

// badBlocks are the blocks that cannot be opened, below the store's folder.
func badBlocks(dir string) (bad []string) {
	for _, name := range blockDirs(filepath.Join(dir, "tsdb")) {
		b, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), filepath.Join(dir, "tsdb", name), nil, nil)
		if err != nil {
			bad = append(bad, filepath.Join("tsdb", name))
			continue
		}
		_ = b.Close() // read only
	}
	return bad
}

// readBlock reads all of a block: each series and chunk has a checksum.
func readBlock(dir string) (size int64, err error) {
	b, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), dir, nil, nil)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	index, err := b.Index()
	if err != nil {
		return b.Size(), err
	}
	defer index.Close()
	data, err := b.Chunks()
	if err != nil {
		return b.Size(), err
	}
	defer data.Close()
	name, value := tsdbindex.AllPostingsKey()
	all, err := index.Postings(context.Background(), name, value)
	if err != nil {
		return b.Size(), err
	}
	var builder labels.ScratchBuilder
	var metas []chunks.Meta
	n := uint64(0)
	for ; all.Next(); n++ {
		if err := index.Series(all.At(), &builder, &metas); err != nil {
			return b.Size(), err
		}
		for _, m := range metas {
			if _, _, err := data.ChunkOrIterable(m); err != nil {
				return b.Size(), err
			}
		}
	}
	if want := b.Meta().Stats.NumSeries; all.Err() == nil && n != want {
		return b.Size(), fmt.Errorf("%d series of %d", n, want)
	}
	return b.Size(), errors.Join(all.Err(), readPostings(index))
}

// readPostings reads which series have which labels.
func readPostings(index tsdb.IndexReader) error {
	ctx := context.Background()
	names, err := index.LabelNames(ctx)
	for _, name := range names {
		if err != nil {
			break
		}
		var values []string
		values, err = index.LabelValues(ctx, name, nil)
		for _, v := range values {
			if err != nil {
				break
			}
			var some tsdbindex.Postings
			if some, err = index.Postings(ctx, name, v); err == nil {
				for some.Next() { //nolint:revive // to its end
				}
				err = some.Err()
			}
		}
	}
	return err
}

// corruptions is how often the TSDB has found damage while it was opened.
func corruptions(r *prometheus.Registry) (n float64) {
	all, err := r.Gather()
	if err != nil {
		return 0
	}
	for _, f := range all {
		switch f.GetName() {
		case "prometheus_tsdb_wal_corruptions_total", "prometheus_tsdb_mmap_chunk_corruptions_total":
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// catalogWAL is the catalogue's write-ahead log.
const catalogWAL = "catalog.db-wal"

// mendCatalog opens the catalogue; a damaged one is moved aside for an empty one.
func mendCatalog(ctx context.Context, cfg Config, distrusted bool) (write, read *sql.DB, damaged string, err error) {
	if !distrusted {
		write, read, err = openCatalog(ctx, cfg.Dir)
		if err == nil {
			if err = quickCheck(ctx, cfg.Dir, write); err == nil {
				return write, read, "", nil
			}
			err = errors.Join(err, read.Close(), write.Close())
		}
		if outside(err) || errors.Is(err, errNewer) {
			return nil, nil, "", err
		}
	}
	to, moveErr := setAside(cfg.Dir, cfg.Now(), "catalog.db", catalogWAL, "catalog.db-shm")
	if moveErr != nil {
		return nil, nil, "", errors.Join(err, moveErr)
	}
	damaged = "catalog.db: moved to " + to
	if err != nil {
		damaged = fmt.Sprintf("catalog.db: %v: moved to %s", err, to)
	}
	write, read, err = openCatalog(ctx, cfg.Dir)
	return write, read, damaged, err
}

// quickCheck has SQLite look through a catalogue that is not too large for that.
func quickCheck(ctx context.Context, dir string, db *sql.DB) error {
	if info, err := os.Stat(filepath.Join(dir, "catalog.db")); err != nil || info.Size() > 4*verifyBytes {
		return err
	}
	var said string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return fmt.Errorf("quick_check: %s", said)
	}
	return nil
}

// recall fills the index of a store whose catalogue is lost from what the TSDB
// knows: keys, datatypes, units.
func (s *Store) recall(ctx context.Context) error {
	q, err := s.db.Querier(0, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("embedded: recall: %w", err)
	}
	defer q.Close()
	named := func(name string) *labels.Matcher {
		return labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name)
	}
	type info struct {
		from, to int64
		meta     history.Meta
	}
	infos := map[history.Key][]info{}
	set := q.Select(ctx, false, nil, named(history.MetricInfo))
	for set.Next() {
		l := set.At().Labels()
		typ, _ := sparkplug.ParseDataType(l.Get(history.LabelType))
		i := info{from: math.MaxInt64, to: math.MinInt64, meta: history.Meta{Type: typ, Unit: l.Get(history.LabelUnit), Template: l.Get(history.LabelTemplate)}}
		for it := set.At().Iterator(nil); it.Next() != 0; {
			ts := it.AtT()
			i.from, i.to = min(i.from, ts), max(i.to, ts)
		}
		infos[keyOf(l)] = append(infos[keyOf(l)], i)
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("embedded: recall: %w", err)
	}
	now := s.cfg.Now().UnixMilli()
	keys := make([]history.Key, 0, len(infos))
	for k := range infos {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b history.Key) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Metric, b.Metric))
	})
	for _, k := range keys {
		all := infos[k]
		slices.SortFunc(all, func(a, b info) int { return cmp.Compare(a.from, b.from) })
		newest := all[len(all)-1]
		e := &series{
			id: int64(len(s.list)) + 1, key: k, meta: newest.meta, firstSeen: all[0].from, changedAt: now,
			labels: valueLabels(k), last: math.MinInt64,
		}
		since := int64(0) // also of samples before the first birth that is known
		for _, i := range all {
			if len(e.spans) == 0 || e.spans[len(e.spans)-1].typ != i.meta.Type {
				e.spans = append(e.spans, span{since, i.meta.Type})
			}
			since = i.from
		}
		if n := len(e.spans); n > 1 {
			e.spans[n-1].since = newest.from
		}
		s.add(e)
		s.soil(e)
	}
	set = q.Select(ctx, false, nil, named(history.MetricQuality))
	for set.Next() {
		if e := s.index[keyOf(set.At().Labels())]; e != nil {
			e.quality = &gauge{labels: qualityLabels(e.key)}
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("embedded: recall: %w", err)
	}
	return s.saveRecalled(ctx)
}

func keyOf(l labels.Labels) history.Key {
	return history.Key{Group: l.Get(history.LabelGroup), Node: l.Get(history.LabelNode), Device: l.Get(history.LabelDevice), Metric: l.Get(history.LabelMetric)}
}

func (s *Store) saveRecalled(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("embedded: recall: %w", err)
	}
	err = s.saveSeries(ctx, tx)
	for _, e := range s.list {
		for _, sp := range e.spans {
			if err == nil {
				_, err = tx.ExecContext(ctx, "INSERT INTO span (series, since, type) VALUES (?,?,?) ON CONFLICT DO NOTHING", e.id, sp.since, int(sp.typ))
			}
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("embedded: recall: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("embedded: recall: %w", err)
	}
	s.clean()
	return nil
}
