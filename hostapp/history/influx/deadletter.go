package influx

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// DeadLetter is a line that the server has refused, as the dead-letter file has
// it: one JSON object a line.
type DeadLetter struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // what the server said
	Line   string    `json:"line"`   // of the line protocol, time in ms
}

// maxReason bounds what is kept of a reason: servers repeat the line in it.
const maxReason = 1024

// deadLetters is the dead-letter file.
type deadLetters struct {
	path string
	max  int64
	file *os.File
	size int64
}

// openDeadLetters opens or makes the file.
func openDeadLetters(path string, most int64) (*deadLetters, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &deadLetters{path: path, max: most, file: f, size: info.Size()}, nil
}

// add writes letters for good; those that the file has no room for are counted
// in dropped.
func (d *deadLetters) add(letters []DeadLetter) (dropped int, err error) {
	var buf []byte
	for i := range letters {
		l := letters[i]
		if len(l.Reason) > maxReason {
			l.Reason = l.Reason[:maxReason] + "..."
		}
		b, err := json.Marshal(l)
		if err != nil {
			return 0, err
		}
		if d.size+int64(len(buf)+len(b)+1) > d.max {
			dropped++
			continue
		}
		buf = append(append(buf, b...), '\n')
	}
	n, err := d.file.Write(buf)
	d.size += int64(n)
	if err == nil {
		err = d.file.Sync()
	}
	if err != nil {
		// half a line would take the next one with it
		return 0, errors.Join(fmt.Errorf("influx: dead letters: %w", err), d.file.Truncate(d.size-int64(n)))
	}
	return dropped, nil
}

func (d *deadLetters) close() error { return d.file.Close() }

// ReadDeadLetters yields the letters of a file until yield returns false. A line
// that is none, such as one that a crash cut off, is an error that names it.
func ReadDeadLetters(r io.Reader, yield func(DeadLetter) bool) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 64<<20)
	for n := 1; s.Scan(); n++ {
		var l DeadLetter
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return fmt.Errorf("influx: dead letters: line %d: %w", n, err)
		}
		if !yield(l) {
			return nil
		}
	}
	return s.Err()
}
