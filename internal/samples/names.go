package samples

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/magneto-iiot/magneto/internal/journal"
)

// Names numbers texts for good: a text that was given a number has it after a
// restart too, and no other text gets that number ever. Its methods may be
// called from any goroutine.
type Names struct {
	journal *journal.Journal

	mu    sync.Mutex
	ids   map[string]uint32 // guarded by mu
	texts map[uint32]string // guarded by mu
	bytes int               // guarded by mu
	dirty bool              // guarded by mu
}

// NamesConfig says where names are kept. Dir or FS is required.
type NamesConfig struct {
	Dir string     // folder of its own, made if need be
	FS  journal.FS // instead of Dir
	Log *slog.Logger

	ReadOnly bool // as of a journal.Config
}

// forgotten is the cursor of what Forget has given up.
const forgotten = "forgotten"

// OpenNames reads the names, or begins with none.
func OpenNames(c NamesConfig) (*Names, error) {
	j, err := journal.Open(journal.Config{
		Dir: c.Dir, FS: c.FS, WhenFull: journal.Refuse, MinFree: 1, MaxRecord: 32 << 20, Log: c.Log, ReadOnly: c.ReadOnly,
	})
	if err != nil {
		return nil, err
	}
	n := &Names{journal: j, ids: map[string]uint32{}, texts: map[uint32]string{}}
	_, err = j.Read(j.Cursor(forgotten), func(r journal.Record) bool {
		n.add(uint32(r.Pos), string(r.Payload))
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("samples: names: %w", err)
	}
	return n, nil
}

func (n *Names) add(id uint32, text string) {
	n.ids[text], n.texts[id] = id, text
	n.bytes += len(text)
}

// ID returns the number of a text, from 1, which it gets if it has none. It is
// durable after Sync.
func (n *Names) ID(text string) (uint32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[text]; ok {
		return id, nil
	}
	pos, err := n.journal.Append([]byte(text))
	if err != nil {
		return 0, fmt.Errorf("samples: names: %w", err)
	}
	n.dirty = true
	n.add(uint32(pos), text)
	return uint32(pos), nil
}

// Text returns what a number stands for.
func (n *Names) Text(id uint32) (text string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, ok = n.texts[id]
	return text, ok
}

// All calls f with each number and what it stands for, by number. f must not call
// n.
func (n *Names) All(f func(id uint32, text string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(n.texts)) {
		f(id, n.texts[id])
	}
}

// Bytes is how long all texts are together.
func (n *Names) Bytes() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bytes
}

// Sync makes durable what has got a number. Call it before a record that uses
// the number is written: a number that is lost is given to another text.
func (n *Names) Sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sync()
}

func (n *Names) sync() error {
	if !n.dirty {
		return nil
	}
	if err := n.journal.Sync(); err != nil {
		return fmt.Errorf("samples: names: %w", err)
	}
	n.dirty = false
	return nil
}

// Forget forgets all names, when nothing refers to one any more. Their numbers
// are not used again.
func (n *Names) Forget() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.sync(); err != nil {
		return err
	}
	if err := n.journal.SetCursor(forgotten, n.journal.Next()); err != nil {
		return fmt.Errorf("samples: names: %w", err)
	}
	n.ids, n.texts, n.bytes = map[string]uint32{}, map[uint32]string{}, 0
	return nil
}

// Close makes all durable and closes the files.
func (n *Names) Close() error { return n.journal.Close() }
