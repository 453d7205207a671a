package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// Journal is a log of records. Positions count them from 1, and never go back.
// Its methods may be called from any goroutine.
type Journal struct {
	cfg Config
	fs  FS

	mu       sync.Mutex
	segments []*segment // guarded by mu; oldest first, the last one is written to; never none
	durable  uint64     // guarded by mu; position after the last durable record
	bytes    int64      // guarded by mu; of all segments
	cursors  cursors    // guarded by mu
	stats    Stats      // guarded by mu
	broken   error      // guarded by mu; why nothing can be appended any more
	closed   bool       // guarded by mu
	buf      []byte     // guarded by mu

	syncing sync.Mutex // held during a Sync, before mu
}

// Stats are counts since Open, but for those that are of now.
type Stats struct {
	Records, Bytes int64  // of now
	First, Next    uint64 // of now: position of the oldest record, and of the one to come
	Appended       int64
	Syncs          int64
	Dropped        int64 // records that went because of a bound, not read by every cursor
	Torn           int64 // bytes that were cut off at Open
	Missing        int64 // records that are damaged or lost in the middle
}

var errClosed = errors.New("journal: closed")

// Open reads a journal, or begins one. A torn end is cut off, which loses
// nothing that was durable; damage in the middle costs the records behind it in
// the same file, which are counted.
func Open(c Config) (*Journal, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	j := &Journal{cfg: c, fs: c.FS}
	if c.ReadOnly {
		j.broken = errReadOnly
	}
	if j.fs == nil {
		if j.fs, err = openFolder(c.Dir, c.ReadOnly); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
	}
	err = j.fit()
	if err == nil {
		err = j.load()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: open %s: %w", c.Dir, err), j.closeFiles())
	}
	return j, nil
}

// fit makes files and what is left free no larger than suits a small disk.
func (j *Journal) fit() error {
	_, total, err := j.fs.Space()
	if err != nil {
		return err
	}
	j.cfg.SegmentBytes = min(j.cfg.SegmentBytes, max(total/32, leastSegment))
	j.cfg.MinFree = min(j.cfg.MinFree, total/16)
	return nil
}

func (j *Journal) load() error {
	names, err := j.fs.List()
	if err != nil {
		return err
	}
	var firsts []uint64
	for _, name := range names {
		if first, ok := segmentFirst(name); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	for i, first := range firsts {
		if err := j.adopt(first, i == len(firsts)-1); err != nil {
			return err
		}
	}
	if j.cursors, err = loadCursors(j.fs); err != nil {
		return err
	}
	if j.cfg.ReadOnly {
		if len(j.segments) == 0 {
			j.segments = append(j.segments, &segment{file: none{}, first: 1, next: 1})
		}
		j.durable = j.last().next
		return nil
	}
	// Positions never go back, also when damage has taken the last records.
	if highest := max(1, j.cursors.highest()); len(j.segments) == 0 || highest > j.last().next {
		if err := j.begin(highest); err != nil {
			return err
		}
	}
	j.durable = j.last().next
	j.trim()
	return nil
}

// adopt opens one segment; the last one loses its torn end.
func (j *Journal) adopt(first uint64, last bool) error {
	f, err := j.fs.Open(segmentName(first))
	if j.cfg.ReadOnly && errors.Is(err, fs.ErrNotExist) {
		return nil // whoever writes has just given it back
	}
	if err != nil {
		return err
	}
	s := &segment{file: f, first: first}
	good, err := s.scan()
	if err != nil && !errors.Is(err, errTorn) {
		return errors.Join(err, f.Close())
	}
	if n := len(j.segments); n > 0 {
		before := j.segments[n-1]
		if first < before.next {
			return errors.Join(fmt.Errorf("%s begins before the end of the file before", segmentName(first)), f.Close())
		}
		if gap := int64(first - before.next); gap > 0 {
			j.stats.Missing += gap
			j.cfg.Log.Error("journal: records are missing", "from", before.next, "to", first-1, "count", gap)
		}
	}
	if errors.Is(err, errTorn) && last && !j.cfg.ReadOnly {
		size, err := f.Size()
		if err == nil {
			j.stats.Torn += size - good
			err = errors.Join(f.Truncate(good), f.Sync())
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	j.segments = append(j.segments, s)
	j.bytes += s.size
	return nil
}

func (j *Journal) last() *segment { return j.segments[len(j.segments)-1] }

// begin makes a new segment for the record at first.
func (j *Journal) begin(first uint64) error {
	f, err := j.fs.Open(segmentName(first))
	if err != nil {
		return err
	}
	// What a crash left of an attempt before is not wanted.
	if err := errors.Join(f.Truncate(0), f.Sync(), j.fs.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	j.segments = append(j.segments, &segment{file: f, first: first, next: first})
	return nil
}

// Append adds a record and returns its position. It is durable after the next
// Sync; until then a crash can take it, and all after it, but never one before
// without it. An error appends nothing.
func (j *Journal) Append(payload []byte) (pos uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return 0, errClosed
	case j.broken != nil:
		return 0, j.broken
	case len(payload) > j.cfg.MaxRecord:
		return 0, fmt.Errorf("journal: a record of %d bytes is longer than %d", len(payload), j.cfg.MaxRecord)
	}
	n := int64(recordHead + len(payload))
	if err := j.room(n); err != nil {
		return 0, err
	}
	s := j.last()
	if s.size > 0 && s.size+n > j.cfg.SegmentBytes {
		if err := s.file.Sync(); err != nil { // so that only the last can have a torn end
			return 0, j.fail(err)
		}
		j.durable = s.next
		if err := j.begin(s.next); err != nil {
			return 0, fmt.Errorf("journal: append: %w", err)
		}
		s = j.last()
	}
	now := j.cfg.Now().UnixMilli()
	j.buf = appendRecord(j.buf[:0], s.next, now, payload)
	if _, err := s.file.WriteAt(j.buf, s.size); err != nil {
		// What was written of it is cut off; if that fails too, the end is unknown.
		if terr := s.file.Truncate(s.size); terr != nil {
			return 0, j.fail(errors.Join(err, terr))
		}
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	pos = s.next
	s.next++
	s.size += n
	s.newest = now
	j.bytes += n
	j.stats.Appended++
	return pos, nil
}

// fail makes the journal refuse all that comes: what is on disk is not known.
func (j *Journal) fail(err error) error {
	j.broken = fmt.Errorf("journal: nothing can be appended until it is opened again: %w", err)
	return j.broken
}

// Sync makes durable what was appended before it was called. Callers at the
// same time share the work.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	if j.closed || j.broken != nil {
		defer j.mu.Unlock()
		switch {
		case j.closed:
			return errClosed
		case j.cfg.ReadOnly:
			return nil // there is nothing to be made durable
		}
		return j.broken
	}
	s := j.last()
	next := s.next
	if next == j.durable {
		j.mu.Unlock()
		return nil
	}
	j.stats.Syncs++
	j.mu.Unlock()
	err := s.file.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		// After a failed sync nobody knows what is on disk: the system may have
		// forgotten what it could not write.
		return j.fail(err)
	}
	j.durable = max(j.durable, next)
	j.trim()
	return nil
}

// Durable is the position after the last durable record.
func (j *Journal) Durable() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Next is the position of the record to come.
func (j *Journal) Next() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last().next
}

// Stats returns the counts.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.First, s.Next, s.Bytes = j.segments[0].first, j.last().next, j.bytes
	for _, g := range j.segments {
		s.Records += int64(g.next - g.first)
	}
	return s
}

// Close syncs and closes the journal.
func (j *Journal) Close() error {
	err := j.Sync()
	if errors.Is(err, errClosed) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return errors.Join(err, j.closeFiles())
}

func (j *Journal) closeFiles() (err error) {
	for _, s := range j.segments {
		err = errors.Join(err, s.file.Close())
	}
	if f, ok := j.fs.(Folder); ok && j.cfg.FS == nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// Record is one record as Read gives it.
type Record struct {
	Pos     uint64
	Time    time.Time // when it was appended, to the millisecond
	Payload []byte    // good until f returns
}
