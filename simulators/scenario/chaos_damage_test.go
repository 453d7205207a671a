package scenario_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChaosDamage kills the host and damages a file of its history, a random one
// in a random way, again and again: what was lost is written again from the
// journal.
func TestChaosDamage(t *testing.T) {
	t.Parallel()
	r := newRig(t, chaosBroker(t).addr, "")
	dir := filepath.Join(r.dir, "plant", "history")
	var worst time.Duration
	n := min(kills(t, 4), 20)
	for range n {
		r.run(60)
		r.run(60)
		if r.rand.IntN(2) == 0 {
			r.host.stop()
		} else {
			r.host.kill()
		}
		t.Logf("damage: %s", r.damage(dir))
		r.startHost()
		worst = max(worst, r.right())
		r.sunk("history")
		r.note()
	}
	r.report("a file of the history damaged", fmt.Sprintf("%d times", n), worst, 10*time.Second)
}

// damage harms a file in a folder and says what it did.
func (r *rig) damage(dir string) string {
	r.t.Helper()
	var files []string
	require.NoError(r.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Base(path) != "lock" && !strings.Contains(path, "/damaged/") {
			files = append(files, path)
		}
		return err
	}))
	slices.Sort(files)
	file := files[r.rand.IntN(len(files))]
	b, err := os.ReadFile(file)
	require.NoError(r.t, err)
	how := r.rand.IntN(3)
	switch {
	case how == 0 || len(b) == 0:
		require.NoError(r.t, os.Remove(file))
		return "removed " + file
	case how == 1:
		to := r.rand.IntN(len(b))
		require.NoError(r.t, os.Truncate(file, int64(to)))
		return fmt.Sprintf("cut %s from %d to %d bytes", file, len(b), to)
	}
	copy(b, "this is not what was written here")
	require.NoError(r.t, os.WriteFile(file, b, 0o600))
	return "overwrote the beginning of " + file
}
