package schedule_test

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/schedule"
	"github.com/magneto-iiot/magneto/services/store"
)

// desk is a service with a clock, and somebody who asks it.
type desk struct {
	t       *testing.T
	now     time.Time
	store   *store.Store
	service *schedule.Service
	asked   int
}

func newDesk(t *testing.T, r *schedule.Resources) *desk {
	d := &desk{t: t, now: at(0, 8)}
	var err error
	d.store, err = store.Open(t.Context(), store.Config{
		Service: schedule.Name, Site: "plant1", DSN: "sqlite:" + filepath.Join(t.TempDir(), "schedule.db"), Migrations: schedule.Migrations,
		Now: func() time.Time { return d.now }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.store.Close()) })
	d.service, err = schedule.New(schedule.Config{Store: d.store, Resources: *r})
	require.NoError(t, err)
	return d
}

// ask gives a command and returns the answer.
func (d *desk) ask(typ event.Type, data any) (event.Type, event.Reservation) {
	d.t.Helper()
	d.asked++
	var e event.Event
	other, err := store.Open(d.t.Context(), store.Config{Service: "workorder", Site: "plant1", DSN: "sqlite:" + filepath.Join(d.t.TempDir(), "x.db"), Now: func() time.Time { return d.now }})
	require.NoError(d.t, err)
	require.NoError(d.t, other.Do(d.t.Context(), func(t *store.Tx) (err error) {
		e, err = t.Emit(store.Draft{Type: typ, Subject: "WO-1", Data: data})
		return err
	}))
	require.NoError(d.t, other.Close())
	e.Position = 0 // of no matter here
	out, err := d.store.Handle(d.t.Context(), e, func(t *store.Tx) error { return d.service.Handlers()[typ](t, &e) })
	require.NoError(d.t, err)
	require.Equal(d.t, store.Done, out)
	return d.last()
}

// last is what was said last.
func (d *desk) last() (event.Type, event.Reservation) {
	head, err := d.store.Head(d.t.Context())
	require.NoError(d.t, err)
	said, err := d.store.Feed(d.t.Context(), head-1, 1)
	require.NoError(d.t, err)
	var r event.Reservation
	require.NoError(d.t, said[0].Event.Into(&r))
	return said[0].Event.Type, r
}

func (d *desk) reserve(id string) (event.Type, event.Reservation) {
	return d.ask(event.ReserveResources, event.Reserve{
		Reservation: id, Attempt: 1, Minutes: 240, Earliest: d.now, Latest: at(0, 16), Skills: []string{"mechanic"}, Tools: []string{"puller"},
	})
}

func TestReservation(t *testing.T) {
	r := crew()
	r.Stock = map[string]int{"bearing": 3}
	d := newDesk(t, r)
	typ, first := d.reserve("r1")
	require.Equal(t, event.ResourcesReserved, typ)
	require.Equal(t, at(0, 8), first.Slot.Start)
	require.Equal(t, []string{"ann"}, first.Slot.Technicians)
	require.Equal(t, []string{"p1"}, first.Slot.Tools)
	require.Equal(t, at(0, 8.25), *first.HoldUntil)
	typ, again := d.reserve("r1")
	require.Equal(t, event.ResourcesReserved, typ)
	require.Equal(t, first, again, "the same question, the same answer")
	typ, second := d.reserve("r2")
	require.Equal(t, event.ResourcesReserved, typ)
	require.Equal(t, at(0, 12), second.Slot.Start)
	typ, third := d.reserve("r3")
	require.Equal(t, event.ReservationRejected, typ)
	require.Equal(t, "technician", third.Code)
	require.Equal(t, at(1, 8), *third.Next)

	parts := func(id string, n int) event.Type {
		typ, _ := d.ask(event.ReserveParts, event.Reserve{Reservation: id, Parts: []event.Part{{Part: "bearing", Quantity: n}}})
		return typ
	}
	require.Equal(t, event.PartsRejected, parts("r1", 0))
	typ, out := d.ask(event.ReserveParts, event.Reserve{Reservation: "r1", Parts: []event.Part{{Part: "bearing", Quantity: math.MaxInt}, {Part: "bearing", Quantity: math.MaxInt}}})
	require.Equal(t, event.PartsRejected, typ, "more than can be added up")
	require.Contains(t, out.Reason, "want 1 to")
	typ, _ = d.ask(event.ReserveParts, event.Reserve{Reservation: "r1", Parts: make([]event.Part, 201)})
	require.Equal(t, event.PartsRejected, typ)
	require.Equal(t, event.PartsReserved, parts("r1", 2))
	require.Equal(t, event.PartsReserved, parts("r1", 2), "asked again")
	require.Equal(t, event.PartsRejected, parts("r2", 2))
	require.Equal(t, event.PartsReserved, parts("r2", 1))
	typ, _ = d.ask(event.ConfirmReservation, event.Reservation{Reservation: "r1"})
	require.Equal(t, event.ReservationConfirmed, typ)

	d.now = at(0, 9)
	n, err := d.service.Expire(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n, "what is confirmed does not run out")
	typ, over := d.last()
	require.Equal(t, event.ReservationExpired, typ)
	require.Equal(t, "r2", over.Reservation)
	typ, _ = d.ask(event.ConfirmReservation, event.Reservation{Reservation: "r2"})
	require.Equal(t, event.ReservationExpired, typ, "too late")
	require.Equal(t, event.ReservationExpired, parts("r2", 1))

	typ, _ = d.ask(event.ReleaseReservation, event.Reservation{Reservation: "r4"})
	require.Equal(t, event.ReservationReleased, typ)
	typ, _ = d.reserve("r4")
	require.Equal(t, event.ReservationReleased, typ, "what was given back is not made any more")
	typ, _ = d.ask(event.ReleaseReservation, event.Reservation{Reservation: "r1"})
	require.Equal(t, event.ReservationReleased, typ)
	typ, _ = d.reserve("r5")
	require.Equal(t, event.ResourcesReserved, typ)
	require.Equal(t, event.PartsReserved, parts("r5", 3), "parts are there again")
}

// Whatever is asked in whatever order: nobody and nothing is taken twice, stock is
// never less than nothing, and what is confirmed stays.
func TestReservationLaw(t *testing.T) {
	r := crew()
	r.Stock = map[string]int{"bearing": 3}
	d := newDesk(t, r)
	g := rand.New(rand.NewPCG(1, 2))
	confirmed := map[string]event.Reservation{}
	counts := map[event.Type]int{}
	for range 250 {
		id := fmt.Sprint("r", g.IntN(30))
		d.now = d.now.Add(time.Duration(g.IntN(300)-30) * time.Second)
		var typ event.Type
		switch g.IntN(7) {
		case 0, 1, 2:
			typ, _ = d.ask(event.ReserveResources, event.Reserve{
				Reservation: id, Minutes: float64(15 + g.IntN(180)), Earliest: d.now, Latest: d.now.Add(72 * time.Hour),
				Skills: [][]string{{"mechanic"}, {"electric"}, {"mechanic", "electric"}, nil}[g.IntN(4)], Tools: [][]string{{"puller"}, nil}[g.IntN(2)],
			})
		case 3:
			typ, _ = d.ask(event.ReserveParts, event.Reserve{Reservation: id, Parts: []event.Part{{Part: "bearing", Quantity: g.IntN(3)}}})
		case 4, 5:
			var out event.Reservation
			if typ, out = d.ask(event.ConfirmReservation, event.Reservation{Reservation: id}); typ == event.ReservationConfirmed {
				if was, ok := confirmed[id]; ok {
					require.Equal(t, was, out)
				}
				confirmed[id] = out
			}
		case 6:
			if g.IntN(3) == 0 {
				typ, _ = d.ask(event.ReleaseReservation, event.Reservation{Reservation: id})
				delete(confirmed, id)
			}
			_, err := d.service.Expire(t.Context())
			require.NoError(t, err)
		}
		counts[typ]++
		d.check(confirmed)
	}
	for _, typ := range []event.Type{
		event.ResourcesReserved, event.PartsReserved, event.PartsRejected, event.ReservationConfirmed, event.ReservationReleased, event.ReservationExpired,
	} {
		require.Positive(t, counts[typ], typ)
	}
}

func (d *desk) check(confirmed map[string]event.Reservation) {
	t := d.t
	count := func(query string, args ...any) (n int) {
		require.NoError(t, d.store.Read().QueryRowContext(t.Context(), query, args...).Scan(&n))
		return n
	}
	const live = "state IN ('HELD', 'FIRM')"
	for _, field := range []string{"technicians", "tools"} {
		require.Zero(t, count(`WITH taken AS (SELECT r.id, r.starts, r.ends, j.value AS who FROM reservation r, json_each(r.answer, '$.slot.`+field+`') j WHERE `+live+`)
			SELECT count(*) FROM taken a JOIN taken b ON a.who = b.who AND a.id < b.id AND a.starts < b.ends AND b.starts < a.ends`), field)
	}
	require.LessOrEqual(t, count("SELECT coalesce(sum(quantity), 0) FROM part_line JOIN reservation ON id = reservation WHERE "+live), 3)
	require.Equal(t, len(confirmed), count("SELECT count(*) FROM reservation WHERE state = 'FIRM'"))
	for id := range confirmed {
		require.Equal(t, 1, count("SELECT count(*) FROM reservation WHERE state = 'FIRM' AND id = ?", id))
	}
}
