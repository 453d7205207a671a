package workorder

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// Orders returns the orders whose id is after an id, by id, limit at most.
func (s *Service) Orders(ctx context.Context, after string, limit int) (all []Order, err error) {
	rows, err := s.cfg.Store.Read().QueryContext(ctx, "SELECT body FROM work_order WHERE id > ? ORDER BY id LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("workorder: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return nil, fmt.Errorf("workorder: %w", err)
		}
		o, err := parse(body)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

func parse(body string) (o Order, err error) {
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		return o, fmt.Errorf("workorder: %w", err)
	}
	return o, nil
}

// load reads an order. The error wraps ErrUnknown when there is none.
func load(t *store.Tx, id string) (Order, error) {
	var body string
	err := t.QueryRow("SELECT body FROM work_order WHERE id = ?", id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	if err != nil {
		return Order{}, fmt.Errorf("workorder: %w", err)
	}
	return parse(body)
}

// step gives an order an input; false: it had no effect.
func (s *Service) step(t *store.Tx, id string, in Input) (bool, error) {
	o, err := load(t, id)
	if err != nil {
		return false, err
	}
	in.Now = t.Now()
	next, fx, ok := Step(o, in)
	if !ok {
		return false, nil
	}
	return true, s.save(t, next, fx)
}

// save writes an order, notes what led to it and says what is to be said.
func (s *Service) save(t *store.Tx, o Order, fx []Effect) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("workorder: %w", err)
	}
	var deadline any
	if !o.Deadline.IsZero() {
		deadline = o.Deadline.UnixMilli()
	}
	var asset string
	err = t.QueryRow("UPDATE work_order SET open = ?, deadline = ?, body = ? WHERE id = ? RETURNING asset", o.State.Open(), deadline, string(body), o.ID).Scan(&asset)
	if err != nil {
		return fmt.Errorf("workorder: %w", err)
	}
	cause := ""
	if e := t.Cause(); e != nil {
		cause = e.ID
	}
	_, err = t.Exec("INSERT INTO passage VALUES (?,?,?,?,?,?)", o.ID, o.Version, t.Now().UnixMilli(), string(o.State), o.Reason, cause)
	if err != nil {
		return fmt.Errorf("workorder: %w", err)
	}
	for _, f := range fx {
		d := o.draft(f, asset)
		d.Subject, d.Correlation = o.ID, o.ID
		if _, err := t.Emit(d); err != nil {
			return err
		}
	}
	return nil
}

// draft is an effect as an event.
func (o *Order) draft(f Effect, asset string) store.Draft {
	state := event.OrderState{Asset: asset, From: string(f.From), To: string(o.State), Reason: f.Reason}
	if o.Slot != nil {
		state.Slot = new(event.Slot(*o.Slot))
	}
	switch f.Do {
	case ReserveResources, ReserveParts:
		typ, data := event.ReserveResources, event.Reserve{
			Reservation: f.Reservation, Attempt: o.Attempt, Minutes: o.Need.Duration.Minutes(), Earliest: o.Need.Earliest, Latest: o.Need.Latest,
			Skills: o.Need.Skills, Tools: o.Need.Tools,
		}
		if f.Do == ReserveParts {
			typ, data.Parts = event.ReserveParts, o.Need.Parts
		}
		return store.Draft{Type: typ, ID: event.IDFrom(string(typ), f.Reservation), Data: data}
	case Confirm:
		return about(event.ConfirmReservation, o.ID, f.Reservation)
	case Release:
		return release(o.ID, f.Reservation)
	case TellCompleted:
		return store.Draft{Type: event.WorkOrderCompleted, Data: state}
	case TellCancelled:
		return store.Draft{Type: event.WorkOrderCancelled, Data: state}
	case TellOverdue:
		state.Reason = "overdue: somebody is waited for"
	}
	return store.Draft{Type: event.WorkOrderStateChanged, Data: state}
}

// about is a command about a reservation.
func about(typ event.Type, order, reservation string) store.Draft {
	return store.Draft{
		Type: typ, ID: event.IDFrom(string(typ), reservation), Subject: order, Correlation: order, Data: event.Reservation{Reservation: reservation},
	}
}

func release(order, reservation string) store.Draft {
	return about(event.ReleaseReservation, order, reservation)
}

// texts asks for a column.
func texts(t *store.Tx, query string, args ...any) (all []string, err error) {
	rows, err := t.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("workorder: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x string
		if err := rows.Scan(&x); err != nil {
			return nil, fmt.Errorf("workorder: %w", err)
		}
		all = append(all, x)
	}
	return all, rows.Err()
}
