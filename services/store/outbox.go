package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// Said is an event that the service has said. N grows by one with each, in the
// order in which they were committed, and is the event's position too.
type Said struct {
	N     int64
	Event event.Event
}

// Committed tells that there may be something to publish. It has room for one
// notice: after it ask Unsent until there is nothing more.
func (s *Store) Committed() <-chan struct{} { return s.committed }

// Unsent returns the oldest events of the outbox that were not confirmed, limit at
// most.
func (s *Store) Unsent(ctx context.Context, limit int) ([]Said, error) {
	return s.said(ctx, "SELECT n, body FROM outbox WHERE sent = 0 ORDER BY n LIMIT ?", limit)
}

// Feed returns the events after a position, oldest first, limit at most; 0 is
// before the first. Those older than Config.Keep may be gone.
func (s *Store) Feed(ctx context.Context, after int64, limit int) ([]Said, error) {
	return s.said(ctx, "SELECT n, body FROM outbox WHERE n > ? ORDER BY n LIMIT ?", after, limit)
}

// Head is the position of the newest event ever said; 0: there is none.
func (s *Store) Head(ctx context.Context) (n int64, err error) {
	if err := s.read.QueryRowContext(ctx, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)").Scan(&n); err != nil {
		return 0, fmt.Errorf("store: outbox: %w", err)
	}
	return n, nil
}

// States returns the newest event of each state that the service has told of, for a
// broker that has forgotten them: those whose topic is after a topic, by topic,
// limit at most. Empty is before the first.
func (s *Store) States(ctx context.Context, after string, limit int) ([]Said, error) {
	return s.said(ctx, "SELECT n, body FROM state WHERE topic > ? ORDER BY topic LIMIT ?", after, limit)
}

// Cursor is where the taking in of what a source says stands.
type Cursor struct {
	Epoch    string // of the source's outbox; empty: it was not told yet
	Position uint64 // up to which all was taken in; 0: nothing yet
}

// Cursor returns that of a source.
func (s *Store) Cursor(ctx context.Context, source string) (c Cursor, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT epoch, n FROM cursor WHERE source = ?", source).Scan(&c.Epoch, &c.Position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Cursor{}, fmt.Errorf("store: cursor: %w", err)
	}
	return c, nil
}

// Advance notes that all that a source has said up to a position was taken in, or
// is not wanted. It never goes back.
func (s *Store) Advance(ctx context.Context, source string, to uint64) error {
	return s.Do(ctx, func(t *Tx) error { return t.advance(source, to) })
}

// SetCursor puts the cursor of a source somewhere else: to its start, when its
// positions have begun anew.
func (s *Store) SetCursor(ctx context.Context, source string, c Cursor) error {
	return s.Do(ctx, func(t *Tx) error {
		_, err := t.Exec(`INSERT INTO cursor VALUES (?,?,?)
			ON CONFLICT (source) DO UPDATE SET epoch = excluded.epoch, n = excluded.n`, source, c.Epoch, c.Position)
		if err != nil {
			return fmt.Errorf("store: cursor: %w", err)
		}
		return nil
	})
}

func (s *Store) said(ctx context.Context, query string, args ...any) (all []Said, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("store: outbox: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Said
		var body []byte
		if err := rows.Scan(&x.N, &body); err != nil {
			return nil, fmt.Errorf("store: outbox: %w", err)
		}
		if x.Event, err = event.Parse(body); err != nil {
			return nil, fmt.Errorf("store: outbox: %d: %w", x.N, err)
		}
		x.Event.Position = uint64(x.N)
		all = append(all, x)
	}
	return all, rows.Err()
}

// Confirm notes that events were published.
func (s *Store) Confirm(ctx context.Context, ns ...int64) error {
	return s.Do(ctx, func(t *Tx) error {
		for _, n := range ns {
			if _, err := t.Exec("UPDATE outbox SET sent = 1 WHERE n = ?", n); err != nil {
				return fmt.Errorf("store: outbox: %w", err)
			}
		}
		return nil
	})
}

// Prune forgets what is older than Config.Keep: events that were published, and,
// after twice that time, which events were taken in. Whoever brings one later
// still would have its effect twice, so feeds must not reach back further.
func (s *Store) Prune(ctx context.Context) error {
	return s.Do(ctx, func(t *Tx) error {
		_, err := t.Exec("DELETE FROM outbox WHERE sent = 1 AND at < ?", t.now.Add(-s.cfg.Keep).UnixMilli())
		if err == nil {
			_, err = t.Exec("DELETE FROM inbox WHERE at < ?", t.now.Add(-2*s.cfg.Keep).UnixMilli())
		}
		if err != nil {
			return fmt.Errorf("store: prune: %w", err)
		}
		return nil
	})
}

// DeadLetter is an event whose effect has failed too often.
type DeadLetter struct {
	Event event.Event
	At    time.Time // of the last try
	Tries int
	Error string // of the last try
}

// DeadLetters returns them by the time of the last try, limit at most.
func (s *Store) DeadLetters(ctx context.Context, limit int) (all []DeadLetter, err error) {
	rows, err := s.read.QueryContext(ctx, "SELECT at, tries, error, body FROM trouble WHERE dead = 1 ORDER BY at, id LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("store: dead letters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d DeadLetter
		var at int64
		var body []byte
		if err := rows.Scan(&at, &d.Tries, &d.Error, &body); err != nil {
			return nil, fmt.Errorf("store: dead letters: %w", err)
		}
		if d.Event, err = event.Parse(body); err != nil {
			return nil, fmt.Errorf("store: dead letters: %w", err)
		}
		d.At = time.UnixMilli(at).UTC()
		all = append(all, d)
	}
	return all, rows.Err()
}

// Retry carries out the effect of a dead letter once more: Done, then it is none
// any more; Failed, then it still is one; Known, there is none with that id.
func (s *Store) Retry(ctx context.Context, id string, f func(*Tx) error) (Outcome, error) {
	var body []byte
	err := s.read.QueryRowContext(ctx, "SELECT body FROM trouble WHERE id = ? AND dead = 1", id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return Known, nil
	}
	if err != nil {
		return Failed, fmt.Errorf("store: dead letters: %w", err)
	}
	e, err := event.Parse(body)
	if err != nil {
		return Failed, fmt.Errorf("store: dead letters: %w", err)
	}
	err = s.do(ctx, &e, func(t *Tx) error {
		res, err := t.Exec("DELETE FROM trouble WHERE id = ? AND dead = 1", id)
		if err != nil {
			return fmt.Errorf("store: dead letters: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errKnown) // somebody else was quicker
		}
		return f(t)
	})
	switch {
	case errors.Is(err, errKnown):
		return Known, nil
	case err != nil:
		return Failed, errors.Join(err, s.Do(ctx, func(t *Tx) error {
			_, err := t.Exec("UPDATE trouble SET tries = tries + 1, at = ?, error = ? WHERE id = ?", t.now.UnixMilli(), err.Error(), id)
			return err
		}))
	}
	return Done, nil
}
