package journal_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
)

func open(t testing.TB, d *journaltest.Disk, c journal.Config) *journal.Journal {
	t.Helper()
	c.FS, c.Log = d, slog.New(slog.DiscardHandler)
	j, err := journal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

var small = journal.Config{SegmentBytes: 200, MaxBytes: 1 << 20}

func text(pos uint64) string { return fmt.Sprintf("record %d", pos) }

// all reads the whole journal, and checks that each record is the one of its
// position.
func all(t testing.TB, j *journal.Journal, from uint64) (positions []uint64) {
	t.Helper()
	next, err := j.Read(from, func(r journal.Record) bool {
		if string(r.Payload) != text(r.Pos) {
			t.Errorf("at %d there is %q", r.Pos, r.Payload)
		}
		positions = append(positions, r.Pos)
		return true
	})
	if err != nil || len(positions) > 0 && next != positions[len(positions)-1]+1 {
		t.Errorf("read up to %d, %v", next, err)
	}
	return positions
}

func appendText(t testing.TB, j *journal.Journal) uint64 {
	t.Helper()
	pos := j.Next()
	got, err := j.Append([]byte(text(pos)))
	if err != nil || got != pos {
		t.Fatalf("Append = %d, %v; want %d", got, err, pos)
	}
	return pos
}

func TestJournal(t *testing.T) {
	d := journaltest.NewDisk(1)
	j := open(t, d, small)
	for range 100 {
		appendText(t, j)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, d, small)
	if got := all(t, j, 1); len(got) != 100 || got[0] != 1 || got[99] != 100 {
		t.Errorf("%d records: %v", len(got), got)
	}
	if got := all(t, j, 42); len(got) != 59 || got[0] != 42 {
		t.Errorf("from 42: %v", got)
	}
	if next, err := j.Read(7, func(r journal.Record) bool { return r.Pos < 9 }); next != 10 || err != nil {
		t.Errorf("stopped at %d, %v", next, err)
	}
	if pos := appendText(t, j); pos != 101 {
		t.Errorf("goes on at %d", pos)
	}
}

// TestCursors checks that what is behind all readers is given back, nothing
// else, and that their places are kept.
func TestCursors(t *testing.T) {
	d := journaltest.NewDisk(1)
	j := open(t, d, small)
	for range 100 {
		appendText(t, j)
	}
	if err := j.SetCursor("slow", 101); err == nil {
		t.Error("a cursor was put where nothing is durable")
	}
	if err := errors.Join(j.Sync(), j.SetCursor("slow", 30), j.SetCursor("fast", 101)); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.First > 30 || s.First < 20 {
		t.Errorf("with a reader at 30 the first is %d", s.First)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, d, small)
	if j.Cursor("slow") != 30 || j.Cursor("fast") != 101 || j.Cursor("new") != j.Stats().First {
		t.Errorf("cursors %d, %d, %d", j.Cursor("slow"), j.Cursor("fast"), j.Cursor("new"))
	}
	if err := j.DropCursor("slow"); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Records > 8 || s.Dropped != 0 {
		t.Errorf("with all read there are %d records, %d dropped", s.Records, s.Dropped)
	}
}

// TestKeep keeps what every reader has, while there is room, for one that begins
// anew.
func TestKeep(t *testing.T) {
	d := journaltest.NewDisk(1)
	c := small
	c.MaxBytes, c.KeepBytes, c.WhenFull = 4000, 2000, journal.Refuse
	j := open(t, d, c)
	for i := range 1000 { // many times what there is room for
		appendText(t, j)
		if i%10 == 9 {
			if err := errors.Join(j.Sync(), j.SetCursor("a", j.Next())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := j.Stats(); s.Bytes < c.KeepBytes || s.Bytes > c.KeepBytes+2*c.SegmentBytes || s.Dropped != 0 {
		t.Fatalf("%+v with %d bytes to keep", s, c.KeepBytes)
	}
	kept := j.Stats().First
	for range 1000 { // nobody reads: what is kept makes room
		if _, err := j.Append([]byte(text(j.Next()))); errors.Is(err, journal.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s := j.Stats(); s.First <= kept || s.First > j.Cursor("a") || s.Dropped != 0 {
		t.Errorf("%+v, with the reader at %d", s, j.Cursor("a"))
	}
	if err := errors.Join(j.Sync(), j.SetCursor("a", j.Next()), j.Rewind("a")); err != nil {
		t.Fatal(err)
	}
	if j.Cursor("a") != j.Stats().First {
		t.Errorf("the reader is at %d, the first is %d", j.Cursor("a"), j.Stats().First)
	}
	if err := errors.Join(j.SetCursor("a", j.Next()), j.Forget()); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Bytes > c.SegmentBytes {
		t.Errorf("%+v after all was forgotten", s)
	}
}

// TestTogether appends, syncs, reads and gives back at once.
func TestTogether(t *testing.T) {
	j, err := journal.Open(journal.Config{Dir: t.TempDir(), SegmentBytes: 2000, MaxBytes: 1 << 24, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	const records = 3000
	var wg sync.WaitGroup
	wg.Go(func() {
		for range records {
			if _, err := j.Append([]byte("x")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for j.Durable() <= records {
				if err := j.Sync(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for next := uint64(1); next <= records; {
			before := next
			after, err := j.Read(next, func(r journal.Record) bool {
				if r.Pos != next {
					t.Errorf("read %d after %d", r.Pos, next-1)
				}
				next++
				return true
			})
			if err != nil || after != next {
				t.Errorf("read from %d to %d, %v", before, after, err)
				return
			}
			if err := j.SetCursor("r", min(next, j.Durable())); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	if s := j.Stats(); s.Next != records+1 || s.Syncs > records || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// TestBounds checks both answers to "full", what is counted, and age.
func TestBounds(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	c := journal.Config{SegmentBytes: 200, MaxBytes: 1000, MaxAge: time.Hour, Now: func() time.Time { return now }}
	j := open(t, journaltest.NewDisk(1), c)
	for range 100 {
		appendText(t, j)
	}
	s := j.Stats()
	if s.Bytes > 1000 || s.Dropped == 0 || s.Dropped+s.Records != 100 {
		t.Errorf("drop oldest: %+v", s)
	}
	if got := all(t, j, 1); int64(len(got)) != s.Records || got[len(got)-1] != 100 {
		t.Errorf("drop oldest: %v", got)
	}
	now = now.Add(2 * time.Hour)
	appendText(t, j)
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Records > 6 || s.Dropped+s.Records != 101 {
		t.Errorf("after two hours: %+v", s)
	}
	c.WhenFull = journal.Refuse
	j = open(t, journaltest.NewDisk(1), c)
	n := 0
	for ; n < 200; n++ {
		if _, err := j.Append([]byte(text(uint64(n + 1)))); err != nil {
			if !errors.Is(err, journal.ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if got := all(t, j, 1); len(got) != n || n < 20 || n == 200 || j.Stats().Dropped != 0 {
		t.Errorf("refuse: %d appended, %d there", n, len(got))
	}
	if err := errors.Join(j.Sync(), j.SetCursor("r", uint64(n))); err != nil {
		t.Fatal(err)
	}
	appendText(t, j)
}

// TestDiskFull checks that a disk that fills up costs nothing that was
// appended, and that all goes on when there is room again.
func TestDiskFull(t *testing.T) {
	d := journaltest.NewDisk(1)
	j := open(t, d, journal.Config{SegmentBytes: 400, MaxBytes: 1 << 20, MinFree: 1, WhenFull: journal.Refuse})
	for limit := int64(1000); limit < 1100; limit += 7 { // also in the middle of a record
		d.Limit(limit)
		for {
			if _, err := j.Append([]byte(text(j.Next()))); err != nil {
				if !errors.Is(err, journal.ErrFull) {
					t.Fatal(err)
				}
				break
			}
		}
		if got := all(t, j, 1); uint64(len(got)) != j.Next()-1 {
			t.Fatalf("%d records of %d", len(got), j.Next()-1)
		}
	}
	d.Limit(0)
	last := appendText(t, j)
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Reboot(0)
	if got := all(t, open(t, d, small), 1); uint64(len(got)) != last {
		t.Errorf("%d records of %d after a restart", len(got), last)
	}
}

// TestPowerLoss cuts the power at every operation of a history of appends,
// syncs and cursors, loses all, half or none of what was not synced, and opens
// the journal again: it always opens; all that was durable is there, whole and
// in order, without a hole; no cursor is ahead; and it can go on.
func TestPowerLoss(t *testing.T) {
	life := func(d *journaltest.Disk) (durable, cursor uint64) {
		c := small
		c.FS, c.Log = d, slog.New(slog.DiscardHandler)
		j, err := journal.Open(c)
		if err != nil {
			return 0, 0
		}
		r := rand.New(rand.NewPCG(7, 7))
		durable = 1
		for range 60 {
			if _, err := j.Append([]byte(text(j.Next()))); err != nil {
				return durable, cursor
			}
			if r.IntN(4) == 0 {
				if j.Sync() != nil {
					return durable, cursor
				}
				durable = j.Next()
			}
			if r.IntN(9) == 0 && durable > 3 {
				if j.SetCursor("r", durable-2) != nil {
					return durable, cursor
				}
				cursor = durable - 2
			}
		}
		return durable, cursor
	}
	whole := journaltest.NewDisk(1)
	life(whole)
	cuts := 0
	for at := 1; at <= whole.Ops(); at++ {
		for _, kept := range []float64{0, 0.5, 1} {
			d := journaltest.NewDisk(uint64(at))
			d.CutPowerAfter(at)
			durable, cursor := life(d)
			d.Reboot(kept)
			j := open(t, d, small)
			s := j.Stats()
			got := all(t, j, 1)
			switch {
			case s.Missing != 0:
				t.Fatalf("cut at %d, %v kept: %d records are missing", at, kept, s.Missing)
			case durable > 1 && s.Next < durable:
				t.Fatalf("cut at %d, %v kept: ends before %d, durable was all before %d", at, kept, s.Next, durable)
			case uint64(len(got)) != s.Next-s.First:
				t.Fatalf("cut at %d, %v kept: %d records from %d to %d", at, kept, len(got), s.First, s.Next)
			case s.First > max(1, cursor, j.Cursor("r")):
				t.Fatalf("cut at %d, %v kept: begins at %d, the reader is at %d", at, kept, s.First, cursor)
			case j.Cursor("r") > s.Next || j.Cursor("r") < min(cursor, s.Next) && cursor > s.First:
				t.Fatalf("cut at %d, %v kept: the cursor is at %d, was at %d of %d", at, kept, j.Cursor("r"), cursor, s.Next)
			}
			appendText(t, j)
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
			cuts++
		}
	}
	t.Logf("the power was cut %d times, at each of %d operations", cuts, whole.Ops())
}

// TestDamage flips a bit anywhere in a journal: it opens, what is before the
// damage is there, and what is lost is counted or cut off.
func TestDamage(t *testing.T) {
	for at := int64(0); at < 1500; at += 11 {
		d := journaltest.NewDisk(1)
		j := open(t, d, small)
		for range 40 {
			appendText(t, j)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := d.List()
		if err != nil {
			t.Fatal(err)
		}
		off := at
		for _, name := range names {
			f, err := d.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			if off < size {
				b := make([]byte, 1)
				if _, err := f.ReadAt(b, off); err != nil {
					t.Fatal(err)
				}
				b[0] ^= 0x10
				if _, err := f.WriteAt(b, off); err != nil {
					t.Fatal(err)
				}
				break
			}
			off -= size
		}
		j = open(t, d, small)
		s, got := j.Stats(), all(t, j, 1)
		if lost := 40 - len(got); lost > 6 || lost > 0 && s.Missing == 0 && s.Torn == 0 {
			t.Errorf("a bit flipped at %d: %d of 40 records are lost, %+v", at, lost, s)
		}
		appendText(t, j)
	}
}

// FuzzOpen checks that no content of a segment makes Open or Read panic.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x00\x00\x00abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := journaltest.NewDisk(1)
		file, err := d.Open("00000000000000000001.log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		j := open(t, d, small)
		n := uint64(0)
		if _, err := j.Read(1, func(journal.Record) bool { n++; return true }); err != nil || n != j.Next()-1 {
			t.Errorf("%d records read of %d, %v", n, j.Next()-1, err)
		}
		if _, err := j.Append([]byte("more")); err != nil {
			t.Error(err)
		}
	})
}

func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		j, err := journal.Open(journal.Config{Dir: dir + "/journal", SegmentBytes: 300, MaxBytes: 1 << 20, MinFree: 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			appendText(t, j)
		}
		if err := errors.Join(j.Sync(), j.SetCursor("r", uint64(round*50+10))); err != nil {
			t.Fatal(err)
		}
		if got := all(t, j, j.Cursor("r")); len(got) != 41 {
			t.Errorf("round %d: %d records from the cursor", round, len(got))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func Example() {
	j, err := journal.Open(journal.Config{FS: journaltest.NewDisk(1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, word := range []string{"lost", "by", "nobody"} {
		if _, err := j.Append([]byte(word)); err != nil {
			fmt.Println(err)
		}
	}
	if err := j.Sync(); err != nil { // from here on they are safe
		fmt.Println(err)
	}
	next, err := j.Read(j.Cursor("reader"), func(r journal.Record) bool {
		fmt.Println(r.Pos, string(r.Payload))
		return true
	})
	fmt.Println(next, err, j.SetCursor("reader", next))
	// Output:
	// 1 lost
	// 2 by
	// 3 nobody
	// 4 <nil> <nil>
}

// TestReadOnly reads a journal while another one writes it, and changes nothing.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	c := small
	c.Dir = dir
	j, err := journal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for range 10 {
		appendText(t, j)
	}
	if err := errors.Join(j.Sync(), j.SetCursor("r", 3)); err != nil {
		t.Fatal(err)
	}
	appendText(t, j) // not synced
	c.ReadOnly = true
	r, err := journal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, r, 1); len(got) != len(all(t, j, 1)) || r.Cursor("r") != 3 {
		t.Errorf("%d records, the cursor is at %d", len(got), r.Cursor("r"))
	}
	if _, err := r.Append([]byte("x")); err == nil {
		t.Error("appended to what is to be read only")
	}
	if err := r.SetCursor("r", 4); err == nil {
		t.Error("moved a cursor of what is to be read only")
	}
	if err := errors.Join(r.DropCursor("r"), r.Sync(), r.Close()); err != nil {
		t.Error(err)
	}
	appendText(t, j)
	if j.Cursor("r") != 3 {
		t.Errorf("the cursor is at %d", j.Cursor("r"))
	}
	c.Dir = filepath.Join(dir, "missing")
	if _, err := journal.Open(c); err == nil {
		t.Error("a folder that is not there was opened")
	}
	c.Dir = t.TempDir()
	r, err = journal.Open(c)
	if err != nil || r.Next() != 1 || len(all(t, r, 1)) != 0 {
		t.Errorf("an empty folder: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
