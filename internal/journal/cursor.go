package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// cursorFile holds the places of readers: a CRC-32C (4 bytes) and JSON.
const (
	cursorFile = "cursors"
	cursorTemp = "cursors.new"
)

// cursors are the positions that readers have reached: each has dealt with
// everything before its own.
type cursors map[string]uint64

func loadCursors(fs FS) (cursors, error) {
	names, err := fs.List()
	if err != nil || !slices.Contains(names, cursorFile) {
		return cursors{}, err
	}
	f, err := fs.Open(cursorFile)
	if err != nil {
		return nil, err
	}
	c, err := readCursors(f)
	return c, errors.Join(err, f.Close())
}

// readCursors reads the file; a damaged one counts as none, so that records
// are read again rather than lost.
func readCursors(f File) (cursors, error) {
	size, err := f.Size()
	if err != nil || size < 4 || size > 1<<20 {
		return cursors{}, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		return cursors{}, err
	}
	c := cursors{}
	if crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) || json.Unmarshal(b[4:], &c) != nil {
		return cursors{}, nil
	}
	return c, nil
}

// store writes the file, whole or not at all.
func (c cursors) store(fs FS) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	b := append(binary.LittleEndian.AppendUint32(nil, crc32.Checksum(text, castagnoli)), text...)
	f, err := fs.Open(cursorTemp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	err = errors.Join(err, f.Truncate(int64(len(b))), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return errors.Join(fs.Rename(cursorTemp, cursorFile), fs.Sync())
}

func (c cursors) lowest() (pos uint64, some bool) {
	if len(c) == 0 {
		return 0, false
	}
	return slices.Min(slices.Collect(maps.Values(c))), true
}

func (c cursors) highest() (pos uint64) {
	for _, p := range c {
		pos = max(pos, p)
	}
	return pos
}

// unread counts the records from first to before next that not every cursor is
// behind; all of them if there is no cursor.
func (c cursors) unread(first, next uint64) int64 {
	lowest, some := c.lowest()
	if !some {
		return int64(next - first)
	}
	if lowest >= next {
		return 0
	}
	return int64(next - max(first, lowest))
}

// Cursor returns the position that a reader has reached: it has dealt with all
// before it. A reader that is new begins at the oldest record.
func (j *Journal) Cursor(name string) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return max(j.cursors[name], j.segments[0].first)
}

// Cursors are the names of the readers that have a position.
func (j *Journal) Cursors() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.cursors))
}

// SetCursor makes durable that a reader has dealt with all before a position,
// which must be durable. Records that all cursors
// are behind are given back, a file at a time.
func (j *Journal) SetCursor(name string, pos uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return errClosed
	}
	if j.cfg.ReadOnly {
		return errReadOnly
	}
	if pos > j.durable {
		return fmt.Errorf("journal: cursor %q: position %d is not durable, what is ends before %d", name, pos, j.durable)
	}
	next := maps.Clone(j.cursors)
	next[name] = pos
	if err := next.store(j.fs); err != nil {
		return fmt.Errorf("journal: cursor %q: %w", name, err)
	}
	j.cursors = next
	j.trim()
	return nil
}

// Forget gives back what every cursor is behind, also what is kept, but for the
// last file.
func (j *Journal) Forget() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if gone, err := j.giveBack(); !gone || err != nil {
			return err
		}
	}
}

// Rewind makes durable that a reader begins anew at the oldest record, also of
// what is kept for that (Config.KeepBytes).
func (j *Journal) Rewind(name string) error {
	j.mu.Lock()
	first := j.segments[0].first
	j.mu.Unlock()
	return j.SetCursor(name, min(first, j.Durable()))
}

// DropCursor forgets a reader, so that it keeps nothing any more.
func (j *Journal) DropCursor(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.cursors[name]; !ok || j.closed || j.cfg.ReadOnly {
		return nil
	}
	next := maps.Clone(j.cursors)
	delete(next, name)
	if err := next.store(j.fs); err != nil {
		return fmt.Errorf("journal: cursor %q: %w", name, err)
	}
	j.cursors = next
	j.trim()
	return nil
}
