package embedded

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// written is a batch as whoever has a journal can write it again.
type written struct {
	metric string
	meta   history.Meta
	point  history.Point
}

func (o *old) again(all []written) {
	var points []history.Point
	for _, w := range all {
		h, err := o.s.Series(context.Background(), history.Key{Group: "G", Node: "N", Metric: w.metric}, w.meta)
		require.NoError(o.t, err)
		p := w.point
		p.Series = h
		points = append(points, p)
	}
	_, err := o.s.Write(context.Background(), points)
	require.NoError(o.t, err)
}

// files are those of a store, below its folder.
func (o *old) files() (all []string) {
	require.NoError(o.t, filepath.WalkDir(o.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, "/damaged/") && filepath.Base(path) != "lock" {
			all = append(all, path)
		}
		return err
	}))
	slices.Sort(all)
	return all
}

// harm damages a file.
func harm(t *rapid.T, file string, closed bool) string {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	how := rapid.SampledFrom([]string{"flip", "truncate", "remove", "overwrite"}).Draw(t, "how")
	if how == "flip" && filepath.Base(file) == "catalog.db" && !closed {
		how = "overwrite" // SQLite has no checksums: see docs/loss.md
	}
	switch {
	case how == "remove" || len(b) == 0:
		require.NoError(t, os.Remove(file))
	case how == "flip":
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		require.NoError(t, os.WriteFile(file, b, 0o600))
	case how == "truncate":
		require.NoError(t, os.Truncate(file, int64(rapid.IntRange(0, len(b)-1).Draw(t, "to"))))
	default:
		copy(b, strings.Repeat("garbage!", 20))
		require.NoError(t, os.WriteFile(file, b, 0o600))
	}
	return how
}

// Whatever is damaged of a store, it opens, says so unless nothing is lost, and
// has all again once that was written again which is in the journal: what was not
// synced in any case, and all of it after damage.
func TestDamageLaw(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: hundreds of stores are opened")
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // each takes half a second
		require.NoError(t, f.Value.Set("25"))
		defer func() { require.NoError(t, f.Value.Set(f.DefValue)) }()
	}
	said, silent := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		o := &old{t: rt, now: time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)}
		o.cfg = Config{Dir: dir, Now: func() time.Time { return o.now }, Retention: 90 * day, OutOfOrder: 10 * day, Log: slog.New(slog.DiscardHandler)}
		o.open()
		var all []written
		want := map[string]map[int64]sparkplug.Value{}
		synced := 0
		kinds := []func(i int) sparkplug.Value{
			func(i int) sparkplug.Value { return sparkplug.Double(float64(i) / 3) },
			func(i int) sparkplug.Value { return sparkplug.Uint(sparkplug.TypeUInt64, 1<<60+uint64(i)) },
			func(i int) sparkplug.Value { return sparkplug.String(fmt.Sprint("text ", i)) },
			func(i int) sparkplug.Value { return sparkplug.Boolean(i%2 == 0) },
		}
		for i := range rapid.IntRange(3, 16).Draw(rt, "writes") {
			k := rapid.IntRange(0, len(kinds)-1).Draw(rt, "kind")
			v := kinds[k](i)
			metric := fmt.Sprint("m", k)
			age := time.Duration(rapid.IntRange(0, 40).Draw(rt, "days"))*day + time.Duration(i)*time.Second
			w := written{metric, history.Meta{Type: v.Type(), Unit: "V"}, history.Point{Timestamp: o.now.Add(-age).UnixMilli(), Value: v, Quality: history.QualityGood}}
			if k == 3 && i%5 == 0 {
				w.point.Quality = history.QualityBad
			}
			o.again([]written{w})
			all = append(all, w)
			if want[metric] == nil {
				want[metric] = map[int64]sparkplug.Value{}
			}
			if _, known := want[metric][w.point.Timestamp]; !known {
				want[metric][w.point.Timestamp] = v
			}
			switch rapid.IntRange(0, 9).Draw(rt, "then") {
			case 0:
				o.flush()
			case 1:
				o.reload()
			case 2, 3:
				require.NoError(rt, o.s.Sync(context.Background()))
				synced = len(all)
			}
		}
		closed := rapid.Bool().Draw(rt, "closed")
		if closed {
			require.NoError(rt, o.s.Close())
			synced = len(all)
		} else {
			o.kill()
		}
		var harmed []string
		for range rapid.IntRange(1, 3).Draw(rt, "harms") {
			file := rapid.SampledFrom(o.files()).Draw(rt, "file")
			harmed = append(harmed, harm(rt, file, closed)+" "+strings.TrimPrefix(file, dir))
		}
		o.open()
		defer func() { require.NoError(rt, o.s.Close()) }()
		damaged := o.s.Damaged()
		from := synced
		if len(damaged) > 0 {
			from = 0
			said++
		} else {
			silent++
		}
		o.again(all[from:])
		for metric, values := range want {
			got := map[int64]sparkplug.Value{}
			err := o.s.Raw(context.Background(), history.Key{Group: "G", Node: "N", Metric: metric}, 0, math.MaxInt64, func(s history.Sample) bool {
				got[s.Timestamp] = s.Value
				return true
			})
			require.NoError(rt, err, "%v, %v", harmed, damaged)
			for ts, v := range values {
				g, ok := got[ts]
				require.True(rt, ok && g.Equal(v), "%s at %d is %v, want %v; closed %t, harmed %v, said %q", metric, ts, g, v, closed, harmed, damaged)
			}
			require.Len(rt, got, len(values), "%v, %v", harmed, damaged)
		}
	})
	t.Logf("%d times damage was found, %d times nothing was lost", said, silent)
}
