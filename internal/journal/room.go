package journal

import (
	"errors"
	"fmt"
	"slices"
)

// room makes room for n bytes, or refuses.
func (j *Journal) room(n int64) error {
	for j.bytes+n > j.cfg.MaxBytes {
		if gone, err := j.giveBack(); gone || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if j.cfg.WhenFull == Refuse || len(j.segments) == 1 {
			return fmt.Errorf("%w: %d bytes of %d are taken", ErrFull, j.bytes, j.cfg.MaxBytes)
		}
		if err := j.dropOldest(); err != nil {
			return err
		}
	}
	if s := j.last(); s.size > 0 && s.size+n <= j.cfg.SegmentBytes {
		return nil // the disk is asked once a segment
	}
	for {
		free, _, err := j.fs.Space()
		if err != nil {
			return fmt.Errorf("journal: free space: %w", err)
		}
		if free-j.cfg.SegmentBytes >= j.cfg.MinFree {
			return nil
		}
		if gone, err := j.giveBack(); gone || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if j.cfg.WhenFull == Refuse || len(j.segments) == 1 {
			return fmt.Errorf("%w: %d bytes of the disk are free, %d are to be left", ErrFull, free, j.cfg.MinFree)
		}
		if err := j.dropOldest(); err != nil {
			return err
		}
	}
}

// giveBack removes the oldest segment if every cursor is behind it.
func (j *Journal) giveBack() (bool, error) {
	lowest, some := j.cursors.lowest()
	if !some || len(j.segments) == 1 || j.segments[0].next > lowest {
		return false, nil
	}
	return true, j.remove()
}

// dropOldest gives up the oldest segment, and counts what not all have read.
func (j *Journal) dropOldest() error {
	s := j.segments[0]
	if unread := j.cursors.unread(s.first, s.next); unread > 0 {
		if j.cfg.OnDrop != nil {
			if _, _, err := s.read(s.next-uint64(unread), s.size, func(r Record) bool { j.cfg.OnDrop(r); return true }); err != nil {
				j.cfg.Log.Warn("journal: what is dropped cannot be read", "from", s.first, "err", err)
			}
		}
		j.stats.Dropped += unread
		j.cfg.Log.Warn("journal: the oldest records are dropped for want of space", "from", s.first, "count", unread)
	}
	return j.remove()
}

// remove deletes the oldest segment, which must not be the only one.
func (j *Journal) remove() error {
	s := j.segments[0]
	err := errors.Join(s.file.Close(), j.fs.Remove(segmentName(s.first)))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.segments = slices.Delete(j.segments, 0, 1)
	j.bytes -= s.size
	return nil
}

// trim gives back what all cursors are behind, but for what is to be kept, and
// what is too old.
func (j *Journal) trim() {
	lowest, some := j.cursors.lowest()
	read := int64(0)
	for _, s := range j.segments {
		if some && s.next <= lowest {
			read += s.size
		}
	}
	for len(j.segments) > 1 {
		s := j.segments[0]
		old := j.cfg.MaxAge > 0 && s.newest < j.cfg.Now().Add(-j.cfg.MaxAge).UnixMilli()
		if !old && (!some || s.next > lowest || read-s.size < j.cfg.KeepBytes) {
			return
		}
		read -= s.size
		var err error
		if old {
			err = j.dropOldest()
		} else {
			err = j.remove()
		}
		if err != nil {
			j.cfg.Log.Warn("journal: space is not given back", "err", err)
			return
		}
	}
}
