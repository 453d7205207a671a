package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

const counting = "CREATE TABLE effect (id TEXT NOT NULL, asset TEXT NOT NULL)"

func config(dir string) store.Config {
	return store.Config{
		Service: "workorder", Site: "plant1", DSN: "sqlite:" + filepath.Join(dir, "workorder.db"),
		Migrations: []string{counting}, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t require.TestingT, c store.Config) *store.Store {
	s, err := store.Open(context.Background(), c)
	require.NoError(t, err)
	return s
}

// anomaly is the nth event of another service.
func anomaly(n int) event.Event {
	return event.Event{
		ID: event.IDFrom("anomaly", strconv.Itoa(n)), Source: "/services/health", Type: event.AnomalyDetected, Site: "plant1",
		Subject: fmt.Sprint("A-", n), Time: noon, Sequence: 1, Correlation: fmt.Sprint("A-", n),
	}
}

// order is the effect of an anomaly: a row, and an event that follows from it.
func order(e event.Event) func(*store.Tx) error {
	return func(t *store.Tx) error {
		if _, err := t.Exec("INSERT INTO effect VALUES (?,?)", e.ID, e.Subject); err != nil {
			return err
		}
		_, err := t.Emit(store.Draft{Type: event.WorkOrderStateChanged, Subject: "WO-1", Data: map[string]string{"of": e.Subject}})
		return err
	}
}

func effects(t require.TestingT, s *store.Store) map[string]int {
	rows, err := s.Read().QueryContext(context.Background(), "SELECT id, count(*) FROM effect GROUP BY id")
	require.NoError(t, err)
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		require.NoError(t, rows.Scan(&id, &n))
		all[id] = n
	}
	require.NoError(t, rows.Err())
	return all
}

func feed(t require.TestingT, s *store.Store) (all []store.Said) {
	for after := int64(0); ; {
		page, err := s.Feed(context.Background(), after, 7)
		require.NoError(t, err)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].N
	}
}

// In whatever order events come, however often, and however often their effect
// fails or the database is opened anew: each has its effect once, and what follows
// from it is said once, numbered without a gap.
func TestOnceLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		s := open(rt, config(dir))
		defer func() { require.NoError(rt, s.Close()) }()
		came := rapid.SliceOfN(rapid.IntRange(1, 8), 1, 40).Draw(rt, "events")
		fails := map[int]int{}
		done := map[string]int{}
		for _, n := range came {
			e := anomaly(n)
			if rapid.IntRange(0, 9).Draw(rt, "open") == 0 {
				require.NoError(rt, s.Close())
				s = open(rt, config(dir))
			}
			bad := done[e.ID] == 0 && fails[n] < 9 && rapid.Bool().Draw(rt, "fails")
			out, err := s.Handle(context.Background(), e, func(tx *store.Tx) error {
				require.Equal(rt, e, *tx.Cause())
				err := order(e)(tx)
				if bad {
					err = errors.New("no")
				}
				return err
			})
			switch {
			case bad:
				fails[n]++
				require.Equal(rt, store.Failed, out)
				require.ErrorContains(rt, err, "no")
			case done[e.ID] > 0:
				require.Equal(rt, store.Known, out)
				require.NoError(rt, err)
			default:
				require.Equal(rt, store.Done, out)
				require.NoError(rt, err)
				done[e.ID] = 1
			}
		}
		require.Equal(rt, done, effects(rt, s))
		said := feed(rt, s)
		require.Len(rt, said, len(done))
		for i, x := range said {
			require.EqualValues(rt, i+1, x.Event.Sequence)
			require.Contains(rt, done, x.Event.Causation)
			require.Equal(rt, "/services/workorder", x.Event.Source)
		}
	})
}

// What is committed is said until it is confirmed, and stays in the feed.
func TestOutbox(t *testing.T) {
	ctx := t.Context()
	c := config(t.TempDir())
	now := noon
	c.Now = func() time.Time { return now }
	s := open(t, c)
	defer func() { require.NoError(t, s.Close()) }()
	require.ErrorContains(t, s.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Emit(store.Draft{Type: event.WorkOrderCreated, Subject: "WO-0"})
		require.NoError(t, err)
		return errors.New("thought better of it")
	}), "better")
	select {
	case <-s.Committed():
		t.Error("told of what was rolled back")
	default:
	}
	command := store.Draft{Type: event.ReserveParts, Subject: "WO-1", ID: event.IDFrom("reserve", "WO-1", "1"), Data: []int{1}}
	emit := func(d store.Draft) (e event.Event) {
		require.NoError(t, s.Do(ctx, func(tx *store.Tx) (err error) { e, err = tx.Emit(d); return err }))
		return e
	}
	first := emit(store.Draft{Type: event.WorkOrderCreated, Subject: "WO-1"})
	require.EqualValues(t, 1, first.Sequence, "what was rolled back has no number")
	require.Equal(t, "WO-1", first.Correlation)
	second := emit(command)
	require.Zero(t, second.Sequence)
	<-s.Committed()
	unsent, err := s.Unsent(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, []store.Said{{N: 1, Event: first}, {N: 2, Event: second}}, unsent)
	require.NoError(t, s.Confirm(ctx, 1, 2))
	unsent, err = s.Unsent(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, unsent)
	now = now.Add(time.Hour)
	command.Data = []int{2}
	require.Equal(t, second, emit(command), "the same command is the same event")
	unsent, err = s.Unsent(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, []store.Said{{N: 2, Event: second}}, unsent)
	head, err := s.Head(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, head)

	now = now.Add(40 * 24 * time.Hour)
	require.NoError(t, s.Prune(ctx))
	require.Equal(t, []store.Said{{N: 2, Event: second}}, feed(t, s), "what is not confirmed stays")
	require.NoError(t, s.Confirm(ctx, 2))
	require.NoError(t, s.Prune(ctx))
	require.Empty(t, feed(t, s))
	require.EqualValues(t, 2, emit(store.Draft{Type: event.WorkOrderCancelled, Subject: "WO-1"}).Sequence)
	require.EqualValues(t, 3, feed(t, s)[0].N, "positions are not given twice")

	// a transaction sees what it has changed, and is at one time
	require.NoError(t, s.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO effect VALUES ('x', 'pump-1')")
		require.NoError(t, err)
		rows, err := tx.Query("SELECT asset FROM effect")
		require.NoError(t, err)
		defer rows.Close()
		require.True(t, rows.Next())
		require.Equal(t, now, tx.Now())
		return rows.Err()
	}))

	for want, d := range map[string]store.Draft{
		"catalogue": {Type: "magneto.workorder.Nothing.v1", Subject: "x"},
		"subject":   {Type: event.WorkOrderCreated, Subject: "a b"},
		"data":      {Type: event.WorkOrderCreated, Subject: "x", Data: func() {}},
	} {
		require.ErrorContains(t, s.Do(ctx, func(tx *store.Tx) error { _, err := tx.Emit(d); return err }), want)
	}
}

// What fails again and again is put aside, and can be tried again by hand.
func TestDeadLetters(t *testing.T) {
	ctx := t.Context()
	c := config(t.TempDir())
	c.Tries = 3
	s := open(t, c)
	defer func() { require.NoError(t, s.Close()) }()
	e := anomaly(1)
	poison := func(*store.Tx) error { return errors.New("poison") }
	for _, want := range []store.Outcome{store.Failed, store.Failed, store.Dead, store.Known} {
		out, _ := s.Handle(ctx, e, poison)
		require.Equal(t, want, out)
	}
	dead, err := s.DeadLetters(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, []store.DeadLetter{{Event: e, At: noon, Tries: 3, Error: "poison"}}, dead)
	out, err := s.Retry(ctx, e.ID, poison)
	require.Equal(t, store.Failed, out)
	require.Error(t, err)
	out, err = s.Retry(ctx, e.ID, order(e))
	require.NoError(t, err)
	require.Equal(t, store.Done, out)
	for range 2 {
		out, err = s.Retry(ctx, e.ID, order(e))
		require.NoError(t, err)
		require.Equal(t, store.Known, out)
		out, err = s.Handle(ctx, e, order(e))
		require.NoError(t, err)
		require.Equal(t, store.Known, out)
	}
	require.Equal(t, map[string]int{e.ID: 1}, effects(t, s))
	dead, err = s.DeadLetters(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, dead)

	// a service that ends is not the event's fault
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	for range 5 {
		out, err := s.Handle(ended, anomaly(2), func(*store.Tx) error { cancel(); return context.Canceled })
		require.Equal(t, store.Failed, out)
		require.Error(t, err)
	}
	out, err = s.Handle(ctx, anomaly(2), order(anomaly(2)))
	require.NoError(t, err)
	require.Equal(t, store.Done, out)
	require.Panics(t, func() { _ = s.Do(ctx, func(*store.Tx) error { panic("bug") }) })
	require.NoError(t, s.Do(ctx, func(*store.Tx) error { return nil }), "a panic does not hold the database")
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	c := config(dir)
	require.NoError(t, open(t, c).Close())
	c.Migrations = append(c.Migrations, "ALTER TABLE effect ADD COLUMN n INTEGER")
	require.NoError(t, open(t, c).Close())
	c.Migrations = c.Migrations[:1]
	_, err := store.Open(t.Context(), c)
	require.ErrorContains(t, err, "use a newer one")
	c.Migrations = []string{counting, "ALTER TABLE effect ADD COLUMN n INTEGER", "nonsense"}
	_, err = store.Open(t.Context(), c)
	require.ErrorContains(t, err, "service migration 3")
	for want, change := range map[string]func(*store.Config){
		"not a name":  func(c *store.Config) { c.Service = "a b" },
		"sqlite:FILE": func(c *store.Config) { c.DSN = "mysql://x" },
		"negative":    func(c *store.Config) { c.Keep = -1 },
	} {
		c := config(dir)
		change(&c)
		_, err := store.Open(t.Context(), c)
		require.ErrorContains(t, err, want)
	}
}

// killDir makes the test binary a service that takes in events for ever.
const killDir = "MAGNETO_STORE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		takeIn(dir)
	}
	os.Exit(m.Run())
}

func takeIn(dir string) {
	s, err := store.Open(context.Background(), config(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 1; ; n++ {
		e := anomaly(n % 2000)
		if _, err := s.Handle(context.Background(), e, order(e)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// Killed again and again while it takes in the same events from the beginning,
// each has its effect once.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	most := 0
	for i := range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		to := most + 20 + i
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			require.NoError(t, err, lines.Text())
			if most = max(most, n); n >= to {
				break
			}
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
	}
	s := open(t, config(dir))
	defer func() { require.NoError(t, s.Close()) }()
	all := effects(t, s)
	require.GreaterOrEqual(t, len(all), most)
	for id, n := range all {
		require.Equal(t, 1, n, id)
	}
	said := feed(t, s)
	require.Len(t, said, len(all))
	require.True(t, slices.IsSortedFunc(said, func(a, b store.Said) int { return int(a.N - b.N) }))
	for i, x := range said {
		require.EqualValues(t, i+1, x.Event.Sequence)
	}
	t.Logf("%d events, each once, over 10 kills", len(all))
}
