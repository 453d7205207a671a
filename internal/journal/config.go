package journal

import (
	"cmp"
	"errors"
	"log/slog"
	"time"
)

// leastSegment is how small a file is made on a small disk, in bytes.
const leastSegment = 128 << 10

// WhenFull says what an Append does when a bound is reached.
type WhenFull uint8

// The answers to "full".
const (
	DropOldest WhenFull = iota // the oldest records go, and are counted, whoever has not read them
	Refuse                     // Append fails with ErrFull until space is given back
)

// Config says where a journal is and how large it may get. Dir or FS is
// required; every other field works at its zero value.
type Config struct {
	Dir string // folder of its own, made if need be
	FS  FS     // instead of Dir

	SegmentBytes int64         // length of a file; 4 MiB if zero, less on a small disk
	MaxBytes     int64         // of all files; 1 GiB if zero, at least two segments
	KeepBytes    int64         // of what every cursor is behind so much is kept, while there is room; see Rewind
	MaxAge       time.Duration // records older than this are dropped; never if zero
	MinFree      int64         // bytes of the disk that are left free; 64 MiB if zero, at most a sixteenth of it
	WhenFull     WhenFull
	// OnDrop sees each record that goes because of a bound before every cursor
	// has read it. It must not call the journal.
	OnDrop    func(Record)
	MaxRecord int // bytes; 16 MiB if zero

	// ReadOnly opens what is there without a change to it, also while another
	// process writes: as much as can be read at that time.
	ReadOnly bool

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

var errReadOnly = errors.New("journal: opened to be read only")

// ErrFull is wrapped by the error of an Append when a bound is reached and
// Config.WhenFull says so, or when the disk is full.
var ErrFull = errors.New("journal: full")

func (c Config) ready() (Config, error) {
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 4<<20)
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<30)
	c.MinFree = cmp.Or(c.MinFree, 64<<20)
	c.MaxRecord = cmp.Or(c.MaxRecord, 16<<20)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.Dir == "" && c.FS == nil:
		return c, errors.New("journal: no folder")
	case c.SegmentBytes < recordHead+1, c.MaxBytes < 2*c.SegmentBytes:
		return c, errors.New("journal: max bytes must be two segments at least, and a segment hold a record")
	case c.MaxAge < 0, c.MinFree < 0, c.KeepBytes < 0, c.MaxRecord < 1, c.MaxRecord > maxRecord:
		return c, errors.New("journal: an age, free space or record length is out of range")
	}
	return c, nil
}
