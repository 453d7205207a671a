package embedded

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func (o *old) aside() (n int) {
	require.NoError(o.t, o.s.read.QueryRowContext(context.Background(), "SELECT count(*) FROM quarantine").Scan(&n))
	return n
}

// What is released is durable before it is taken out of the quarantine: the
// journal knows it at its old time only. What arrives meanwhile stays.
func TestReleaseDurable(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	require.NoError(t, o.s.Sync(t.Context()))
	o.write("a", -day, sparkplug.Double(1))
	synced := 0
	o.s.syncer.flush = func(f *os.File) error {
		require.Equal(t, 1+min(synced, 1), o.aside())
		require.Len(t, o.numbers("a"), 1)
		if synced++; synced == 1 {
			require.Equal(t, history.WriteResult{Quarantined: 1}, o.write("b", -day, sparkplug.Double(2)))
		}
		return f.Sync()
	}
	res, err := o.s.Release(t.Context(), "G", "N", -day.Milliseconds())
	require.NoError(t, err)
	require.Equal(t, history.WriteResult{Written: 1}, res)
	require.Positive(t, synced)
	require.Equal(t, 1, o.aside())
}

// A clock that is set back while samples are released costs none of them.
func TestReleaseClockSetBack(t *testing.T) {
	o := openOld(t, t.TempDir())
	defer func() { require.NoError(t, o.s.Close()) }()
	o.write("a", -day, sparkplug.Double(1))
	noon, asked := o.now, 0
	o.s.cfg.Now = func() time.Time {
		if asked++; asked == 1 {
			return noon.Add(day)
		}
		return noon
	}
	res, err := o.s.Release(t.Context(), "G", "N", 0)
	require.NoError(t, err)
	require.Equal(t, history.WriteResult{Written: 1}, res)
	require.Equal(t, map[time.Duration]float64{-day: 1}, o.numbers("a"))
}
