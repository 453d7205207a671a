package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// Store is the embedded store. It is safe for concurrent use; writers take
// turns, readers do not wait for them.
//
// A batch is durable against a kill of the process once Write has returned.
// The write-ahead log is synced to disk only when a segment ends, by Sync and on
// Close, so a loss of power may cost the samples since then: a host has them in
// its journal.
type Store struct {
	cfg         Config
	closing     *atomic.Bool
	db          *tsdb.DB
	write, read *sql.DB
	engine      *promql.Engine
	parser      parser.Parser

	wmu         sync.Mutex // held by the one writer; guards all below, up to mu
	batch       batch
	dirty       []*series // to be written to the catalogue with the next batch
	late        late
	gauges      map[string]*gauge
	devices     map[nodeKey]map[string]bool
	newest      int64 // of the samples in the TSDB, ms
	quarantined int   // rows
	pruneAt     time.Time

	syncer  *syncer
	damaged []string // when it was opened
	lock    fileutil.Releaser

	settling sync.RWMutex // held by who moves samples from SQLite to the TSDB, and by who opens both

	mu      sync.RWMutex // guards the index and what readers see of a series
	index   map[history.Key]*series
	list    []*series // by handle-1
	perNode map[nodeKey]int

	overlaid map[*series]bool // may have rows that PromQL must see, see overlay
	stats    history.Stats
}

var (
	_ history.Store  = (*Store)(nil)
	_ history.Marker = (*Store)(nil)
	_ history.Syncer = (*Store)(nil)
	_ history.Mender = (*Store)(nil)

	_ history.Quarantine = (*Store)(nil)
)

type nodeKey struct{ group, node string }

// Open opens or makes the store under cfg.Dir. Only one process may have it
// open; a second one gets an error.
func Open(cfg Config) (*Store, error) {
	cfg, err := cfg.ready()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	lock, _, err := fileutil.Flock(filepath.Join(cfg.Dir, "lock"))
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return nil, fmt.Errorf("embedded: %s: another process has this store open; stop it or choose another folder: %w", cfg.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("embedded: %s: %w", cfg.Dir, err)
	}
	s, err := openLocked(cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %s: %w", cfg.Dir, err), lock.Release())
	}
	s.lock = lock
	for _, d := range s.damaged {
		cfg.Log.Error("history: damaged", "what", d)
	}
	return s, nil
}

func openLocked(cfg Config) (*Store, error) {
	fresh, err := isFresh(cfg.Dir)
	if err != nil {
		return nil, err
	}
	known, ok := loadChecks(cfg.Dir)
	damaged, distrusted, err := lookOver(cfg, &known)
	if err != nil {
		return nil, err
	}
	closing := new(atomic.Bool)
	log := slog.New(quiet{cfg.Log.Handler(), closing})
	db, found, err := openTSDB(cfg, log)
	if err != nil {
		return nil, err
	}
	damaged = append(damaged, found...)
	write, read, mended, err := mendCatalog(context.Background(), cfg, distrusted)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	syncs, err := syncsOf(context.Background(), write)
	if err != nil {
		return nil, errors.Join(err, db.Close(), read.Close(), write.Close())
	}
	switch {
	case mended != "":
		damaged = append(damaged, mended)
	case !ok && !fresh:
		damaged = append(damaged, checksFile+": is gone, or cannot be read")
	case syncs < known.Syncs:
		damaged = append(damaged, catalogWAL+": its end is lost")
	}
	p := parser.NewParser(parser.Options{})
	s := &Store{
		cfg: cfg, closing: closing, db: db, write: write, read: read, parser: p,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger: log, MaxSamples: cfg.MaxSamples, Timeout: cfg.QueryTimeout, LookbackDelta: cfg.Retention,
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			EnableAtModifier:         true, EnableNegativeOffset: true, Parser: p,
		}),
		gauges:  map[string]*gauge{},
		devices: map[nodeKey]map[string]bool{},
		newest:  db.Head().MaxTime(),
		index:   map[history.Key]*series{},
		perNode: map[nodeKey]int{},

		overlaid: map[*series]bool{},
		damaged:  damaged,
	}
	s.syncer = &syncer{
		dir: cfg.Dir, blocks: s.blocks, count: s.countSync, flush: (*os.File).Sync, checks: checks{Blocks: known.Blocks, Syncs: syncs},
		sizes: map[string]int64{}, names: map[string][]string{},
	}
	if mended != "" {
		err = s.recall(context.Background())
	} else {
		err = s.load(context.Background())
	}
	if err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
}

// isFresh says whether no store was in a folder yet.
func isFresh(dir string) (bool, error) {
	for _, name := range []string{"tsdb", "catalog.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}

// lookOver looks for damage before anything is opened. Damaged blocks are moved
// aside; distrusted says that the catalogue is not what it was.
func lookOver(cfg Config, known *checks) (words []string, distrusted bool, err error) {
	for _, d := range known.verify(cfg.Dir, cfg.Now().Add(-cfg.Retention).UnixMilli()) {
		word := d.String()
		if d.block != "" {
			to, err := setAside(cfg.Dir, cfg.Now(), filepath.Join("tsdb", d.block))
			if err != nil {
				return nil, false, err
			}
			word += ": the block was moved to " + to
			delete(known.Blocks, d.block)
		}
		words = append(words, word)
		distrusted = distrusted || d.path == "catalog.db"
	}
	// What holds while nobody writes must not be looked for after a crash.
	_, noTSDB := os.Stat(filepath.Join(cfg.Dir, "tsdb"))
	if _, err := os.Stat(filepath.Join(cfg.Dir, "catalog.db")); errors.Is(err, fs.ErrNotExist) && noTSDB == nil {
		distrusted = true
	}
	return words, distrusted, (&checks{Blocks: known.Blocks, Syncs: known.Syncs}).store(cfg.Dir, true)
}

// countSync counts a sync in the catalogue.
func (s *Store) countSync(ctx context.Context) (n int64, err error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if err := s.write.QueryRowContext(ctx, "UPDATE synced SET n = n + 1 RETURNING n").Scan(&n); err != nil {
		return 0, err
	}
	return n, nil
}

func syncsOf(ctx context.Context, db *sql.DB) (n int64, err error) {
	if err := db.QueryRowContext(ctx, "SELECT max(n) FROM synced").Scan(&n); err != nil {
		return 0, fmt.Errorf("catalog: %w", err)
	}
	return n, nil
}

// blocks are the blocks that the TSDB has, with the time of their end.
func (s *Store) blocks() map[string]int64 {
	all := map[string]int64{}
	for _, b := range s.db.Blocks() {
		all[b.Meta().ULID.String()] = b.Meta().MaxTime
	}
	return all
}

func tsdbOptions(cfg Config) *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = cfg.Retention.Milliseconds()
	o.OutOfOrderTimeWindow = cfg.OutOfOrder.Milliseconds()
	o.WALCompression = compression.Snappy
	// As the Prometheus server does: blocks grow to a tenth of the retention.
	o.MaxBlockDuration = max(o.MinBlockDuration, min(cfg.Retention/10, 31*24*time.Hour).Milliseconds())
	return o
}

// Stats returns the counters since Open, and the sizes now.
func (s *Store) Stats() history.Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.stats
	st.Series = len(s.list)
	return st
}

// Close writes what is waiting and closes the files.
func (s *Store) Close() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.closing.Store(true)
	ctx := context.Background()
	return errors.Join(s.flushCatalog(ctx), s.flushLate(ctx), s.engine.Close(), s.closeFiles(), s.syncer.closed(), s.release())
}

func (s *Store) closeFiles() error {
	return errors.Join(s.db.Close(), s.read.Close(), s.write.Close())
}

// release lets another process open the store.
func (s *Store) release() error { return s.lock.Release() }
