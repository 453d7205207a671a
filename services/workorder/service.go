package workorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// Migrations make the tables of the service, for store.Config.
var Migrations = []string{`
CREATE TABLE work_order (
	id TEXT PRIMARY KEY, asset TEXT NOT NULL, failure_mode TEXT NOT NULL, cancel_on_clear INTEGER NOT NULL, open INTEGER NOT NULL,
	deadline INTEGER, body TEXT NOT NULL);
CREATE UNIQUE INDEX work_order_open ON work_order (asset, failure_mode) WHERE open = 1;
CREATE INDEX work_order_deadline ON work_order (deadline) WHERE deadline IS NOT NULL;
CREATE TABLE occurrence ( -- an anomaly that an order was made for, or that came while it was open
	anomaly TEXT PRIMARY KEY, work_order TEXT NOT NULL REFERENCES work_order, at INTEGER NOT NULL, over INTEGER NOT NULL);
CREATE INDEX occurrence_order ON occurrence (work_order);
CREATE TABLE passage ( -- each change of an order, and the event that led to it
	work_order TEXT NOT NULL REFERENCES work_order, version INTEGER NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
	cause TEXT NOT NULL, PRIMARY KEY (work_order, version));
`}

// Domain and Name are what the service is known by.
const (
	Name   = "workorder"
	Domain = event.WorkOrder
)

// Errors of what a person asks for.
var (
	ErrUnknown = errors.New("workorder: there is no such order")
	ErrNotNow  = errors.New("workorder: the order's state does not allow it")
)

// Service keeps work orders. Put Handlers on a bus, and Run it.
type Service struct{ cfg Config }

// New returns a service; every fault of c is told at once.
func New(c Config) (*Service, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	return &Service{c}, nil
}

// Handlers are the effects of what other services say.
func (s *Service) Handlers() map[event.Type]bus.Handler {
	h := map[event.Type]bus.Handler{
		event.AnomalyDetected: s.anomaly, event.AnomalyUpdated: s.anomaly, event.AnomalyCleared: s.cleared,
	}
	for typ, kind := range map[event.Type]Kind{
		event.ResourcesReserved: Reserved, event.ReservationRejected: Rejected, event.PartsReserved: PartsReserved, event.PartsRejected: PartsRejected,
		event.ReservationConfirmed: Confirmed, event.ReservationExpired: Expired, event.ReservationReleased: Released, event.SlotMoved: Moved,
	} {
		h[typ] = func(t *store.Tx, e *event.Event) error { return s.answered(t, e, kind) }
	}
	return h
}

// Run looks for deadlines that have passed until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Every)
	defer tick.Stop()
	for {
		if _, err := s.Remind(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("deadlines of work orders can not be looked for", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// remindMost is how many deadlines are worked off at once.
const remindMost = 1000

// Remind works off the deadlines that have passed, the oldest first and 1,000 at
// most, and says how many there were. An order with which that goes wrong does not
// hold up the others.
func (s *Service) Remind(ctx context.Context) (n int, err error) {
	var ids []string
	err = s.cfg.Store.Do(ctx, func(t *store.Tx) (err error) {
		ids, err = texts(t, "SELECT id FROM work_order WHERE deadline <= ? ORDER BY deadline LIMIT ?", t.Now().UnixMilli(), remindMost)
		return err
	})
	for _, id := range ids {
		e := s.cfg.Store.Do(ctx, func(t *store.Tx) error {
			_, err := s.step(t, id, Input{Kind: Tick})
			return err
		})
		if e != nil {
			err = errors.Join(err, fmt.Errorf("workorder: deadline of %s: %w", id, e))
		}
	}
	return len(ids), err
}

// Apply is what a person asks for: Approved, Started, Held, Resumed, Done, Verified,
// Cancel or Retry. The error wraps ErrUnknown or ErrNotNow, or is the database's.
func (s *Service) Apply(ctx context.Context, id string, in Input) (o Order, err error) {
	switch in.Kind {
	case Approved, Started, Held, Resumed, Done, Verified, Cancel, Retry:
	default:
		return Order{}, fmt.Errorf("%w: it is not for a person to ask for", ErrNotNow)
	}
	err = s.cfg.Store.Do(ctx, func(t *store.Tx) error {
		ok, err := s.step(t, id, in)
		if err != nil {
			return err
		}
		if o, err = load(t, id); err == nil && !ok {
			err = fmt.Errorf("%w: it is %s", ErrNotNow, o.State)
		}
		return err
	})
	return o, err
}

// anomaly makes an order, or notes the anomaly with the one that is open for the
// same failure of the same asset. An anomaly that is too weak for a rule may grow.
func (s *Service) anomaly(t *store.Tx, e *event.Event) error {
	var a event.Anomaly
	if err := e.Into(&a); err != nil {
		return err
	}
	rule := s.cfg.rule(&a)
	if rule == nil {
		return nil
	}
	if known, err := texts(t, "SELECT work_order FROM occurrence WHERE anomaly = ?", e.Subject); err != nil || len(known) > 0 {
		return err
	}
	open, err := texts(t, "SELECT id FROM work_order WHERE asset = ? AND failure_mode = ? AND open = 1", a.Asset, a.FailureMode)
	if err != nil {
		return err
	}
	if len(open) == 0 {
		id := event.IDFrom("order", e.Source, e.Subject)
		if err := s.create(t, id, &a, rule, e); err != nil {
			return err
		}
		open = []string{id}
	}
	_, err = t.Exec("INSERT INTO occurrence VALUES (?,?,?,0)", e.Subject, open[0], t.Now().UnixMilli())
	return err
}

func (s *Service) create(t *store.Tx, id string, a *event.Anomaly, rule *Rule, e *event.Event) error {
	template := s.cfg.template(rule.Template)
	o, fx := Begin(id, template.need(t.Now()), rule.Approval, t.Now())
	_, err := t.Exec("INSERT INTO work_order VALUES (?,?,?,?,1,NULL,'')", id, a.Asset, a.FailureMode, rule.CancelOnClear)
	if err != nil {
		return err
	}
	_, err = t.Emit(store.Draft{Type: event.WorkOrderCreated, Subject: id, Correlation: id, Data: event.Order{
		Asset: a.Asset, Origin: event.Origin{Anomaly: e.Subject}, Priority: a.Severity, FailureMode: a.FailureMode, Template: template.ID,
		Skills: template.Skills, Tools: template.Tools, Parts: template.Parts, DueBy: o.Need.Latest,
	}})
	if err != nil {
		return err
	}
	return s.save(t, o, fx)
}

// cleared cancels an order whose anomalies are all over, when its rule says so and
// nobody has begun.
func (s *Service) cleared(t *store.Tx, e *event.Event) error {
	ids, err := texts(t, "UPDATE occurrence SET over = 1 WHERE anomaly = ? RETURNING work_order", e.Subject)
	if err != nil || len(ids) == 0 {
		return err
	}
	ids, err = texts(t, `SELECT id FROM work_order WHERE id = ? AND open = 1 AND cancel_on_clear = 1
		AND NOT EXISTS (SELECT 1 FROM occurrence WHERE work_order = work_order.id AND over = 0)`, ids[0])
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = s.step(t, ids[0], Input{Kind: Cancel, Reason: "the anomaly is over"})
	return err
}

// answered is what Scheduling says.
func (s *Service) answered(t *store.Tx, e *event.Event, kind Kind) error {
	var r event.Reservation
	if err := e.Into(&r); err != nil {
		return err
	}
	in := Input{Kind: kind, Reservation: r.Reservation, Reason: r.Reason}
	if r.Slot != nil {
		in.Slot = new(Slot(*r.Slot))
	}
	if r.Next != nil {
		in.Until = *r.Next
	}
	_, err := s.step(t, e.Subject, in)
	if errors.Is(err, ErrUnknown) {
		return s.unknown(t, e, kind, r.Reservation)
	}
	return err
}

// unknown gives back what Scheduling holds for an order that is not here, as after
// its database was set back to an earlier time.
func (s *Service) unknown(t *store.Tx, e *event.Event, kind Kind, reservation string) error {
	s.cfg.Log.Warn("an answer is about an order that is not known", "order", e.Subject, "reservation", reservation, "type", e.Type)
	switch kind {
	case Reserved, PartsReserved, Confirmed, Moved:
		_, err := t.Emit(release(e.Subject, reservation))
		return err
	default:
		return nil // nothing is held
	}
}
