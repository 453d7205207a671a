package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// migrations bring catalog.db from version i to i+1; PRAGMA user_version holds
// the version. What is released is never edited, only added to.
var migrations = []string{`
CREATE TABLE series (
	id INTEGER PRIMARY KEY, grp TEXT NOT NULL, node TEXT NOT NULL, device TEXT NOT NULL, metric TEXT NOT NULL,
	type INTEGER NOT NULL, unit TEXT NOT NULL, properties TEXT NOT NULL, template TEXT NOT NULL,
	first_seen INTEGER NOT NULL, changed_at INTEGER NOT NULL, has_quality INTEGER NOT NULL,
	UNIQUE (grp, node, device, metric));
CREATE TABLE span ( -- the datatype of the numbers in the TSDB, from a time on
	series INTEGER NOT NULL, since INTEGER NOT NULL, type INTEGER NOT NULL, PRIMARY KEY (series, since)) WITHOUT ROWID;
CREATE TABLE sample ( -- what a float64 cannot hold; kind: see row.go
	series INTEGER NOT NULL, ts INTEGER NOT NULL, kind INTEGER NOT NULL, type INTEGER NOT NULL,
	num INTEGER NOT NULL, txt BLOB, quality INTEGER NOT NULL, PRIMARY KEY (series, ts)) WITHOUT ROWID;
CREATE INDEX sample_ts ON sample (ts);
CREATE INDEX sample_late ON sample (series, ts) WHERE kind = 2;
CREATE TABLE event (
	at INTEGER NOT NULL, grp TEXT NOT NULL, node TEXT NOT NULL, device TEXT NOT NULL, kind TEXT NOT NULL,
	bdseq INTEGER NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (at, grp, node, device, kind)) WITHOUT ROWID;
CREATE TABLE counter (
	name TEXT NOT NULL, grp TEXT NOT NULL, node TEXT NOT NULL, device TEXT NOT NULL, reason TEXT NOT NULL,
	n INTEGER NOT NULL, PRIMARY KEY (name, grp, node, device, reason)) WITHOUT ROWID;
CREATE TABLE quarantine (
	id INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL, ts INTEGER NOT NULL, type INTEGER NOT NULL,
	num INTEGER NOT NULL, txt BLOB, quality INTEGER NOT NULL, received INTEGER NOT NULL, UNIQUE (series, ts));
`, `
CREATE TABLE synced (n INTEGER NOT NULL); -- one row: the number of syncs, see checks
INSERT INTO synced VALUES (0);
`, `
CREATE INDEX sample_number ON sample (series, ts) WHERE kind = 0 AND type IN (1,2,3,4,5,6,7,8,9,10,11,13); -- see overlaid
`}

// openCatalog opens catalog.db for its one writer, brings it up to date, and
// opens it again for readers.
func openCatalog(ctx context.Context, dir string) (write, read *sql.DB, err error) {
	file, err := filepath.Abs(filepath.Join(dir, "catalog.db"))
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: catalog: %w", err)
	}
	dsn := func(pragmas ...string) string {
		q := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)")}
		return (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String()
	}
	write, err = sql.Open("sqlite", dsn("journal_mode(WAL)", "synchronous(NORMAL)"))
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: catalog: %w", err)
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write); err != nil {
		return nil, nil, fmt.Errorf("embedded: catalog %s: %w", file, errors.Join(err, write.Close()))
	}
	read, err = sql.Open("sqlite", dsn("query_only(1)"))
	if err != nil {
		return nil, nil, fmt.Errorf("embedded: catalog: %w", errors.Join(err, write.Close()))
	}
	read.SetMaxOpenConns(8)
	return write, read, nil
}

// errNewer says that a newer program has written the catalogue.
var errNewer = errors.New("use a newer one")

func migrate(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("is of version %d, this program knows %d: %w", version, len(migrations), errNewer)
	}
	for ; version < len(migrations); version++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, migrations[version]+fmt.Sprintf("PRAGMA user_version = %d", version+1))
		if err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("migration %d: %w", version+1, err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("migration %d: %w", version+1, err)
		}
	}
	return nil
}

// load fills the index from the catalogue. It is called before anything else
// uses the store.
func (s *Store) load(ctx context.Context) error {
	rows, err := s.write.QueryContext(ctx, `SELECT id, grp, node, device, metric, type, unit, properties, template,
		first_seen, changed_at, has_quality FROM series`)
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e := &series{last: math.MinInt64}
		var typ, quality int
		err := rows.Scan(&e.id, &e.key.Group, &e.key.Node, &e.key.Device, &e.key.Metric, &typ, &e.meta.Unit,
			&e.meta.Properties, &e.meta.Template, &e.firstSeen, &e.changedAt, &quality)
		if err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
		e.meta.Type = sparkplug.DataType(typ)
		e.labels = valueLabels(e.key)
		if quality != 0 {
			e.quality = &gauge{labels: qualityLabels(e.key)}
		}
		s.add(e)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	if err := s.loadSpans(ctx); err != nil {
		return err
	}
	return errors.Join(s.loadSizes(ctx), s.loadDevices(ctx), s.loadOverlaid(ctx))
}

// loadSizes counts the rows of the tables that are bounded or waiting.
func (s *Store) loadSizes(ctx context.Context) error {
	err := s.write.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM quarantine), (SELECT count(*) FROM sample WHERE kind = 2)").
		Scan(&s.quarantined, &s.late.rows)
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.QuarantineSize = s.quarantined
	return nil
}

func (s *Store) loadSpans(ctx context.Context) error {
	rows, err := s.write.QueryContext(ctx, "SELECT series, since, type FROM span ORDER BY series, since")
	if err != nil {
		return fmt.Errorf("embedded: catalog: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, since int64
		var typ int
		if err := rows.Scan(&id, &since, &typ); err != nil {
			return fmt.Errorf("embedded: catalog: %w", err)
		}
		if e := s.byID(history.Series(id)); e != nil {
			e.spans = append(e.spans, span{since, sparkplug.DataType(typ)})
		}
	}
	return rows.Err()
}
