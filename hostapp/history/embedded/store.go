package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

	syncer *syncer

	settling sync.RWMutex // held by who moves samples from SQLite to the TSDB, and by who opens both

	mu      sync.RWMutex // guards the index and what readers see of a series
	index   map[history.Key]*series
	list    []*series // by handle-1
	perNode map[nodeKey]int
	stats   history.Stats
}

var (
	_ history.Store  = (*Store)(nil)
	_ history.Marker = (*Store)(nil)
	_ history.Syncer = (*Store)(nil)

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
	closing := new(atomic.Bool)
	log := slog.New(quiet{cfg.Log.Handler(), closing})
	// The TSDB first: it holds the lock on the folder.
	db, err := tsdb.Open(filepath.Join(cfg.Dir, "tsdb"), log, nil, tsdbOptions(cfg), nil)
	switch {
	case errors.Is(err, syscall.EAGAIN): // what a second lock gets
		return nil, fmt.Errorf("embedded: %s: another process has this store open; stop it or choose another folder: %w", cfg.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("embedded: %s: %w", cfg.Dir, err)
	}
	write, read, err := openCatalog(context.Background(), cfg.Dir)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	p := parser.NewParser(parser.Options{})
	s := &Store{
		cfg: cfg, closing: closing, db: db, write: write, read: read, parser: p,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger: log, MaxSamples: cfg.MaxSamples, Timeout: cfg.QueryTimeout, LookbackDelta: cfg.Retention,
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			EnableAtModifier:         true, EnableNegativeOffset: true, Parser: p,
		}),
		syncer:  &syncer{dir: cfg.Dir, sizes: map[string]int64{}, names: map[string][]string{}},
		gauges:  map[string]*gauge{},
		devices: map[nodeKey]map[string]bool{},
		newest:  db.Head().MaxTime(),
		index:   map[history.Key]*series{},
		perNode: map[nodeKey]int{},
	}
	if err := s.load(context.Background()); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
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
	return errors.Join(s.flushCatalog(ctx), s.flushLate(ctx), s.engine.Close(), s.closeFiles())
}

func (s *Store) closeFiles() error {
	return errors.Join(s.db.Close(), s.read.Close(), s.write.Close())
}
