package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Read calls f with the records from a position on, in order, up to the last
// that was appended when it was called, until f returns false. Records that
// are not there any more, or damaged, are left out: Pos says so. Appending and
// syncing go on meanwhile. It returns the position after the last one read.
func (j *Journal) Read(from uint64, f func(Record) bool) (next uint64, err error) {
	for limit := j.Next(); from < limit; {
		s, size, end, err := j.at(from)
		if err != nil || s == nil {
			return max(from, end), err
		}
		from = max(from, s.first)
		more, next, err := s.read(from, size, f)
		switch {
		case errors.Is(err, errTorn), errors.Is(err, errGone):
			from = end // what is behind the damage in this file is lost
		case err != nil || !more:
			return next, err
		default:
			from = end
		}
	}
	return from, nil
}

// errGone says that a segment was removed while it was read.
var errGone = errors.New("journal: removed")

// at finds the segment that holds a position, or else the next one; nil when
// there is nothing to read. size is how much of it is written, end the
// position after it.
func (j *Journal) at(from uint64) (s *segment, size int64, end uint64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, 0, from, errClosed
	}
	i := slices.IndexFunc(j.segments, func(s *segment) bool { return from < s.next })
	if i < 0 {
		return nil, 0, from, nil
	}
	s = j.segments[i]
	return s, s.size, s.next, nil
}

// read reads the records of a segment from a position on.
func (s *segment) read(from uint64, size int64, f func(Record) bool) (more bool, next uint64, err error) {
	r := reader{file: s.file, size: size}
	for {
		rec, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return true, from, nil
		case errors.Is(err, errTorn):
			return true, from, err
		case err != nil:
			return false, from, fmt.Errorf("%w: %w", errGone, err)
		case rec.pos < from:
			continue
		}
		from = rec.pos + 1
		if !f(Record{Pos: rec.pos, Time: time.UnixMilli(rec.at), Payload: rec.payload}) {
			return false, from, nil
		}
	}
}
