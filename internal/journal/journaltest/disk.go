// Package journaltest has a disk for tests of what is written to one: it can
// lose what was not synced, tear the last write, fill up and fail.
package journaltest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/magneto-iiot/magneto/internal/journal"
)

// Errors of a Disk.
var (
	ErrCrashed = errors.New("journaltest: the machine has no power")
	ErrNoSpace = errors.New("journaltest: no space left on device")
)

// Disk is a file system in memory. Its zero value is not usable: see NewDisk.
type Disk struct {
	mu    sync.Mutex
	rand  *rand.Rand
	names map[string]*file // guarded by mu; as programs see it
	safe  map[string]*file // guarded by mu; as it is on the medium
	moves []move           // guarded by mu; from safe to names, in order
	limit int64            // guarded by mu; bytes; 0: none
	left  int              // guarded by mu; operations until the power goes; 0: never
	ops   int              // guarded by mu
	dead  bool             // guarded by mu
}

// move is a change of which files there are: file gets the name to, and loses the
// name from; either may be empty.
type move struct {
	from, to string
	file     *file
}

func (m move) in(names map[string]*file) {
	delete(names, m.from)
	if m.to != "" {
		names[m.to] = m.file
	}
}

func (m move) within(prefix string) bool {
	return strings.HasPrefix(m.from, prefix) && strings.HasPrefix(m.to, prefix) ||
		m.from == "" && strings.HasPrefix(m.to, prefix) || m.to == "" && strings.HasPrefix(m.from, prefix)
}

// file is one file: its bytes, those of the last sync, and what was written
// since.
type file struct {
	data    []byte
	safe    []byte
	pending []write
}

// write is a write that was not synced; off -1 is a truncation to len.
type write struct {
	off  int64
	data []byte
	size int64
}

// NewDisk returns an empty disk; all it decides follows from the seed.
func NewDisk(seed uint64) *Disk {
	return &Disk{rand: rand.New(rand.NewPCG(seed, 1)), names: map[string]*file{}, safe: map[string]*file{}}
}

// CutPowerAfter has the disk fail from the nth operation on, until Reboot; 0
// is never.
func (d *Disk) CutPowerAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// Limit bounds the bytes of all files; 0 is no bound.
func (d *Disk) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = bytes
}

// Ops is how many operations were asked for.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Reboot brings the disk back as a machine finds it after the power was gone:
// of what was not synced to a file a part is there, in order, the last of it
// perhaps torn. kept is that part, from 0 to 1, and half of it the chance of a
// file to be there whole. Between these it is chance which
// of the files that came, went or got another name since the last Sync have done
// so for good: some of the first, whatever is in them.
func (d *Disk) Reboot(kept float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.left = false, 0
	names, n := maps.Clone(d.safe), 0
	switch {
	case kept >= 1, d.rand.Float64() < kept/2:
		n = len(d.moves)
	case kept > 0:
		n = d.rand.IntN(len(d.moves) + 1)
	}
	for _, m := range d.moves[:n] {
		m.in(names)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := names[name]
		f.data = slices.Clone(f.safe)
		n := len(f.pending)
		if kept < 1 && d.rand.Float64() >= kept/2 {
			n = int(kept * float64(n))
		}
		for _, w := range f.pending[:n] {
			f.apply(w)
		}
		if n < len(f.pending) && kept > 0 {
			w := f.pending[n] // torn
			if w.off >= 0 && len(w.data) > 0 {
				w.data = w.data[:d.rand.IntN(len(w.data))]
				f.apply(w)
			}
		}
		f.safe, f.pending = slices.Clone(f.data), nil
	}
	d.names, d.safe, d.moves = names, maps.Clone(names), nil
}

func (f *file) apply(w write) {
	if w.off < 0 {
		f.data = append(f.data[:min(w.size, int64(len(f.data)))], make([]byte, max(0, w.size-int64(len(f.data))))...)
		return
	}
	if end := w.off + int64(len(w.data)); end > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	copy(f.data[w.off:], w.data)
}

// op counts an operation, and fails when there is no power.
func (d *Disk) op() error {
	if d.dead {
		return ErrCrashed
	}
	d.ops++
	if d.left > 0 {
		if d.left--; d.left == 0 {
			d.dead = true
			return ErrCrashed
		}
	}
	return nil
}

// Open opens a file.
func (d *Disk) Open(name string) (journal.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return nil, err
	}
	f := d.names[name]
	if f == nil {
		f = &file{}
		d.move(move{to: name, file: f})
	}
	return &handle{d, f}, nil
}

// Rename renames a file, over another if need be.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return err
	}
	f := d.names[from]
	if f == nil {
		return fmt.Errorf("journaltest: no file %s", from)
	}
	d.move(move{from, to, f})
	return nil
}

// Remove removes a file.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return err
	}
	d.move(move{from: name})
	return nil
}

// List lists the files.
func (d *Disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names)), d.op()
}

// Sync makes durable which files there are.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return err
	}
	d.safe, d.moves = maps.Clone(d.names), nil
	return nil
}

func (d *Disk) move(m move) {
	m.in(d.names)
	d.moves = append(d.moves, m)
}

// Space is what Limit leaves, and Limit.
func (d *Disk) Space() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limit == 0 {
		return 1 << 40, 1 << 40, d.op()
	}
	return d.limit - d.used(), d.limit, d.op()
}

// Sub is a folder of the disk: what it has is lost and kept with all else.
func (d *Disk) Sub(folder string) journal.FS { return sub{d, folder + "/"} }

type sub struct {
	d      *Disk
	prefix string
}

func (s sub) Open(name string) (journal.File, error) { return s.d.Open(s.prefix + name) }
func (s sub) Rename(from, to string) error           { return s.d.Rename(s.prefix+from, s.prefix+to) }
func (s sub) Remove(name string) error               { return s.d.Remove(s.prefix + name) }
func (s sub) Space() (free, total int64, err error)  { return s.d.Space() }

func (s sub) List() (names []string, err error) {
	all, err := s.d.List()
	for _, name := range all {
		if own, ok := strings.CutPrefix(name, s.prefix); ok {
			names = append(names, own)
		}
	}
	return names, err
}

// Sync makes durable which files there are in the folder, and in no other.
func (s sub) Sync() error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if err := s.d.op(); err != nil {
		return err
	}
	s.d.moves = slices.DeleteFunc(s.d.moves, func(m move) bool {
		if m.within(s.prefix) {
			m.in(s.d.safe)
			return true
		}
		return false
	})
	return nil
}

func (d *Disk) used() (n int64) {
	for _, f := range d.names {
		n += int64(len(f.data))
	}
	return n
}

// handle is an open file of a Disk.
type handle struct {
	d *Disk
	f *file
}

func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, ErrCrashed
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes; on a full disk as much as there is room for.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.op(); err != nil {
		return 0, err
	}
	var err error
	if grow := off + int64(len(p)) - int64(len(h.f.data)); h.d.limit > 0 && grow > h.d.limit-h.d.used() {
		p = p[:max(0, int64(len(p))-(grow-max(0, h.d.limit-h.d.used())))]
		err = ErrNoSpace
	}
	w := write{off: off, data: slices.Clone(p)}
	h.f.pending = append(h.f.pending, w)
	h.f.apply(w)
	return len(p), err
}

func (h *handle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, ErrCrashed
	}
	return int64(len(h.f.data)), nil
}

func (h *handle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.op(); err != nil {
		return err
	}
	w := write{off: -1, size: size}
	h.f.pending = append(h.f.pending, w)
	h.f.apply(w)
	return nil
}

func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.op(); err != nil {
		return err
	}
	h.f.safe, h.f.pending = slices.Clone(h.f.data), nil
	return nil
}

func (h *handle) Close() error { return nil }
