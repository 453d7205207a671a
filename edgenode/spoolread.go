package edgenode

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// SpoolReader reads the spool of an agent, running or not, without a change to
// it.
type SpoolReader struct {
	dir       string
	journal   *journal.Journal
	names     *samples.Names
	delivered session.Spans
	state     saved
}

// SpoolInfo is what a spool holds.
type SpoolInfo struct {
	Dir         string    `json:"dir"`
	Records     int64     `json:"records"` // each holds what a scan of a device found
	Bytes       int64     `json:"bytes"`
	First       uint64    `json:"first"`       // position of the oldest record
	Next        uint64    `json:"next"`        // position of the record to come
	Waiting     int64     `json:"waiting"`     // records that have not arrived, as far as is noted on disk
	Samples     int64     `json:"samples"`     // in them
	Oldest      time.Time `json:"oldest"`      // when the oldest of them was kept; zero: there is none
	Unreadable  int64     `json:"unreadable"`  // records that are damaged or missing
	Births      uint64    `json:"births"`      // NBIRTHs so far
	AckHost     string    `json:"ack_host"`    // that has acknowledged deliveries; empty: none has
	Interrupted int64     `json:"interrupted"` // bytes of a record that was being written when all ended
}

// SpoolSample is one sample in a spool.
type SpoolSample struct {
	Position  uint64 // of its record
	Kept      time.Time
	Delivered bool // as far as is noted on disk
	Device    string
	Metric    string
	Time      int64 // ms since the Unix epoch
	Value     sparkplug.Value
	Quality   driver.Quality
}

// OpenSpool opens the spool of the agent with that configuration. It is an
// fs.ErrNotExist when no agent has run yet.
func OpenSpool(c Config) (*SpoolReader, error) {
	dir := orText(c.Node.DataDir, "data")
	r := &SpoolReader{dir: filepath.Join(dir, spoolDir)}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err == nil {
		err = json.Unmarshal(b, &r.state)
	}
	if err != nil {
		return nil, fmt.Errorf("edgenode: spool: %w", err)
	}
	quiet := slog.New(slog.DiscardHandler)
	if b, err := os.ReadFile(filepath.Join(r.dir, deliveredFile)); err == nil {
		r.delivered = parseDelivered(b)
	}
	r.journal, err = journal.Open(journal.Config{Dir: filepath.Join(r.dir, spoolLog), ReadOnly: true, Log: quiet})
	if err != nil {
		return nil, fmt.Errorf("edgenode: spool: %w", err)
	}
	r.names, err = samples.OpenNames(samples.NamesConfig{Dir: filepath.Join(r.dir, spoolNames), ReadOnly: true, Log: quiet})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("edgenode: spool: %w", err), r.journal.Close())
	}
	r.delivered = r.delivered.Add(session.Span{From: 0, To: r.journal.Cursor(spoolCursor)})
	return r, nil
}

// Close closes the files.
func (r *SpoolReader) Close() error { return errors.Join(r.journal.Close(), r.names.Close()) }

// Info reads through the spool and says what it holds.
func (r *SpoolReader) Info() (SpoolInfo, error) {
	s := r.journal.Stats()
	out := SpoolInfo{
		Dir: r.dir, Records: s.Records, Bytes: s.Bytes, First: s.First, Next: s.Next, Births: r.state.Births,
		AckHost: r.state.Acks, Interrupted: s.Torn,
	}
	read := int64(0)
	_, err := r.journal.Read(s.First, func(rec journal.Record) bool {
		_, list, err := splitRecord(rec.Payload)
		n, bad := samples.Count(list)
		if err = errors.Join(err, bad); err != nil {
			return true
		}
		read++
		if r.delivered.Has(rec.Pos) {
			return true
		}
		if out.Waiting == 0 {
			out.Oldest = rec.Time
		}
		out.Waiting++
		out.Samples += int64(n)
		return true
	})
	out.Unreadable = int64(s.Next-s.First) - read
	return out, err
}

// Samples calls f with the samples in the spool, record by record, until it
// returns false. Records that cannot be read, and samples whose name is lost,
// are left out and counted.
func (r *SpoolReader) Samples(f func(SpoolSample) bool) (unreadable int, err error) {
	var list []samples.Sample
	names := map[uint32]spoolName{}
	from := r.journal.Stats().First
	expected := from
	_, err = r.journal.Read(from, func(rec journal.Record) bool {
		unreadable += int(rec.Pos - expected)
		expected = rec.Pos + 1
		_, body, err := splitRecord(rec.Payload)
		if err == nil {
			list, _, err = samples.Read(list[:0], body)
		}
		if err != nil {
			unreadable++
			return true
		}
		for i := range list {
			s := &list[i]
			n, ok := names[s.ID]
			if !ok {
				n = r.name(s.ID)
				names[s.ID] = n
			}
			if n.metric == "" {
				unreadable++
				continue
			}
			more := f(SpoolSample{
				Position: rec.Pos, Kept: rec.Time, Delivered: r.delivered.Has(rec.Pos), Device: n.device, Metric: n.metric,
				Time: s.Time, Value: s.Value, Quality: driver.Quality(s.Quality),
			})
			if !more {
				return false
			}
		}
		return true
	})
	return unreadable, err
}

type spoolName struct{ device, metric string }

// name is what a number stands for; empty if that is not known.
func (r *SpoolReader) name(id uint32) spoolName {
	text, _ := r.names.Text(id)
	var parts []string
	if json.Unmarshal([]byte(text), &parts) != nil || len(parts) != 4 || parts[0] != nameMetric {
		return spoolName{}
	}
	return spoolName{parts[1], parts[2]}
}

// Verify is an error when anything in the spool cannot be read.
func (r *SpoolReader) Verify() error {
	n, err := r.Samples(func(SpoolSample) bool { return true })
	if err == nil && n > 0 {
		err = fmt.Errorf("edgenode: spool %s: %d records or samples cannot be read", r.dir, n)
	}
	return err
}
