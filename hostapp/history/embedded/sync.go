package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// synced is a file as it was when it was last made durable.
type synced struct {
	size int64
	at   time.Time
}

// Sync makes durable what was written before: the write-ahead logs of the TSDB
// and of SQLite, as far as they have changed.
//
// Neither does that by itself: the TSDB syncs a segment when it ends
// (tsdb/wlog), SQLite with synchronous=NORMAL at a checkpoint, and both read
// after a crash what is in their log, up to where it is whole.
func (s *Store) Sync(context.Context) error {
	s.wmu.Lock() // nobody writes meanwhile
	defer s.wmu.Unlock()
	if s.synced == nil {
		s.synced = map[string]synced{}
	}
	tsdb := filepath.Join(s.cfg.Dir, "tsdb")
	var errs []error
	for _, dir := range []string{filepath.Join(tsdb, "wal"), filepath.Join(tsdb, "wbl"), filepath.Join(tsdb, "chunks_head")} {
		errs = append(errs, s.syncFolder(dir))
	}
	catalog := filepath.Join(s.cfg.Dir, "catalog.db")
	errs = append(errs, s.syncFile(catalog+"-wal"), s.syncFile(catalog))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("embedded: sync: %w", err)
	}
	return nil
}

// syncFolder makes durable which files there are, and what is in them.
func (s *Store) syncFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() {
			errs = append(errs, s.syncFile(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(append(errs, fsync(dir))...)
}

// syncFile does nothing for a file that has not changed, or is not there any
// more.
func (s *Store) syncFile(file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		delete(s.synced, file)
		return nil
	}
	if err != nil {
		return err
	}
	is := synced{info.Size(), info.ModTime()}
	if s.synced[file] == is {
		return nil
	}
	if err := fsync(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.synced[file] = is
	return nil
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
