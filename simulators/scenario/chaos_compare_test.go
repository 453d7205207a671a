package scenario_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"path/filepath"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
)

// note adds to the truth what is in the spool now.
func (r *rig) note() {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), program(r.t, "magneto-edge"), "--json", "spool", "dump", "--all", "-c", r.agent).Output()
	require.NoError(r.t, err)
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var s struct {
			Metric string  `json:"metric"`
			Time   int64   `json:"time"`
			Value  float64 `json:"value"`
		}
		require.NoError(r.t, json.Unmarshal(lines.Bytes(), &s))
		at := sampleAt{s.Metric, s.Time}
		if was, ok := r.truth[at]; ok && was != s.Value {
			r.t.Errorf("the spool has %v and %v for %+v", was, s.Value, at)
		}
		r.truth[at] = s.Value
	}
}

// waiting is an error as long as more samples than that are in the spool that
// have not arrived.
func (r *rig) waiting(most int64) error {
	out, err := exec.CommandContext(r.t.Context(), program(r.t, "magneto-edge"), "--json", "spool", "show", "-c", r.agent).Output()
	if err != nil {
		return err
	}
	var s struct {
		Waiting, Samples, Unreadable int64
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return err
	}
	if s.Unreadable != 0 {
		r.t.Errorf("%d records cannot be read", s.Unreadable)
	}
	if s.Samples > most {
		return fmt.Errorf("%d records, %d samples wait", s.Waiting, s.Samples)
	}
	return nil
}

// delivered waits until the host has acknowledged all that is in the spool and
// every store has it.
func (r *rig) delivered() {
	r.t.Helper()
	until(r.t, "all that is in the spool has arrived", func() error { return r.waiting(0) })
	r.sunk("history")
}

// sunk waits until a store has all that the host has taken in.
func (r *rig) sunk(sink string) {
	r.t.Helper()
	until(r.t, "the store has all", func() error {
		body, err := r.get("/metrics")
		if err != nil {
			return err
		}
		if !bytes.Contains(body, fmt.Appendf(nil, "magneto_host_sink_behind_records{sink=%q} 0\n", sink)) {
			return errors.New("records wait")
		}
		return nil
	})
}

// losses are what the comparison of spool and history gives.
type losses struct{ samples, lost, wrong, doubled int }

func (l losses) String() string {
	return fmt.Sprintf("%d samples: %d lost, %d doubled, %d with another value", l.samples, l.lost, l.doubled, l.wrong)
}

// compare ends the changes, waits until all has arrived and compares.
func (r *rig) compare() losses {
	r.t.Helper()
	r.quiet()
	r.delivered()
	r.note()
	r.host.stop() // to look into its store: a query does not show a value that fell on a marker
	stored, doubled := r.stored("plant")
	return r.against(stored, doubled)
}

// stored is what the history in a data folder has of the device, and how many
// samples it has twice. Nobody else may have it open.
func (r *rig) stored(plant string) (stored map[sampleAt]float64, doubled int) {
	r.t.Helper()
	store, err := embedded.Open(embedded.Config{Dir: filepath.Join(r.dir, plant, "history"), Log: slog.New(slog.DiscardHandler)})
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, store.Close()) }()
	stored = map[sampleAt]float64{}
	for i := range chaosTags {
		name := fmt.Sprint("T", i)
		key := history.Key{Group: "G", Node: "E", Device: "D", Metric: name}
		require.NoError(r.t, store.Raw(r.t.Context(), key, 0, math.MaxInt64, func(s history.Sample) bool {
			if s.Value.IsNull() {
				return true
			}
			at := sampleAt{name, s.Timestamp}
			if _, twice := stored[at]; twice {
				doubled++
			}
			stored[at] = s.Value.Float64()
			return true
		}))
	}
	return stored, doubled
}

// against compares the truth with what is stored.
func (r *rig) against(stored map[sampleAt]float64, doubled int) losses {
	l := losses{samples: len(r.truth), doubled: doubled}
	for at, want := range r.truth {
		switch got, ok := stored[at]; {
		case !ok:
			if l.lost++; l.lost <= 5 {
				r.t.Logf("lost: %+v = %v", at, want)
			}
		case got != want:
			l.wrong++
		}
	}
	return l
}
