package workorder_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
	"github.com/magneto-iiot/magneto/services/workorder"
)

// scheduling is as much of Scheduling as a saga needs: one technician, whose hours
// are given away one by one.
type scheduling struct {
	store *store.Store
	hours int // that there are
}

const schedulingTables = `CREATE TABLE hold (reservation TEXT PRIMARY KEY, work_order TEXT NOT NULL, hour INTEGER, state TEXT NOT NULL)`

func (s *scheduling) handlers() map[event.Type]bus.Handler {
	h := map[event.Type]bus.Handler{}
	for _, typ := range []event.Type{event.ReserveResources, event.ReserveParts, event.ConfirmReservation, event.ReleaseReservation} {
		h[typ] = s.obey
	}
	return h
}

func (s *scheduling) obey(t *store.Tx, e *event.Event) error {
	var r event.Reserve
	if err := e.Into(&r); err != nil {
		return err
	}
	var state string
	_ = t.QueryRow("SELECT state FROM hold WHERE reservation = ?", r.Reservation).Scan(&state) // none: empty
	answer, out := event.Reservation{Reservation: r.Reservation}, event.ReservationExpired
	var err error
	switch {
	case e.Type == event.ReleaseReservation:
		out = event.ReservationReleased
		_, err = t.Exec("INSERT INTO hold VALUES (?,?,NULL,'gone') ON CONFLICT DO UPDATE SET hour = NULL, state = 'gone'", r.Reservation, e.Subject)
	case e.Type == event.ReserveResources && state == "":
		out, answer, err = s.reserve(t, e.Subject, answer)
	case state == "gone":
	case e.Type == event.ReserveParts:
		out = event.PartsReserved
	case e.Type == event.ConfirmReservation:
		out = event.ReservationConfirmed
		_, err = t.Exec("UPDATE hold SET state = 'firm' WHERE reservation = ?", r.Reservation)
	}
	if err != nil {
		return err
	}
	_, err = t.Emit(store.Draft{Type: out, Subject: e.Subject, Data: answer})
	return err
}

func (s *scheduling) reserve(t *store.Tx, order string, answer event.Reservation) (event.Type, event.Reservation, error) {
	for hour := range s.hours {
		var taken int
		if err := t.QueryRow("SELECT count(*) FROM hold WHERE hour = ?", hour).Scan(&taken); err != nil {
			return "", answer, err
		}
		if taken == 0 {
			_, err := t.Exec("INSERT INTO hold VALUES (?,?,?,'held')", answer.Reservation, order, hour)
			start := noon.Add(time.Duration(hour) * time.Hour)
			answer.Slot = &event.Slot{Start: start, End: start.Add(time.Hour), Technicians: []string{"ann"}}
			return event.ResourcesReserved, answer, err
		}
	}
	answer.Reason = "ann has no time"
	return event.ReservationRejected, answer, nil
}

// expire lets the oldest hold that is not firm run out.
func (s *scheduling) expire(t require.TestingT) {
	require.NoError(t, s.store.Do(context.Background(), func(tx *store.Tx) error {
		var id, order string
		if tx.QueryRow("SELECT reservation, work_order FROM hold WHERE state = 'held' ORDER BY hour LIMIT 1").Scan(&id, &order) != nil {
			return nil // there is none
		}
		if _, err := tx.Exec("UPDATE hold SET hour = NULL, state = 'gone' WHERE reservation = ?", id); err != nil {
			return err
		}
		_, err := tx.Emit(store.Draft{Type: event.ReservationExpired, Subject: order, Data: event.Reservation{Reservation: id}})
		return err
	}))
}

// site is three services' databases, and what carries events between them.
type site struct {
	t                      *testing.T
	now                    time.Time
	health, orders, desk   *store.Store
	service                *workorder.Service
	scheduling             *scheduling
	orderRules, schedRules map[event.Type]bus.Handler
}

func newSite(t *testing.T, hours int, rules ...workorder.Rule) *site {
	s := &site{t: t, now: noon}
	dir := t.TempDir()
	open := func(name string, tables ...string) *store.Store {
		st, err := store.Open(t.Context(), store.Config{
			Service: name, Site: "plant1", DSN: "sqlite:" + filepath.Join(dir, name+".db"), Migrations: tables,
			Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, st.Close()) })
		return st
	}
	s.health, s.orders, s.desk = open("health"), open(workorder.Name, workorder.Migrations...), open("schedule", schedulingTables)
	var err error
	s.service, err = workorder.New(workorder.Config{
		Store: s.orders, Rules: rules, Now: func() time.Time { return s.now },
		Templates: []workorder.Template{{ID: "bearing", Duration: time.Hour, Skills: []string{"mechanic"}, Parts: []event.Part{{Part: "bearing", Quantity: 1}}}},
	})
	require.NoError(t, err)
	s.scheduling = &scheduling{s.desk, hours}
	s.orderRules, s.schedRules = s.service.Handlers(), s.scheduling.handlers()
	return s
}

// carry brings at most limit of what one service has said to another, and says how
// many there were.
func (s *site) carry(from, to *store.Store, source string, handlers map[event.Type]bus.Handler, limit int) int {
	at, err := to.Cursor(s.t.Context(), source)
	require.NoError(s.t, err)
	said, err := from.Feed(s.t.Context(), int64(at.Position), limit)
	require.NoError(s.t, err)
	for i := range said {
		e := said[i].Event
		out, err := to.Handle(s.t.Context(), e, func(t *store.Tx) error {
			if f := handlers[e.Type]; f != nil {
				return f(t, &e)
			}
			return nil
		})
		require.NoError(s.t, err, "%s %s", e.Type, e.Data)
		require.Equal(s.t, store.Done, out)
	}
	return len(said)
}

func (s *site) carryAll(limit int) int {
	return s.carry(s.health, s.orders, "/services/health", s.orderRules, limit) +
		s.carry(s.orders, s.desk, "/services/workorder", s.schedRules, limit) +
		s.carry(s.desk, s.orders, "/services/schedule", s.orderRules, limit)
}

func (s *site) say(typ event.Type, anomaly string, a event.Anomaly) {
	require.NoError(s.t, s.health.Do(s.t.Context(), func(t *store.Tx) error {
		_, err := t.Emit(store.Draft{Type: typ, Subject: anomaly, Data: a})
		return err
	}))
}

func (s *site) all() []workorder.Order {
	all, err := s.service.Orders(s.t.Context(), "", 10000)
	require.NoError(s.t, err)
	return all
}

func (s *site) count(st *store.Store, query string, args ...any) (n int) {
	require.NoError(s.t, st.Read().QueryRowContext(s.t.Context(), query, args...).Scan(&n))
	return n
}

func TestFromAnomalyToSlot(t *testing.T) {
	s := newSite(t, 5, workorder.Rule{Severity: "high", Confidence: 0.5, Template: "bearing", CancelOnClear: true})
	s.say(event.AnomalyDetected, "A-0", event.Anomaly{Asset: "pump-1", Severity: "medium", Confidence: 0.9, FailureMode: "bearing wear"})
	s.say(event.AnomalyDetected, "A-1", event.Anomaly{Asset: "pump-1", Severity: "critical", Confidence: 0.9, FailureMode: "bearing wear"})
	s.say(event.AnomalyDetected, "A-2", event.Anomaly{Asset: "pump-1", Severity: "high", Confidence: 0.9, FailureMode: "bearing wear"})
	for s.carryAll(100) > 0 {
	}
	orders := s.all()
	require.Len(t, orders, 1, "one for a failure of an asset; a weak anomaly makes none")
	o := orders[0]
	require.Equal(t, workorder.Scheduled, o.State)
	require.Equal(t, noon, o.Slot.Start)
	require.Equal(t, 2, s.count(s.orders, "SELECT count(*) FROM occurrence WHERE work_order = ?", o.ID))
	require.Equal(t, 4, s.count(s.orders, "SELECT count(*) FROM passage WHERE work_order = ?", o.ID))
	require.Equal(t, 4, s.count(s.orders, "SELECT count(*) FROM passage WHERE cause <> ''"), "each change says what led to it")

	s.say(event.AnomalyUpdated, "A-0", event.Anomaly{Asset: "pump-1", Severity: "high", Confidence: 0.9, FailureMode: "bearing wear"})
	s.say(event.AnomalyCleared, "A-1", event.Anomaly{Asset: "pump-1"})
	s.say(event.AnomalyCleared, "A-2", event.Anomaly{Asset: "pump-1"})
	for s.carryAll(100) > 0 {
	}
	require.Equal(t, workorder.Scheduled, s.all()[0].State, "one that grew is not over")
	s.say(event.AnomalyCleared, "A-0", event.Anomaly{Asset: "pump-1"})
	for s.carryAll(100) > 0 {
	}
	require.Equal(t, workorder.Cancelled, s.all()[0].State)
	require.Zero(t, s.count(s.desk, "SELECT count(*) FROM hold WHERE hour IS NOT NULL"))

	s.say(event.AnomalyDetected, "A-3", event.Anomaly{Asset: "pump-1", Severity: "high", Confidence: 0.9, FailureMode: "bearing wear"})
	for s.carryAll(100) > 0 {
	}
	require.Len(t, s.all(), 2, "the next failure is another order")
}

// What is held for an order that is not known is given back; a damaged order does not
// hold up the deadlines of others.
func TestStrangersAndDamage(t *testing.T) {
	s := newSite(t, 5, workorder.Rule{Template: "bearing"})
	require.NoError(t, s.desk.Do(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Emit(store.Draft{Type: event.ReservationConfirmed, Subject: "WO-lost", Data: event.Reservation{Reservation: "r-lost"}})
		return err
	}))
	for s.carryAll(100) > 0 {
	}
	require.Equal(t, 1, s.count(s.desk, "SELECT count(*) FROM hold WHERE reservation = 'r-lost' AND state = 'gone'"))

	for i := range 2 {
		s.say(event.AnomalyDetected, fmt.Sprint("A-", i), event.Anomaly{Asset: fmt.Sprint("pump-", i), Severity: "low"})
	}
	s.carry(s.health, s.orders, "/services/health", s.orderRules, 10)
	bad := s.all()[0].ID
	require.NoError(t, s.orders.Do(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE work_order SET body = '{', deadline = 1 WHERE id = ?", bad)
		return err
	}))
	s.now = s.now.Add(time.Hour)
	n, err := s.service.Remind(t.Context())
	require.Equal(t, 2, n)
	require.ErrorContains(t, err, bad)
	require.Equal(t, 1, s.count(s.orders, "SELECT count(*) FROM work_order WHERE id <> ? AND json_extract(body, '$.sent') = 2", bad))
}

func TestPeople(t *testing.T) {
	s := newSite(t, 5, workorder.Rule{Template: "bearing", Approval: true})
	s.say(event.AnomalyDetected, "A-1", event.Anomaly{Asset: "<script>'; DROP TABLE work_order", Severity: "low"})
	for s.carryAll(100) > 0 {
	}
	id := s.all()[0].ID
	apply := func(kind workorder.Kind) (workorder.Order, error) {
		return s.service.Apply(t.Context(), id, workorder.Input{Kind: kind, By: "eve", Reason: "so"})
	}
	_, err := apply(workorder.Started)
	require.ErrorIs(t, err, workorder.ErrNotNow)
	require.ErrorContains(t, err, "AWAITING_APPROVAL")
	_, err = apply(workorder.Confirmed)
	require.ErrorIs(t, err, workorder.ErrNotNow)
	_, err = s.service.Apply(t.Context(), "none", workorder.Input{Kind: workorder.Done})
	require.ErrorIs(t, err, workorder.ErrUnknown)
	_, err = apply(workorder.Approved)
	require.NoError(t, err)
	for s.carryAll(100) > 0 {
	}
	for _, kind := range []workorder.Kind{workorder.Started, workorder.Held, workorder.Resumed, workorder.Done, workorder.Verified} {
		_, err := apply(kind)
		require.NoError(t, err)
	}
	require.Equal(t, workorder.Closed, s.all()[0].State)
	said, err := s.orders.Feed(t.Context(), 0, 1000)
	require.NoError(t, err)
	completed := 0
	for _, x := range said {
		require.Equal(t, id, x.Event.Correlation)
		if x.Event.Type == event.WorkOrderCompleted {
			completed++
			var state event.OrderState
			require.NoError(t, x.Event.Into(&state))
			require.Equal(t, "<script>'; DROP TABLE work_order", state.Asset)
		}
	}
	require.Equal(t, 1, completed)
}

// Whatever the order in which things arrive, run out and are asked for: each anomaly
// belongs to one order, no failure of an asset has two open ones, no hour is given
// twice or for nothing, and no order is stuck.
func TestInvariants(t *testing.T) {
	total := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			s := newSite(t, 4, workorder.Rule{FailureMode: "wear", Template: "bearing", CancelOnClear: true}, workorder.Rule{Severity: "high", Template: "bearing"})
			anomalies := 0
			for range 150 {
				s.play(r, &anomalies)
			}
			s.settle()
			s.check(anomalies)
			total += anomalies
		})
	}
	t.Logf("%d anomalies", total)
}

// play lets something happen.
func (s *site) play(r *rand.Rand, anomalies *int) {
	a := event.Anomaly{Asset: fmt.Sprint("pump-", r.IntN(5)), Severity: "high", FailureMode: []string{"wear", "imbalance"}[r.IntN(2)]}
	switch r.IntN(8) {
	case 0, 1:
		s.say(event.AnomalyDetected, fmt.Sprint("A-", *anomalies), a)
		*anomalies++
	case 2:
		s.say(event.AnomalyCleared, fmt.Sprint("A-", r.IntN(*anomalies+1)), a)
	case 3:
		s.scheduling.expire(s.t)
	case 4:
		s.now = s.now.Add(time.Duration(r.IntN(7200)-600) * time.Second)
		_, err := s.service.Remind(s.t.Context())
		require.NoError(s.t, err)
	case 5:
		for _, o := range s.all() {
			kind := workorder.Kind(1 + r.IntN(int(workorder.Tick)))
			if _, err := s.service.Apply(s.t.Context(), o.ID, workorder.Input{Kind: kind, By: "eve"}); err != nil {
				require.ErrorIs(s.t, err, workorder.ErrNotNow)
			}
		}
	default:
		s.carryAll(1 + r.IntN(10))
	}
}

// settle lets everything arrive and every deadline pass, until only people are
// waited for.
func (s *site) settle() {
	for range 2000 {
		n := s.carryAll(100)
		s.now = s.now.Add(10 * time.Minute)
		due, err := s.service.Remind(s.t.Context())
		require.NoError(s.t, err)
		busy := false
		for _, o := range s.all() {
			switch o.State {
			case workorder.ReservingResources, workorder.ReservingParts, workorder.Confirming, workorder.Compensating, workorder.WaitingParts:
				busy = true
			}
		}
		if n+due == 0 && !busy {
			return
		}
	}
	b, err := json.Marshal(s.all())
	require.NoError(s.t, err)
	s.t.Fatalf("orders are stuck: %s", b)
}

func (s *site) check(anomalies int) {
	t := s.t
	require.Equal(t, anomalies, s.count(s.orders, "SELECT count(*) FROM occurrence"), "each anomaly has its order")
	require.Zero(t, s.count(s.orders, "SELECT count(*) FROM (SELECT 1 FROM work_order WHERE open = 1 GROUP BY asset, failure_mode HAVING count(*) > 1)"))
	require.Zero(t, s.count(s.desk, "SELECT count(*) FROM (SELECT 1 FROM hold WHERE hour IS NOT NULL GROUP BY hour HAVING count(*) > 1)"))
	firm := 0
	for _, o := range s.all() {
		held := s.count(s.desk, "SELECT count(*) FROM hold WHERE work_order = ? AND hour IS NOT NULL", o.ID)
		switch o.State {
		case workorder.Scheduled, workorder.InProgress, workorder.OnHold, workorder.Completed, workorder.Closed:
			require.Equal(t, 1, s.count(s.desk, "SELECT count(*) FROM hold WHERE reservation = ? AND state = 'firm'", o.Reservation()), o.State)
			require.Equal(t, 1, held, o.State)
			firm++
		default:
			require.Zero(t, held, "%s holds an hour in %s", o.ID, o.State)
		}
	}
	require.Equal(t, firm, s.count(s.desk, "SELECT count(*) FROM hold WHERE hour IS NOT NULL"))
}

func TestConfig(t *testing.T) {
	_, err := workorder.New(workorder.Config{
		Templates: []workorder.Template{{ID: "a"}, {ID: "a", Duration: 1}},
		Rules:     []workorder.Rule{{Template: "b"}, {Template: "a", Severity: "bad"}, {Template: "a", Confidence: 2}},
	})
	for _, want := range []string{"no store", "duration 0s", "there twice", `no template "b"`, `severity "bad"`, "confidence 2"} {
		require.ErrorContains(t, err, want)
	}
}
