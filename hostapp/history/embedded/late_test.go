package embedded

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// old is a store whose samples are all too late for the TSDB's head.
type old struct {
	t   require.TestingT
	s   *Store
	cfg Config
	now time.Time
}

const day = 24 * time.Hour

func openOld(t require.TestingT, dir string) *old {
	o := &old{t: t, now: time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)}
	o.cfg = Config{Dir: dir, Now: func() time.Time { return o.now }, Retention: 90 * day, OutOfOrder: day}
	o.open()
	o.write("now", 0, sparkplug.Double(0))
	return o
}

func (o *old) open() {
	s, err := Open(o.cfg)
	require.NoError(o.t, err)
	o.s = s
}

// kill ends the store as a kill of the process does.
func (o *old) kill() {
	o.s.closing.Store(true) // only for the log
	require.NoError(o.t, o.s.closeFiles())
	require.NoError(o.t, o.s.release())
}

func (o *old) write(metric string, age time.Duration, v sparkplug.Value) history.WriteResult {
	key := history.Key{Group: "G", Node: "N", Metric: metric}
	h, err := o.s.Series(context.Background(), key, history.Meta{Type: sparkplug.TypeDouble})
	require.NoError(o.t, err)
	r, err := o.s.Write(context.Background(), []history.Point{{Series: h, Timestamp: o.now.Add(-age).UnixMilli(), Value: v, Quality: history.QualityGood}})
	require.NoError(o.t, err)
	return r
}

// look has the TSDB load new blocks.
func (o *old) look() { require.NoError(o.t, o.s.db.CompactOOOHead(context.Background())) }

// reload has the TSDB merge what overlaps, of the blocks in its folder.
func (o *old) reload() { require.NoError(o.t, o.s.db.Compact(context.Background())) }

func (o *old) flush() {
	o.s.wmu.Lock()
	defer o.s.wmu.Unlock()
	require.NoError(o.t, o.s.flushLate(context.Background()))
}

// rows counts the rows by kind.
func (o *old) rows() map[int]int {
	rows, err := o.s.read.QueryContext(context.Background(), "SELECT kind, count(*) FROM sample GROUP BY kind")
	require.NoError(o.t, err)
	defer rows.Close()
	all := map[int]int{}
	for rows.Next() {
		var kind, n int
		require.NoError(o.t, rows.Scan(&kind, &n))
		all[kind] = n
	}
	require.NoError(o.t, rows.Err())
	return all
}

// numbers are the numbers that Raw gives, by age.
func (o *old) numbers(metric string) map[time.Duration]float64 {
	all := map[time.Duration]float64{}
	require.NoError(o.t, o.s.Raw(context.Background(), history.Key{Group: "G", Node: "N", Metric: metric}, 0, math.MaxInt64, func(s history.Sample) bool {
		if s.Value.Type() != sparkplug.TypeString {
			all[o.now.Sub(time.UnixMilli(s.Timestamp))] = s.Value.Float64()
		}
		return true
	}))
	return all
}

// Rows go also when the TSDB has merged their block into another before the
// store has looked.
func TestLateMerged(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", 50*day, sparkplug.Double(1))
	o.flush()
	o.reload()
	first := o.s.late.written
	require.Len(t, first, 1)
	o.s.late.written = nil // as far as the store knows it has written none
	o.write("a", 50*day+time.Second, sparkplug.Double(2))
	o.flush()
	o.reload()
	for _, b := range o.s.db.Blocks() {
		require.NotEqual(t, first[0], b.Meta().ULID, "the blocks were not merged: this tests nothing")
	}
	o.s.late.written = append(first, o.s.late.written...)
	o.write("now", -time.Second, sparkplug.Double(0))
	require.Empty(t, o.s.late.written)
	require.Empty(t, o.rows())
	require.Zero(t, o.s.late.rows)
	require.Equal(t, map[time.Duration]float64{50 * day: 1, 50*day + time.Second: 2}, o.numbers("a"))
}

// A value that takes the place of a null whose block is being loaded stays.
func TestLateNullReplaced(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", 45*day, sparkplug.Double(1))
	o.write("b", 45*day, sparkplug.Double(1))
	o.write("a", 50*day, sparkplug.Null(sparkplug.TypeDouble))
	o.flush()
	require.Len(t, o.s.late.written, 2)
	require.Equal(t, history.WriteResult{Written: 1}, o.write("a", 50*day, sparkplug.Double(7)))
	o.write("b", 50*day, sparkplug.Null(sparkplug.TypeDouble))
	require.Equal(t, history.WriteResult{Written: 1}, o.write("b", 50*day, sparkplug.String("x")))
	for range 2 { // the text ends what was before it, for which it waits too
		o.kill()
		o.open() // which loads the blocks
		o.flush()
	}
	require.Equal(t, map[int]int{rowOwn: 2}, o.rows())
	require.Zero(t, o.s.late.rows)
	require.Equal(t, o.numbers("a"), o.promNumbers("a"))
	require.Equal(t, map[time.Duration]float64{50 * day: 7, 45 * day: 1}, o.numbers("a"))
}

// After a kill between the block and the rows there is no second block.
func TestLateKilled(t *testing.T) {
	o := openOld(t, t.TempDir())
	o.write("a", 50*day, sparkplug.Double(1))
	o.flush()
	require.Equal(t, map[int]int{rowLate: 1}, o.rows())
	o.kill()
	o.open()
	defer func() { require.NoError(t, o.s.Close()) }()
	o.flush()
	require.Empty(t, o.s.late.written)
	require.Empty(t, o.rows())
	require.Equal(t, map[time.Duration]float64{50 * day: 1}, o.numbers("a"))
}

// The count of what waits is right after the retention has taken some of it.
func TestLateExpired(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", 90*day-time.Minute, sparkplug.Double(1))
	o.write("a", 50*day, sparkplug.Double(2))
	require.Equal(t, 2, o.s.late.rows)
	o.s.late.since = o.now.Add(day) // not yet
	o.now = o.now.Add(2 * time.Hour)
	o.write("now", 0, sparkplug.Double(0))
	require.Equal(t, 1, o.s.late.rows)
}

// Whatever is written, late or not, killed and reopened, merged or not: Raw and
// PromQL give the first value of each time, and PromQL's value at a time is that
// of LastBefore.
func TestLateLaw(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: hundreds of stores are opened")
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		o := openOld(rt, dir)
		defer func() { require.NoError(rt, o.s.Close()) }()
		want, texts := map[time.Duration]float64{}, map[time.Duration]bool{}
		hours := rapid.OneOf(rapid.IntRange(40*24, 41*24), rapid.IntRange(0, 20)) // the TSDB takes the latter
		steps := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 20).Draw(rt, "steps")
		for i, step := range steps {
			age := time.Duration(hours.Draw(rt, "hours")) * time.Hour
			_, known := want[age]
			known = known || texts[age]
			switch step {
			case 0:
				o.flush()
			case 1:
				o.reload()
			case 2:
				o.kill() // a kill: nothing is written in the end
				o.open()
			case 3:
				require.NoError(rt, o.s.Close())
				o.open()
			case 4:
				o.look()
			case 5, 6:
				o.write("a", age, sparkplug.Null(sparkplug.TypeDouble))
			case 7:
				o.write("a", age, sparkplug.String("x"))
				texts[age] = texts[age] || !known
			default:
				o.write("a", age, sparkplug.Double(float64(i)))
				if !known {
					want[age] = float64(i)
				}
			}
			require.Equal(rt, want, o.numbers("a"), "Raw after step %d of %v", i, steps)
			require.Equal(rt, want, o.promNumbers("a"), "PromQL after step %d of %v", i, steps)
			for _, h := range []int{hours.Draw(rt, "asked"), hours.Draw(rt, "asked")} {
				o.same("a", time.Duration(h)*time.Hour)
				o.same("a", time.Duration(h)*time.Hour-time.Millisecond)
			}
		}
	})
}

// Sync leaves the locks alone that tell other programs that the catalogue is in
// use.
func TestSyncKeepsLocks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: reads /proc/locks")
	}
	dir := t.TempDir()
	o := openOld(t, dir)
	defer func() { require.NoError(t, o.s.Close()) }()
	var stat syscall.Stat_t
	require.NoError(t, syscall.Stat(filepath.Join(dir, "catalog.db"), &stat))
	locks := func() int {
		all, err := os.ReadFile("/proc/locks")
		require.NoError(t, err)
		return len(regexp.MustCompile(`(?m)POSIX.* `+strconv.Itoa(os.Getpid())+` \S+:`+strconv.FormatUint(stat.Ino, 10)+` `).FindAll(all, -1))
	}
	before := locks()
	require.Positive(t, before)
	require.NoError(t, o.s.Sync(t.Context()))
	require.Equal(t, before, locks())
}

// After an fsync that failed Sync does not say that all is well.
func TestSyncFailed(t *testing.T) {
	o := openOld(t, t.TempDir())
	full := errors.New("no space left on device")
	o.s.syncer.flush = func(*os.File) error { return full }
	require.ErrorIs(t, o.s.Sync(t.Context()), full)
	o.s.syncer.flush = (*os.File).Sync
	require.ErrorIs(t, o.s.Sync(t.Context()), full)
	require.NoError(t, o.s.Close())
	o.open()
	require.NoError(t, o.s.Sync(t.Context()))
	require.NoError(t, o.s.Close())
}

// What has nothing to do with what was written before is no reason to give up.
func TestSyncAgain(t *testing.T) {
	for name, harm := range map[string]string{"no note": checksFile + ".new", "no folder": "tsdb/wal"} {
		t.Run(name, func(t *testing.T) {
			o := openOld(t, t.TempDir())
			defer func() { require.NoError(t, o.s.Close()) }()
			file := filepath.Join(o.cfg.Dir, harm)
			if err := os.Rename(file, file+".away"); err == nil {
				require.NoError(t, os.WriteFile(file, nil, 0o600))
			} else {
				require.NoError(t, os.Mkdir(file, 0o750))
			}
			require.Error(t, o.s.Sync(t.Context()))
			require.NoError(t, os.Remove(file))
			_ = os.Rename(file+".away", file) // if there was one
			require.NoError(t, o.s.Sync(t.Context()))
		})
	}
}
