package influx_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/influx"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// server is a database as far as a writer sees it. Lines that contain "poison"
// are refused: the others of a request are stored when partial is set, and none
// of them when it is not.
type server struct {
	mu       sync.Mutex
	lines    map[string]bool
	requests int
	partial  bool
	mute     bool   // says nothing of lines when it refuses
	version  string // of /ping
	fail     func(n int) (status int, header string)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Influxdb-Version", cmp.Or(s.version, "v2.7.1"))
	if r.URL.Path == "/ping" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.requests++
	if s.fail != nil {
		if status, after := s.fail(s.requests); status != 0 {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	refused := 0
	var taken []string
	for line := range strings.Lines(string(body)) {
		if strings.Contains(line, "poison") {
			refused++
		} else {
			taken = append(taken, strings.TrimSuffix(line, "\n"))
		}
	}
	if refused == 0 || s.partial {
		for _, l := range taken {
			s.lines[l] = true
		}
	}
	if refused == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reason := "unable to parse"
	switch {
	case s.mute:
		reason = "no"
	case s.partial:
		reason = fmt.Sprintf("partial write: field type conflict dropped=%d", refused)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"code":"invalid","message":%q}`, reason)
}

func (s *server) stored() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

type tb interface {
	require.TestingT
	Cleanup(func())
	Helper()
}

func open(t tb, s *server, dir string, change func(*influx.Config)) *influx.Store {
	t.Helper()
	s.lines = map[string]bool{}
	web := httptest.NewServer(s)
	c := influx.Config{URL: web.URL, Org: "o", Bucket: "b", DeadLetters: filepath.Join(dir, "dead", "influx.jsonl"), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	store, err := influx.Open(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, store.Close())
		web.Close()
	})
	return store
}

func letters(t require.TestingT, dir string) (all []influx.DeadLetter) {
	f, err := os.Open(filepath.Join(dir, "dead", "influx.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, influx.ReadDeadLetters(f, func(l influx.DeadLetter) bool { all = append(all, l); return true }))
	return all
}

// samples makes a point a millisecond, of two series: one that is refused where
// bad says so.
func samples(t require.TestingT, s *influx.Store, bad []bool) []history.Point {
	fine, err := s.Series(context.Background(), history.Key{Group: "G", Node: "N", Metric: "fine"}, history.Meta{Type: sparkplug.TypeInt32})
	require.NoError(t, err)
	poison, err := s.Series(context.Background(), history.Key{Group: "G", Node: "N", Metric: "poison"}, history.Meta{Type: sparkplug.TypeInt32})
	require.NoError(t, err)
	points := make([]history.Point, len(bad))
	for i := range points {
		points[i] = history.Point{Series: fine, Timestamp: int64(i), Value: sparkplug.Int(sparkplug.TypeInt32, int64(i)), Quality: history.QualityGood}
		if bad[i] {
			points[i].Series = poison
		}
	}
	return points
}

// Whatever is refused, all else is stored, and what is refused is a dead letter
// once.
func TestBisectLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		s := &server{partial: rapid.Bool().Draw(rt, "partial")}
		store := open(rt, s, dir, func(c *influx.Config) { c.BatchLines = rapid.IntRange(1, 40).Draw(rt, "batch") })
		bad := rapid.SliceOfN(rapid.Bool(), 1, 100).Draw(rt, "bad")
		guilty := 0
		for _, b := range bad {
			if b {
				guilty++
			}
		}
		res, err := store.Write(t.Context(), samples(rt, store, bad))
		require.NoError(rt, err)
		require.Equal(rt, history.WriteResult{Written: len(bad) - guilty, Rejected: guilty}, res)
		require.Equal(rt, len(bad)-guilty, s.stored())
		dead := letters(rt, dir)
		require.Len(rt, dead, guilty)
		for _, l := range dead {
			require.Contains(rt, l.Line, "poison")
			require.NotEmpty(rt, l.Reason)
		}
	})
}

// A server that is away, or asks to wait, costs nothing.
func TestAgain(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	s := &server{fail: func(n int) (int, string) {
		return [...]int{503, 429, 0}[min(n-1, 2)], [...]string{"", "30", ""}[min(n-1, 2)]
	}}
	store := open(t, s, dir, func(c *influx.Config) { c.Now = func() time.Time { return now } })
	points := samples(t, store, make([]bool, 10))
	points = append(points, history.Point{Series: points[0].Series, Timestamp: 3, Quality: history.QualityStale, Stale: true})
	for range 2 {
		_, err := store.Write(t.Context(), points)
		require.Error(t, err)
	}
	_, err := store.Write(t.Context(), points)
	require.ErrorContains(t, err, "asked to wait for another 30s")
	require.Equal(t, 2, s.requests)
	now = now.Add(30 * time.Second)
	res, err := store.Write(t.Context(), points)
	require.NoError(t, err)
	require.Equal(t, history.WriteResult{Written: 10, Markers: 1}, res)
	require.True(t, s.lines["sparkplug,group=G,edge_node=N,metric=fine q=500i 10"], "a marker after the newest, also the second time: %v", s.lines)
	res, err = store.Write(t.Context(), points[10:])
	require.NoError(t, err)
	require.Equal(t, history.WriteResult{Duplicates: 1}, res)
}

// What no server would take is not blamed on the lines.
func TestEveryLineRefused(t *testing.T) {
	dir := t.TempDir()
	s := &server{mute: true}
	store := open(t, s, dir, nil)
	_, err := store.Write(t.Context(), samples(t, store, slices.Repeat([]bool{true}, 1000)))
	require.ErrorContains(t, err, "every line is refused")
	require.Empty(t, letters(t, dir))
	require.Less(t, s.requests, 200)
	res, err := store.Write(t.Context(), samples(t, store, []bool{true, false, true}))
	require.NoError(t, err, "one of them was taken: it is not the request")
	require.Equal(t, history.WriteResult{Written: 1, Rejected: 2}, res)
}

func TestRefusesToWrite(t *testing.T) {
	for status, want := range map[int]string{401: "look at the token", 403: "look at the token", 404: "is not there", 500: "500"} {
		s := &server{fail: func(int) (int, string) { return status, "" }}
		dir := t.TempDir()
		store := open(t, s, dir, nil)
		_, err := store.Write(t.Context(), samples(t, store, []bool{false}))
		require.ErrorContains(t, err, want)
		require.Empty(t, letters(t, dir))
	}
}

func TestDeadLettersFull(t *testing.T) {
	dir := t.TempDir()
	s := &server{}
	var log bytes.Buffer
	store := open(t, s, dir, func(c *influx.Config) {
		c.DeadLetterBytes = 1000
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	bad := slices.Repeat([]bool{true}, 50)
	res, err := store.Write(t.Context(), samples(t, store, append(bad, false)))
	require.NoError(t, err)
	require.Equal(t, 50, res.Rejected)
	kept := len(letters(t, dir))
	require.Positive(t, kept)
	require.Equal(t, 50-kept, store.Stats().DeadLettersDropped)
	require.Equal(t, 1, strings.Count(log.String(), "is full"))
	info, err := os.Stat(filepath.Join(dir, "dead", "influx.jsonl"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(1000))
}

func TestEvents(t *testing.T) {
	s := &server{}
	store := open(t, s, t.TempDir(), nil)
	e := []history.Event{
		{At: 5, Group: "G", Node: "N", Kind: history.NBIRTH, BdSeq: 3},
		{At: 6, Node: "plant", Kind: history.STATE, Detail: "online"},
	}
	require.NoError(t, store.Record(t.Context(), e...))
	require.NoError(t, store.Record(t.Context(), e...))
	require.Equal(t, map[string]bool{
		`sparkplug_event,group=G,edge_node=N,kind=NBIRTH bdseq=3i,detail="" 5`: true,
		`sparkplug_event,host=plant,kind=STATE bdseq=0i,detail="online" 6`:     true,
	}, s.lines)
}

func TestConfig(t *testing.T) {
	for fault, c := range map[string]influx.Config{
		"want http://": {URL: "db:8086", Bucket: "b", DeadLetters: "x"},
		"token":        {URL: "http://u:p@db", Bucket: "b", DeadLetters: "x"},
		"no ?":         {URL: "http://db?x=1", Bucket: "b", DeadLetters: "x"},
		"bucket":       {URL: "http://db", DeadLetters: "x"},
		"dead-letter":  {URL: "http://db", Bucket: "b"},
		"negative":     {URL: "http://db", Bucket: "b", DeadLetters: "x", Timeout: -1},
	} {
		_, err := influx.Open(c)
		require.ErrorContains(t, err, fault)
	}
	store := open(t, &server{}, t.TempDir(), nil)
	_, err := store.Series(t.Context(), history.Key{Group: "G"}, history.Meta{})
	require.Error(t, err)
	res, err := store.Write(t.Context(), []history.Point{{Series: 99}, {}})
	require.NoError(t, err)
	require.Equal(t, history.WriteResult{Invalid: 2}, res)
}
