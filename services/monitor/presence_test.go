package monitor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/monitor"
)

func sayStates(states []event.AssetState) string {
	var s []string
	for _, e := range states {
		s = append(s, fmt.Sprintf("%s %s %d", e.State, e.Cause, int(e.Since.Sub(t0)/time.Second)))
	}
	return strings.Join(s, ", ")
}

func TestPresence(t *testing.T) {
	type sig = monitor.Signal
	for name, tt := range map[string]struct {
		rule monitor.PresenceRule
		in   []sig // one a second, from second 1
		want string
	}{
		"born, dead":          {monitor.PresenceRule{}, []sig{{Cause: monitor.NBirth, BdSeq: 3}, {Cause: monitor.Data}, {Cause: monitor.NDeath, BdSeq: 3}}, "ONLINE NBIRTH 1; ; OFFLINE NDEATH 3"},
		"late death":          {monitor.PresenceRule{}, []sig{{Cause: monitor.NBirth, BdSeq: 4}, {Cause: monitor.NDeath, BdSeq: 3}}, "ONLINE NBIRTH 1; "},
		"rebirth":             {monitor.PresenceRule{}, []sig{{Cause: monitor.NBirth}, {Cause: monitor.NBirth}}, "ONLINE NBIRTH 1; "},
		"unknown, dead":       {monitor.PresenceRule{}, []sig{{Cause: monitor.Lost}, {Cause: monitor.Data}, {Cause: monitor.NDeath, BdSeq: 9}}, "; ; OFFLINE NDEATH 3"},
		"device":              {monitor.PresenceRule{}, []sig{{Cause: monitor.DBirth}, {Cause: monitor.DDeath, BdSeq: 7}, {Cause: monitor.Lost}, {Cause: monitor.Data}}, "ONLINE DBIRTH 1; OFFLINE DDEATH 2; ; "},
		"lost needs a birth":  {monitor.PresenceRule{}, []sig{{Cause: monitor.DBirth}, {Cause: monitor.Lost}, {Cause: monitor.Data}, {Cause: monitor.DBirth}}, "ONLINE DBIRTH 1; STALE lost 2; ; ONLINE DBIRTH 4"},
		"silence":             {monitor.PresenceRule{Silence: 2 * second}, []sig{{Cause: monitor.NBirth}, {Cause: monitor.Passed}, {Cause: monitor.Passed}, {Cause: monitor.Data}}, "ONLINE NBIRTH 1; ; STALE timeout 3; ONLINE data 4"},
		"silence, seen late":  {monitor.PresenceRule{Silence: 2 * second}, []sig{{Cause: monitor.NBirth}, {Cause: monitor.Passed}, {Cause: monitor.Data}}, "ONLINE NBIRTH 1; ; STALE timeout 3, ONLINE data 3"},
		"flaps":               {monitor.PresenceRule{Debounce: 2 * second}, []sig{{Cause: monitor.NBirth}, {Cause: monitor.Passed}, {Cause: monitor.NDeath}, {Cause: monitor.NBirth}, {Cause: monitor.NDeath}, {Cause: monitor.Passed}, {Cause: monitor.Passed}}, "; ; ONLINE NBIRTH 1; ; ; ; OFFLINE NDEATH 5"},
		"stale, then offline": {monitor.PresenceRule{Debounce: 2 * second}, []sig{{Cause: monitor.NBirth}, {}, {Cause: monitor.Lost}, {Cause: monitor.DDeath}, {Cause: monitor.Passed}}, "; ; ONLINE NBIRTH 1; ; OFFLINE DDEATH 4"},
	} {
		t.Run(name, func(t *testing.T) {
			p := monitor.NewPresence()
			var got []string
			for i, s := range tt.in {
				s.At = at(float64(i + 1))
				if s.Cause == "" {
					s.Cause = monitor.Passed
				}
				next, fx, err := p.Step(tt.rule, s)
				require.NoError(t, err)
				p = next
				got = append(got, sayStates(fx))
			}
			require.Equal(t, tt.want, strings.Join(got, "; "))
		})
	}
	p := monitor.NewPresence()
	for want, s := range map[string]monitor.Signal{
		"signal.at: is missing":             {Cause: monitor.Passed},
		"signal.cause: \"timeout\" is none": {At: t0, Cause: monitor.Silence},
	} {
		next, fx, err := p.Step(monitor.PresenceRule{}, s)
		require.ErrorContains(t, err, "monitor: "+want)
		require.Equal(t, p, next)
		require.Empty(t, fx)
	}
	require.NoError(t, monitor.PresenceRule{}.Check())
	require.ErrorContains(t, monitor.PresenceRule{Silence: -1, Debounce: -1}.Check(), "debounce: -1ns")
}

// What is told has changed each time, no sooner than the debounce; what is told last
// is what is, once it was quiet; ticks in between and restarts change nothing.
func TestPresenceLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := monitor.PresenceRule{
			Silence:  monitor.Duration(rapid.IntRange(0, 9).Draw(t, "silence")) * second,
			Debounce: monitor.Duration(rapid.IntRange(0, 5).Draw(t, "debounce")) * second,
		}
		a, b := monitor.NewPresence(), monitor.NewPresence()
		var told, toldB []event.AssetState
		now := t0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			for range rapid.IntRange(0, 5).Draw(t, "passes") {
				now = now.Add(time.Second)
				b = stepB(t, b, r, monitor.Signal{At: now, Cause: monitor.Passed}, &toldB)
			}
			causes := []monitor.Cause{monitor.NBirth, monitor.NDeath, monitor.DDeath, monitor.Lost, monitor.Data, monitor.Passed}
			s := monitor.Signal{At: now, Cause: rapid.SampledFrom(causes).Draw(t, "cause"), BdSeq: rapid.Uint64Range(0, 1).Draw(t, "bdseq")}
			next, fx, err := a.Step(r, s)
			require.NoError(t, err)
			a, told = next, append(told, fx...)
			b = stepB(t, b, r, s, &toldB)
		}
		require.Equal(t, told, toldB)
		require.Equal(t, a.State, b.State)
		end := a.Deadline(r)
		for !end.IsZero() {
			next, fx, err := a.Step(r, monitor.Signal{At: end, Cause: monitor.Passed})
			require.NoError(t, err)
			a, told = next, append(told, fx...)
			end = a.Deadline(r)
		}
		require.Equal(t, a.State, a.Told)
		last := monitor.Unknown
		for _, e := range told {
			require.NotEqual(t, last, e.State)
			last = e.State
		}
		require.Equal(t, a.Told, last)
	})
}

// stepB steps one that is kept as JSON in between.
func stepB(t require.TestingT, p monitor.Presence, r monitor.PresenceRule, s monitor.Signal, told *[]event.AssetState) monitor.Presence {
	p, fx, err := p.Step(r, s)
	require.NoError(t, err)
	*told = append(*told, fx...)
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var again monitor.Presence
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, p, again)
	return again
}

func TestPresenceCounts(t *testing.T) {
	r := monitor.PresenceRule{Debounce: 10 * second}
	p := monitor.NewPresence()
	for i, s := range []monitor.Signal{
		{Cause: monitor.NBirth, BdSeq: 5},
		{Cause: monitor.NDeath, BdSeq: 4},
		{At: at(20), Cause: monitor.Passed},
		{At: at(21), Cause: monitor.NDeath, BdSeq: 5},
		{At: at(22), Cause: monitor.NBirth, BdSeq: 6},
		{At: at(99), Cause: monitor.Passed},
	} {
		if s.At.IsZero() {
			s.At = at(float64(i + 1))
		}
		next, _, err := p.Step(r, s)
		require.NoError(t, err)
		p = next
	}
	require.Equal(t, []uint64{1, 1}, []uint64{p.Older, p.Flaps})
	require.Equal(t, monitor.Online, p.Told)
}
