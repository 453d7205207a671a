package schedule

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// Name and Domain are what the service is known by.
const (
	Name   = "schedule"
	Domain = event.Scheduling
)

// Migrations make the tables of the service, for store.Config. A reservation that
// was given back before it was made is there as one that is gone.
var Migrations = []string{`
CREATE TABLE reservation (
	id TEXT PRIMARY KEY, work_order TEXT NOT NULL, state TEXT NOT NULL, -- HELD, FIRM, GONE, REFUSED
	starts INTEGER, ends INTEGER, hold_until INTEGER, answer TEXT NOT NULL);
CREATE INDEX reservation_ends ON reservation (ends) WHERE state IN ('HELD', 'FIRM');
CREATE INDEX reservation_hold ON reservation (hold_until) WHERE state = 'HELD';
CREATE TABLE part_line (reservation TEXT NOT NULL REFERENCES reservation, part TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (reservation, part));
`}

// The states of a reservation.
const (
	held    = "HELD"    // until its hold runs out
	firm    = "FIRM"    // confirmed
	gone    = "GONE"    // given back, or its hold has run out
	refused = "REFUSED" // there was no place
)

// Config is what a Service works with. Store is required; it is opened with
// Migrations.
type Config struct {
	Store     *store.Store
	Resources Resources
	Hold      time.Duration // how long a reservation is held for its confirmation; 15 min if zero
	Every     time.Duration // between two looks for holds that have run out; 1 s if zero
	Log       *slog.Logger  // slog.Default() if nil
}

// Service keeps reservations. Put Handlers on a bus, and Run it.
type Service struct{ cfg Config }

// New returns a service; every fault of c is told at once.
func New(c Config) (*Service, error) {
	c.Hold = cmp.Or(c.Hold, 15*time.Minute)
	c.Every = cmp.Or(c.Every, time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	err := c.Resources.Check()
	if c.Store == nil || c.Hold < 0 || c.Every < 0 {
		err = errors.Join(err, errors.New("schedule: no store, or a time is negative"))
	}
	if err != nil {
		return nil, err
	}
	return &Service{c}, nil
}

// Handlers are the effects of what work orders ask for.
func (s *Service) Handlers() map[event.Type]bus.Handler {
	return map[event.Type]bus.Handler{
		event.ReserveResources: s.reserve, event.ReserveParts: s.parts, event.ConfirmReservation: s.confirm, event.ReleaseReservation: s.release,
	}
}

// Run gives back what nobody has confirmed in time, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for {
		if _, err := s.Expire(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("holds that have run out can not be looked for", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Expire gives back what nobody has confirmed in time, and says how many there were.
func (s *Service) Expire(ctx context.Context) (n int, err error) {
	err = s.cfg.Store.Do(ctx, func(t *store.Tx) error {
		rows, err := t.Query("UPDATE reservation SET state = 'GONE' WHERE state = 'HELD' AND hold_until <= ? RETURNING id, work_order", t.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		var over []reservation
		for rows.Next() {
			var r reservation
			if err := rows.Scan(&r.id, &r.order); err != nil {
				return errors.Join(fmt.Errorf("schedule: %w", err), rows.Close())
			}
			over = append(over, r)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
		slices.SortFunc(over, func(a, b reservation) int { return cmp.Compare(a.id, b.id) })
		for _, r := range over {
			if err := say(t, event.ReservationExpired, r.order, event.Reservation{Reservation: r.id, Reason: "nobody has confirmed it in time"}); err != nil {
				return err
			}
		}
		n = len(over)
		return nil
	})
	return n, err
}

// reservation is one as it is kept.
type reservation struct {
	id, order, state string
	answer           event.Reservation // to the command that made it
}

func say(t *store.Tx, typ event.Type, order string, data event.Reservation) error {
	_, err := t.Emit(store.Draft{Type: typ, Subject: order, Correlation: order, Data: data})
	return err
}

// load reads a reservation; its state is empty when there is none.
func load(t *store.Tx, id string) (r reservation, err error) {
	var answer string
	err = t.QueryRow("SELECT id, work_order, state, answer FROM reservation WHERE id = ?", id).Scan(&r.id, &r.order, &r.state, &answer)
	if errors.Is(err, sql.ErrNoRows) {
		return reservation{}, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(answer), &r.answer)
	}
	if err != nil {
		return r, fmt.Errorf("schedule: reservation %s: %w", id, err)
	}
	return r, nil
}

// reserve holds a place. Asked again it gives the same answer; what was given back
// already stays so.
func (s *Service) reserve(t *store.Tx, e *event.Event) error {
	var in event.Reserve
	if err := e.Into(&in); err != nil {
		return err
	}
	known, err := load(t, in.Reservation)
	if err != nil {
		return err
	}
	switch known.state {
	case held, firm:
		return say(t, event.ResourcesReserved, e.Subject, known.answer)
	case refused:
		return say(t, event.ReservationRejected, e.Subject, known.answer)
	case gone:
		return say(t, event.ReservationReleased, e.Subject, event.Reservation{Reservation: in.Reservation, Reason: "it was given back before"})
	}
	bookings, err := bookings(t)
	if err != nil {
		return err
	}
	earliest := in.Earliest
	if earliest.Before(t.Now()) {
		earliest = t.Now()
	}
	answer := event.Reservation{Reservation: in.Reservation}
	slot, no := Find(&s.cfg.Resources, bookings, Work{
		Duration: time.Duration(in.Minutes * float64(time.Minute)), Earliest: earliest, Latest: in.Latest, Skills: in.Skills, Tools: in.Tools,
	})
	if no != nil {
		answer.Code, answer.Reason = no.Code, no.Why
		if !no.Next.IsZero() {
			answer.Next = &no.Next
		}
		return s.keep(t, e.Subject, refused, answer, event.ReservationRejected)
	}
	answer.Slot, answer.HoldUntil = &slot, new(t.Now().Add(s.cfg.Hold))
	return s.keep(t, e.Subject, held, answer, event.ResourcesReserved)
}

// keep writes a new reservation and says the answer.
func (s *Service) keep(t *store.Tx, order, state string, answer event.Reservation, typ event.Type) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	var starts, ends, until any
	if answer.Slot != nil {
		starts, ends, until = answer.Slot.Start.UnixMilli(), answer.Slot.End.UnixMilli(), answer.HoldUntil.UnixMilli()
	}
	_, err = t.Exec("INSERT INTO reservation VALUES (?,?,?,?,?,?,?)", answer.Reservation, order, state, starts, ends, until, string(body))
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return say(t, typ, order, answer)
}

// bookings are those that are not over.
func bookings(t *store.Tx) (all []Booking, err error) {
	rows, err := t.Query("SELECT answer FROM reservation WHERE state IN ('HELD', 'FIRM') AND ends > ?", t.Now().UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		var r event.Reservation
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("schedule: %w", err)
		}
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			return nil, fmt.Errorf("schedule: %w", err)
		}
		all = append(all, Booking{Span{r.Slot.Start, r.Slot.End}, r.Slot.Technicians, r.Slot.Tools})
	}
	return all, rows.Err()
}

// Bounds of what can be asked for at once.
const (
	mostLines   = 200
	mostOfAPart = 1_000_000
)

// parts sets parts aside for a reservation that is held, all or none.
func (s *Service) parts(t *store.Tx, e *event.Event) error {
	var in event.Reserve
	if err := e.Into(&in); err != nil {
		return err
	}
	r, err := load(t, in.Reservation)
	if err != nil {
		return err
	}
	answer := event.Reservation{Reservation: in.Reservation}
	if r.state != held && r.state != firm {
		answer.Reason = "there is no such reservation any more"
		return say(t, event.ReservationExpired, e.Subject, answer)
	}
	if _, err := t.Exec("DELETE FROM part_line WHERE reservation = ?", in.Reservation); err != nil { // asked again
		return fmt.Errorf("schedule: %w", err)
	}
	if len(in.Parts) > mostLines {
		return s.short(t, e.Subject, answer, fmt.Sprintf("%d lines of parts, at most %d", len(in.Parts), mostLines))
	}
	wanted := map[string]int{}
	for _, p := range in.Parts {
		if p.Quantity < 1 || p.Quantity > mostOfAPart {
			return s.short(t, e.Subject, answer, fmt.Sprintf("%d of part %q: want 1 to %d", p.Quantity, p.Part, mostOfAPart))
		}
		wanted[p.Part] += p.Quantity
	}
	for _, p := range in.Parts {
		free, err := s.available(t, p.Part)
		if err != nil {
			return err
		}
		if free < wanted[p.Part] {
			return s.short(t, e.Subject, answer, fmt.Sprintf("%d of part %q are wanted, %d are there", wanted[p.Part], p.Part, free))
		}
	}
	for part, n := range wanted {
		if _, err := t.Exec("INSERT INTO part_line VALUES (?,?,?)", in.Reservation, part, n); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
	}
	return say(t, event.PartsReserved, e.Subject, answer)
}

func (s *Service) short(t *store.Tx, order string, answer event.Reservation, reason string) error {
	answer.Code, answer.Reason = "parts", reason
	return say(t, event.PartsRejected, order, answer)
}

// available is how many of a part are there for others. What work has used stays
// with its reservation.
func (s *Service) available(t *store.Tx, part string) (int, error) {
	taken := 0
	err := t.QueryRow(`SELECT coalesce(sum(quantity), 0) FROM part_line JOIN reservation ON id = reservation
		WHERE part = ? AND state IN ('HELD', 'FIRM')`, part).Scan(&taken)
	if err != nil {
		return 0, fmt.Errorf("schedule: %w", err)
	}
	return s.cfg.Resources.Stock[part] - taken, nil
}

// confirm makes a reservation firm, when it is still held.
func (s *Service) confirm(t *store.Tx, e *event.Event) error {
	var in event.Reservation
	if err := e.Into(&in); err != nil {
		return err
	}
	r, err := load(t, in.Reservation)
	if err != nil {
		return err
	}
	if r.state != held && r.state != firm {
		return say(t, event.ReservationExpired, e.Subject, event.Reservation{Reservation: in.Reservation, Reason: "there is no such reservation any more"})
	}
	if _, err := t.Exec("UPDATE reservation SET state = 'FIRM' WHERE id = ?", r.id); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return say(t, event.ReservationConfirmed, e.Subject, event.Reservation{Reservation: r.id, Slot: r.answer.Slot})
}

// release gives a reservation back; one that is not known must not be made later.
func (s *Service) release(t *store.Tx, e *event.Event) error {
	var in event.Reservation
	if err := e.Into(&in); err != nil {
		return err
	}
	_, err := t.Exec(`INSERT INTO reservation VALUES (?,?,'GONE',NULL,NULL,NULL,'{}')
		ON CONFLICT (id) DO UPDATE SET state = 'GONE'`, in.Reservation, e.Subject)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return say(t, event.ReservationReleased, e.Subject, event.Reservation{Reservation: in.Reservation})
}
