package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// syncer makes the write-ahead logs of a store durable. They are files that
// others write; it opens them anew, so it must never open catalog.db: closing any
// descriptor of a file drops the locks that the process holds on it (fcntl(2)),
// and with them SQLite's own, so that another program takes the database for
// idle. catalog.db-wal carries no locks (sqlite.org/lockingv3, walformat).
type syncer struct {
	dir string

	blocks func() map[string]int64              // that there are, by ULID, with the time of their end
	count  func(context.Context) (int64, error) // a sync in the catalogue
	flush  func(*os.File) error                 // (*os.File).Sync

	mu     sync.Mutex
	checks checks
	sizes  map[string]int64    // of segments, when they were last made durable
	names  map[string][]string // in a folder, when it was
	failed error               // of flush: what it could not write may be gone for good
}

// Sync makes durable what was written before: the write-ahead logs of the TSDB
// and of SQLite. The TSDB's head chunks need none: their samples are in its logs
// until they are in a block, which it syncs, and what is torn of them is dropped
// and read from the logs when the head is loaded (tsdb/head.go).
//
// Neither does that by itself: the TSDB syncs a segment when it ends
// (tsdb/wlog), SQLite with synchronous=NORMAL at a checkpoint, and both read
// after a crash what is in their log, up to where it is whole. After an fsync
// that failed Sync fails until the store is opened anew, since the system may
// have thrown away what it could not write; any other error, as of a disk without
// room for a note, is of this call alone.
func (s *Store) Sync(ctx context.Context) error { return s.syncer.sync(ctx) }

func (s *syncer) sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	n, err := s.count(ctx)
	if err != nil {
		return fmt.Errorf("embedded: sync: %w", err)
	}
	err = errors.Join(
		s.segments(filepath.Join(s.dir, "tsdb", "wal")),
		s.segments(filepath.Join(s.dir, "tsdb", "wbl")),
		s.catalog(),
	)
	if err == nil {
		s.checks.Syncs = n
		err = s.note()
	}
	if err != nil {
		return fmt.Errorf("embedded: sync: %w", err)
	}
	return nil
}

// note notes what must be there when the store is opened again.
func (s *syncer) note() error {
	tsdb := filepath.Join(s.dir, "tsdb")
	blocks := s.blocks()
	if err := s.checks.note(tsdb, blocks); err != nil {
		return err
	}
	logs := map[string]int64{}
	for file, size := range s.sizes {
		rel, err := filepath.Rel(s.dir, file)
		if err != nil {
			return err
		}
		logs[rel] = size
	}
	if info, err := os.Stat(filepath.Join(s.dir, catalogWAL)); err == nil {
		logs[catalogWAL] = info.Size()
	}
	s.checks.Whole, s.checks.Logs = nil, logs
	return s.checks.store(s.dir, false)
}

// closed notes what is there of a store that was closed in order.
func (s *syncer) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks.Logs, s.checks.Whole = map[string]int64{}, map[string]fileCheck{}
	for _, pattern := range []string{"tsdb/wal/[0-9]*", "tsdb/wbl/[0-9]*", "tsdb/chunks_head/[0-9]*"} {
		files, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(s.dir, file)
			if err != nil {
				return err
			}
			s.checks.Logs[rel] = info.Size()
		}
	}
	if info, err := os.Stat(filepath.Join(s.dir, "catalog.db")); err == nil && info.Size() <= verifyBytes {
		if s.checks.Whole["catalog.db"], err = checkOf(filepath.Join(s.dir, "catalog.db")); err != nil {
			return err
		}
	}
	return s.checks.store(s.dir, false)
}

// segments makes durable the files of a folder that have grown: they are only
// appended to.
func (s *syncer) segments(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue // checkpoints, which the TSDB syncs itself
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // not needed any more
		}
		if err != nil {
			return err
		}
		file := filepath.Join(dir, e.Name())
		names = append(names, file)
		if size, ok := s.sizes[file]; ok && size == info.Size() {
			continue
		}
		switch err := s.fsync(file); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		s.sizes[file] = info.Size() // or more
	}
	for _, file := range s.names[dir] {
		if !slices.Contains(names, file) {
			delete(s.sizes, file)
		}
	}
	return s.folder(dir, names)
}

// folder makes durable which files there are, if that has changed.
func (s *syncer) folder(dir string, names []string) error {
	if slices.Equal(names, s.names[dir]) {
		return nil
	}
	if err := s.fsync(dir); err != nil {
		return err
	}
	s.names[dir] = names
	return nil
}

// catalog makes SQLite's write-ahead log durable. It begins from the front
// again after a checkpoint, so that its size says nothing.
func (s *syncer) catalog() error {
	wal := filepath.Join(s.dir, "catalog.db-wal")
	err := s.fsync(wal)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.folder(s.dir, []string{wal})
}

// fsync makes a file or folder durable, and remembers if that has failed.
func (s *syncer) fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := s.flush(f); err != nil {
		s.failed = fmt.Errorf("embedded: sync: not again before the store is opened anew: %w", err)
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
