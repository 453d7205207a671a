package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/magneto-iiot/magneto/services/event"
)

// Config says whose database it is and where. Service, Site and DSN are required;
// every other field works at its zero value.
type Config struct {
	Service string // name of the service, the source of its events
	Site    string
	DSN     string // sqlite:FILE

	// Migrations bring the service's own tables from version i to i+1. What is
	// released is only added to.
	Migrations []string

	Keep  time.Duration // how long events stay in the feed; 30 days if zero. What was taken in is remembered twice as long
	Tries int           // how often an event may fail before it is a dead letter; 10 if zero

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	c.Keep = cmp.Or(c.Keep, 30*24*time.Hour)
	c.Tries = cmp.Or(c.Tries, 10)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	var faults []error
	if !event.ValidID(c.Service) || !event.ValidID(c.Site) {
		faults = append(faults, fmt.Errorf("store: service %q or site %q is not a name", c.Service, c.Site))
	}
	if file, ok := strings.CutPrefix(c.DSN, "sqlite:"); !ok || file == "" {
		faults = append(faults, fmt.Errorf("store: database %q: want sqlite:FILE", c.DSN))
	}
	if c.Keep < 0 || c.Tries < 0 {
		faults = append(faults, errors.New("store: keep or tries is negative"))
	}
	return c, errors.Join(faults...)
}

// ownMigrations are those of the tables that every service has.
var ownMigrations = []string{`
CREATE TABLE outbox (
	n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, body BLOB NOT NULL, sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX outbox_unsent ON outbox (n) WHERE sent = 0;
CREATE INDEX outbox_at ON outbox (at);
CREATE TABLE aggregate (domain TEXT NOT NULL, subject TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (domain, subject)) WITHOUT ROWID;
CREATE TABLE inbox (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX inbox_at ON inbox (at);
CREATE TABLE trouble ( -- events whose effect has failed; dead: it is not tried again by itself
	id TEXT PRIMARY KEY, at INTEGER NOT NULL, tries INTEGER NOT NULL, dead INTEGER NOT NULL, error TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
`, `
CREATE TABLE epoch AS SELECT lower(hex(randomblob(16))) AS id; -- of the outbox: another database has another one
CREATE TABLE cursor ( -- up to which position of which outbox what a source said was taken in
	source TEXT PRIMARY KEY, epoch TEXT NOT NULL, n INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (topic TEXT PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID; -- the newest event of each
`}

// Store is an open database. Its methods may be called from several goroutines;
// transactions take turns.
type Store struct {
	cfg         Config
	epoch       string
	write, read *sql.DB
	committed   chan struct{}
}

// Open opens or makes the database and brings its tables up to date.
func Open(ctx context.Context, c Config) (*Store, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	file, err := filepath.Abs(strings.TrimPrefix(c.DSN, "sqlite:"))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	dsn := func(pragmas ...string) string {
		q := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)", "foreign_keys(1)"), "_txlock": {"immediate"}}
		return (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String()
	}
	s := &Store{cfg: c, committed: make(chan struct{}, 1)}
	// What was committed is told to others: it must outlive a loss of power.
	if s.write, err = sql.Open("sqlite", dsn("journal_mode(WAL)", "synchronous(FULL)")); err != nil {
		return nil, fmt.Errorf("store: %s: %w", file, err)
	}
	s.write.SetMaxOpenConns(1)
	err = s.migrate(ctx, "store", ownMigrations)
	if err == nil {
		err = s.migrate(ctx, "service", c.Migrations)
	}
	if err == nil {
		err = s.write.QueryRowContext(ctx, "SELECT id FROM epoch").Scan(&s.epoch)
	}
	if err == nil {
		s.read, err = sql.Open("sqlite", dsn("query_only(1)"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", file, err), s.write.Close())
	}
	s.read.SetMaxOpenConns(8)
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Epoch names the outbox: positions of two databases of a service do not mix.
func (s *Store) Epoch() string { return s.epoch }

// Read is for questions that change nothing. The caller must not close it.
func (s *Store) Read() *sql.DB { return s.read }

// migrate brings the tables of a part up to date, a version in a transaction.
func (s *Store) migrate(ctx context.Context, part string, all []string) error {
	_, err := s.write.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS version (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID")
	if err != nil {
		return err
	}
	version := 0
	err = s.write.QueryRowContext(ctx, "SELECT version FROM version WHERE part = ?", part).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if version > len(all) {
		return fmt.Errorf("its %s tables are of version %d, this program knows %d: use a newer one", part, version, len(all))
	}
	for ; version < len(all); version++ {
		tx, err := s.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, all[version])
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO version VALUES (?,?) ON CONFLICT (part) DO UPDATE SET version = excluded.version", part, version+1)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s migration %d: %w", part, version+1, err), tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("%s migration %d: %w", part, version+1, err)
		}
	}
	return nil
}
