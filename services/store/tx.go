package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// Tx is a transaction under way. It must not be used after the function that it
// was given to.
type Tx struct {
	ctx   context.Context // of the Do or Handle that it is of
	store *Store
	tx    *sql.Tx
	now   time.Time
	cause *event.Event // that is taken in; nil: none
	said  bool
}

// Now is the time of the transaction, the same throughout, in UTC.
func (t *Tx) Now() time.Time { return t.now }

// Cause is the event that is taken in, nil in Do. It must not be changed.
func (t *Tx) Cause() *event.Event { return t.cause }

// Exec changes the service's own tables.
func (t *Tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(t.ctx, query, args...)
}

// Query asks, and sees what the transaction has changed. Close the rows before
// anything else is done.
func (t *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(t.ctx, query, args...)
}

// QueryRow asks for one row.
func (t *Tx) QueryRow(query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(t.ctx, query, args...)
}

// Draft is an event that is to be said.
type Draft struct {
	Type    event.Type
	Subject string
	Data    any // as JSON; nil: none
	// ID names a command that may be said again, see event.IDFrom; a new one if
	// empty. What has that ID already is published again as it was.
	ID string
	// Correlation is that of the event taken in if empty, or else the subject.
	Correlation string
}

// Emit puts an event into the outbox: it is published once the transaction has
// been committed, and never if it is not.
func (t *Tx) Emit(d Draft) (event.Event, error) {
	if d.ID != "" {
		if e, known, err := t.again(d.ID); known || err != nil {
			return e, err
		}
	}
	e := event.Event{
		ID: d.ID, Source: "/services/" + t.store.cfg.Service, Type: d.Type, Site: t.store.cfg.Site, Subject: d.Subject,
		Time: t.now, Correlation: d.Correlation,
	}
	if e.ID == "" {
		e.ID = event.NewID()
	}
	if t.cause != nil {
		e.Causation, e.TraceParent = t.cause.ID, t.cause.TraceParent
		if e.Correlation == "" {
			e.Correlation = t.cause.Correlation
		}
	}
	if e.Correlation == "" {
		e.Correlation = d.Subject
	}
	var err error
	if d.Data != nil {
		if e.Data, err = json.Marshal(d.Data); err != nil {
			return e, fmt.Errorf("store: data of %s: %w", d.Type, err)
		}
	}
	entry, ok := d.Type.Entry()
	if !ok {
		return e, fmt.Errorf("store: %q is not in the catalogue", d.Type)
	}
	if !entry.Command {
		err = t.QueryRow(`INSERT INTO aggregate VALUES (?,?,1)
			ON CONFLICT (domain, subject) DO UPDATE SET sequence = sequence + 1 RETURNING sequence`, d.Type.Domain(), d.Subject).Scan(&e.Sequence)
		if err != nil {
			return e, fmt.Errorf("store: sequence: %w", err)
		}
	}
	body, err := e.Append(nil)
	if err != nil {
		return e, fmt.Errorf("store: %s: %w", d.Type, err)
	}
	err = t.QueryRow("INSERT INTO outbox (id, at, body) VALUES (?,?,?) RETURNING n", e.ID, t.now.UnixMilli(), body).Scan(&e.Position)
	if err == nil && e.StateTopic() != "" {
		_, err = t.Exec("INSERT INTO state VALUES (?,?,?) ON CONFLICT (topic) DO UPDATE SET n = excluded.n, body = excluded.body",
			e.StateTopic(), e.Position, body)
	}
	if err != nil {
		return e, fmt.Errorf("store: outbox: %w", err)
	}
	t.said = true
	return e, nil
}

// again has what was said with an id published once more.
func (t *Tx) again(id string) (e event.Event, known bool, err error) {
	var body []byte
	var n uint64
	err = t.QueryRow("UPDATE outbox SET sent = 0 WHERE id = ? RETURNING n, body", id).Scan(&n, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	if err == nil {
		e, err = event.Parse(body)
	}
	if err != nil {
		return e, false, fmt.Errorf("store: outbox: %w", err)
	}
	e.Position = n
	t.said = true
	return e, true, nil
}

// advance moves the cursor of a source forward.
func (t *Tx) advance(source string, to uint64) error {
	_, err := t.Exec("INSERT INTO cursor VALUES (?,'',?) ON CONFLICT (source) DO UPDATE SET n = max(n, excluded.n)", source, to)
	if err != nil {
		return fmt.Errorf("store: cursor: %w", err)
	}
	return nil
}

// Do carries out f in a transaction, which is committed when f returns nil, and
// rolled back when not.
func (s *Store) Do(ctx context.Context, f func(*Tx) error) error { return s.do(ctx, nil, f) }

func (s *Store) do(ctx context.Context, cause *event.Event, f func(*Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	t := &Tx{ctx: ctx, store: s, tx: tx, now: s.cfg.Now().UTC().Truncate(time.Millisecond), cause: cause}
	done := false
	defer func() {
		if !done { // f has panicked
			_ = tx.Rollback()
		}
	}()
	err = f(t)
	done = true
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if t.said {
		select {
		case s.committed <- struct{}{}:
		default:
		}
	}
	return nil
}

// Outcome is what became of an event.
type Outcome uint8

// The outcomes.
const (
	Failed Outcome = iota // nothing has changed: bring it again
	Done                  // its effect is committed
	Known                 // it had its effect before
	Dead                  // it has failed too often and is a dead letter now
)

var errKnown = errors.New("store: known")

// Handle takes in an event: f is its effect, and is carried out once for an event
// id, however often the event comes. An event may be confirmed to whoever brought
// it unless the outcome is Failed. An event that fails again and again becomes a
// dead letter, so that it does not hold up those behind it. What has a position
// moves the cursor of its source along, in the same transaction: bring it in order.
func (s *Store) Handle(ctx context.Context, e event.Event, f func(*Tx) error) (Outcome, error) {
	err := s.do(ctx, &e, func(t *Tx) error {
		res, err := t.Exec("INSERT INTO inbox VALUES (?,?) ON CONFLICT DO NOTHING", e.ID, t.now.UnixMilli())
		if err != nil {
			return fmt.Errorf("store: inbox: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errKnown)
		}
		if e.Position > 0 {
			if err := t.advance(e.Source, e.Position); err != nil {
				return err
			}
		}
		if err := f(t); err != nil {
			return &effectError{err}
		}
		_, err = t.Exec("DELETE FROM trouble WHERE id = ?", e.ID)
		return err
	})
	effect, blamed := errors.AsType[*effectError](err)
	switch {
	case err == nil:
		return Done, nil
	case errors.Is(err, errKnown):
		return Known, nil
	case ctx.Err() != nil || !blamed:
		return Failed, err // the event is not to blame
	}
	return s.blame(ctx, &e, effect.error)
}

// effectError is what an effect returned.
type effectError struct{ error }

func (e *effectError) Unwrap() error { return e.error }

// blame counts a failure of an event.
func (s *Store) blame(ctx context.Context, e *event.Event, cause error) (Outcome, error) {
	body, err := e.Append(nil)
	if err != nil {
		return Failed, errors.Join(cause, err)
	}
	out := Failed
	err = s.Do(ctx, func(t *Tx) error {
		tries := 0
		err := t.QueryRow(`INSERT INTO trouble VALUES (?,?,1,0,?,?) ON CONFLICT (id) DO UPDATE
			SET tries = tries + 1, at = excluded.at, error = excluded.error RETURNING tries`,
			e.ID, t.now.UnixMilli(), cause.Error(), body).Scan(&tries)
		if err != nil || tries < s.cfg.Tries {
			return err
		}
		out = Dead
		if _, err = t.Exec("UPDATE trouble SET dead = 1 WHERE id = ?", e.ID); err != nil {
			return err
		}
		if e.Position > 0 {
			if err := t.advance(e.Source, e.Position); err != nil {
				return err
			}
		}
		_, err = t.Exec("INSERT INTO inbox VALUES (?,?)", e.ID, t.now.UnixMilli())
		return err
	})
	if err != nil {
		return Failed, errors.Join(cause, fmt.Errorf("store: trouble: %w", err))
	}
	if out == Dead {
		s.cfg.Log.Error("an event has failed too often: it is a dead letter", "id", e.ID, "type", e.Type, "subject", e.Subject, "err", cause)
	}
	return out, cause
}
