package edgenode

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// A record of the spool is the number of a device (varint) and a list of
// samples, whose IDs are numbers of metrics. What the numbers stand for is in
// the names: JSON arrays, ["device", id] and ["metric", device, name, datatype].
const (
	nameDevice = "device"
	nameMetric = "metric"
)

func deviceText(id string) string { return nameText(nameDevice, id) }

func metricText(device, name string, t sparkplug.DataType) string {
	return nameText(nameMetric, device, name, t.String())
}

func nameText(parts ...string) string {
	b, err := json.Marshal(parts)
	if err != nil {
		panic("edgenode: strings that cannot be encoded: " + err.Error())
	}
	return string(b)
}

// The folders and files of a spool, below data_dir.
const (
	spoolDir      = "spool"
	spoolLog      = "log"
	spoolNames    = "names"
	spoolCursor   = "delivered"
	deliveredFile = "delivered.json"
)

// spool keeps reports on disk until they have arrived. The agent's goroutine
// owns it, but for sync.
type spool struct {
	cfg      Spool
	files    spoolFiles
	log      *slog.Logger
	journal  atomic.Pointer[journal.Journal] // another when it had to be opened again
	names    *samples.Names
	delivery *session.Delivery
	dropped  func(samples int)

	dirty    atomic.Bool // something is not durable
	failing  bool        // said so
	retryAt  time.Time   // when to open a broken journal again
	list     []samples.Sample
	buf      []byte
	saved    uint64 // of arrived, when it was last saved
	savedAt  time.Time
	cursorAt time.Time
}

// numbered is what the spool knows of a device.
type numbered struct {
	device  uint32 // 0: it could not be numbered
	metrics []uint32
	slots   map[uint32]uint32
}

// files are the folders of an agent's data.
type files struct {
	state journal.FS
	spool spoolFiles
	close func() error
}

// spoolFiles are the folders of a spool.
type spoolFiles struct{ notes, log, names journal.FS }

// openFiles opens the folders in a data_dir, and makes them if need be.
func openFiles(dataDir string) (*files, error) {
	var all []journal.Folder
	f := &files{close: func() (err error) {
		for _, folder := range all {
			err = errors.Join(err, folder.Close())
		}
		return err
	}}
	dir := filepath.Join(dataDir, spoolDir)
	for path, to := range map[string]*journal.FS{
		dataDir: &f.state, dir: &f.spool.notes, filepath.Join(dir, spoolLog): &f.spool.log, filepath.Join(dir, spoolNames): &f.spool.names,
	} {
		folder, err := journal.OpenFolder(path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("edgenode: data_dir: %w", err), f.close())
		}
		all = append(all, folder)
		*to = folder
	}
	return f, nil
}

// openSpool opens or begins a spool. dropped hears how many samples went for want
// of space.
func openSpool(in spoolFiles, c Spool, d session.DeliveryConfig, log *slog.Logger, dropped func(int)) (*spool, error) {
	s := &spool{cfg: c, files: in, log: log, dropped: dropped}
	if err := s.open(); err != nil {
		return nil, err
	}
	var err error
	if s.names, err = samples.OpenNames(samples.NamesConfig{FS: in.names, Log: log}); err != nil {
		return nil, errors.Join(fmt.Errorf("edgenode: spool: %w", err), s.journal.Load().Close())
	}
	d.First, d.Next, d.Delivered = s.journal.Load().Cursor(spoolCursor), s.journal.Load().Next(), readDelivered(in.notes)
	s.delivery = session.NewDelivery(d)
	if s.waiting() == 0 {
		if err := s.names.Forget(); err != nil {
			return nil, errors.Join(fmt.Errorf("edgenode: spool: %w", err), s.journal.Load().Close(), s.names.Close())
		}
	}
	return s, nil
}

func (s *spool) open() error {
	most := int64(s.cfg.MaxBytes)
	j, err := journal.Open(journal.Config{
		FS: s.files.log, MaxBytes: most, SegmentBytes: min(4<<20, most/4), OnDrop: s.drop, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("edgenode: spool: %w", err)
	}
	s.journal.Store(j)
	return nil
}

// drop counts a record that goes for want of space.
func (s *spool) drop(r journal.Record) {
	if s.delivery == nil || s.delivery.Covered(r.Pos) {
		return
	}
	s.delivery.Gone(session.Span{From: r.Pos, To: r.Pos + 1})
	_, list, err := splitRecord(r.Payload)
	if err == nil {
		if n, err := samples.Count(list); err == nil {
			s.dropped(n)
		}
	}
}

func splitRecord(b []byte) (device uint32, list []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > 1<<32-1 {
		return 0, nil, samples.ErrMalformed
	}
	return uint32(n), b[size:], nil
}

// number gives a device and its metrics their numbers. They are durable after
// names.Sync.
func (s *spool) number(def *deviceDef) (n numbered) {
	id, err := s.names.ID(deviceText(def.id))
	n = numbered{device: id, metrics: make([]uint32, len(def.metrics)), slots: make(map[uint32]uint32, len(def.metrics))}
	for i := range def.metrics {
		if err != nil {
			break
		}
		m := &def.metrics[i]
		n.metrics[i], err = s.names.ID(metricText(def.id, m.name, m.scaling.pub))
		n.slots[n.metrics[i]] = uint32(i)
	}
	if err != nil {
		s.log.Error("spool: a device cannot be numbered: its reports are not kept", "device", def.id, "err", err)
		return numbered{}
	}
	return n
}

// keep appends reports of a device as one record.
func (s *spool) keep(d *device, reports []report) (at session.Span, err error) {
	if d.numbered.device == 0 {
		return at, errors.New("edgenode: spool: the device has no number")
	}
	s.list = s.list[:0]
	for i := range reports {
		r := &reports[i]
		s.list = append(s.list, samples.Sample{
			ID: d.numbered.metrics[r.slot], Time: r.time, Quality: uint16(r.quality), Value: r.value,
		})
	}
	s.buf = binary.AppendUvarint(s.buf[:0], uint64(d.numbered.device))
	if s.buf, err = samples.Append(s.buf, s.list); err != nil {
		return at, err
	}
	clear(s.list)
	pos, err := s.journal.Load().Append(s.buf)
	if err != nil {
		s.reopen(err)
		return at, err
	}
	s.dirty.Store(true)
	s.delivery.Appended(pos + 1)
	return session.Span{From: pos, To: pos + 1}, nil
}

// reopen tries to get a journal that has failed for good going again.
func (s *spool) reopen(cause error) {
	now := time.Now()
	if errors.Is(cause, journal.ErrFull) || now.Before(s.retryAt) {
		return
	}
	s.retryAt = now.Add(10 * time.Second)
	old := s.journal.Load()
	if err := s.open(); err != nil {
		s.log.Error("spool: cannot be opened again", "err", err)
		return
	}
	_ = old.Close() // it has failed before
	s.delivery.Appended(s.journal.Load().Next())
}

// syncEvery makes durable what was appended, now and then, until ctx ends. It is
// for a goroutine of its own.
func (s *spool) syncEvery(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.sync()
		if err != nil && !failing {
			s.log.Error("spool: not durable: a power cut would lose reports that have not arrived", "err", err)
		}
		failing = err != nil
	}
}

// sync makes durable what was appended.
func (s *spool) sync() error {
	if !s.dirty.Swap(false) {
		return nil
	}
	return s.journal.Load().Sync()
}

// waiting is how many records have not arrived.
func (s *spool) waiting() uint64 {
	return s.delivery.Waiting()
}

// arrived is 1 more than how many records have.
func (s *spool) arrived() uint64 { return s.journal.Load().Next() - s.delivery.Waiting() }

// read calls f with the records of a span, until it returns false, and returns
// the position after the last one. The list is for reports, and good until f
// returns.
func (s *spool) read(a session.Span, f func(pos uint64, at time.Time, device uint32, list []byte) bool) (next uint64, err error) {
	next, err = s.journal.Load().Read(a.From, func(r journal.Record) bool {
		if r.Pos >= a.To {
			return false
		}
		device, list, err := splitRecord(r.Payload)
		if err != nil {
			s.log.Error("spool: a record cannot be read", "position", r.Pos, "err", err)
			s.delivery.Gone(session.Span{From: r.Pos, To: r.Pos + 1})
			return true
		}
		return f(r.Pos, r.Time, device, list)
	})
	return min(next, a.To), err
}

// reports gives the samples of a list as reports of a device; lost are those of
// metrics that it has not any more.
func (s *spool) reports(dst []report, d *device, list []byte) (out []report, lost int, err error) {
	s.list, _, err = samples.Read(s.list[:0], list)
	if err != nil {
		return dst, 0, err
	}
	for i := range s.list {
		x := &s.list[i]
		slot, ok := d.numbered.slots[x.ID]
		if !ok {
			lost++
			continue
		}
		dst = append(dst, report{value: x.Value, time: x.Time, slot: slot, quality: driver.Quality(x.Quality)})
	}
	clear(s.list)
	return dst, lost, nil
}

// How often what has arrived is noted on disk: what is not noted is sent again
// after a restart.
const (
	saveEvery   = 2 * time.Second
	cursorEvery = 30 * time.Second
)

// save notes on disk what has arrived, now and then or, in the end, at once.
func (s *spool) save(now time.Time, last bool) {
	if s.arrived() != s.saved && (last || now.Sub(s.savedAt) >= saveEvery) {
		spans := s.delivery.Delivered(s.journal.Load().Durable()) // what is not durable yet is noted another time
		s.saved, s.savedAt = 1, now
		for _, d := range spans {
			s.saved += d.To - max(d.From, 1)
		}
		if err := writeDelivered(s.files.notes, spans); err != nil {
			s.complain("spool: what has arrived cannot be noted: after a restart it is sent again", err)
		}
	}
	if last || now.Sub(s.cursorAt) >= cursorEvery {
		s.cursorAt = now
		if low := min(s.delivery.Low(), s.journal.Load().Durable()); low > s.journal.Load().Cursor(spoolCursor) {
			if err := s.journal.Load().SetCursor(spoolCursor, low); err != nil {
				s.complain("spool: space is not given back", err)
			}
		}
	}
}

// complain says something once, until all is well again.
func (s *spool) complain(words string, err error) {
	if !s.failing {
		s.failing = true
		s.log.Error(words, "err", err)
	}
}

func (s *spool) close() error {
	err := s.journal.Load().Sync()
	s.save(time.Now(), true)
	return errors.Join(err, s.journal.Load().Close(), s.names.Close())
}

// readDelivered reads what writeDelivered wrote; what cannot be read is nothing.
func readDelivered(in journal.FS) session.Spans {
	b, err := journal.ReadFile(in, deliveredFile)
	if err != nil {
		return nil
	}
	return parseDelivered(b)
}

func parseDelivered(b []byte) (out session.Spans) {
	var pairs [][2]uint64
	if json.Unmarshal(b, &pairs) != nil {
		return nil
	}
	for _, p := range pairs {
		out = out.Add(session.Span{From: p[0], To: p[1]})
	}
	return out
}

// writeDelivered replaces the file. It is not synced: an older one, or none,
// does no harm.
func writeDelivered(in journal.FS, spans session.Spans) error {
	pairs := make([][2]uint64, len(spans))
	for i, s := range spans {
		pairs[i] = [2]uint64{s.From, s.To}
	}
	b, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	return journal.ReplaceFile(in, deliveredFile, b, false)
}
