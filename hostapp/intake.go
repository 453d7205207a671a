package hostapp

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// A record of the journal is the time of its load (8 bytes) and then parts: a
// byte that says which, and
//
//	rows: entity and form (varints) and a list of samples, whose IDs are slots
//	mark: its length (varint) and JSON, see savedMark
//
// Entities and forms are numbers of names: "e" and a JSON array [group, node,
// device]; "f" and the Sparkplug payload of a birth that declares it.
const (
	partRows = 1
	partMark = 2

	flagHistorical = 1
	flagBirth      = 2

	nameEntity = "e"
	nameForm   = "f"
)

// recordRows is about how many rows one record has.
const recordRows = 8192

// savedMark is a mark in the journal.
type savedMark struct {
	Kind   markKind       `json:"k,omitempty"`
	Entity uint32         `json:"e,omitempty"`
	Form   uint32         `json:"f,omitempty"`
	At     int64          `json:"at"`
	Sent   int64          `json:"sent,omitempty"`
	Event  *history.Event `json:"event,omitempty"`
}

// intake is the journal of a host: what was taken in, until every sink has it.
// Its append side belongs to the goroutine of ingest.run; the sinks read.
type intake struct {
	log     *slog.Logger
	journal *journal.Journal
	names   *samples.Names
	sinks   []string // cursors
	known   map[uint32]*entered
	forms   map[*form]uint32
	list    []samples.Sample
	buf     []byte
}

// entered is what the journal says of an entity of this run.
type entered struct{ entity, form uint32 }

func openIntake(c Config) (*intake, error) {
	in := &intake{log: c.Log, known: map[uint32]*entered{}, forms: map[*form]uint32{}}
	for _, s := range c.sinks() {
		in.sinks = append(in.sinks, s.Name)
	}
	var err error
	in.journal, err = journal.Open(journal.Config{
		Dir: filepath.Join(c.Journal, "log"), MaxBytes: c.JournalBytes, SegmentBytes: min(16<<20, c.JournalBytes/4),
		KeepBytes: min(c.JournalKeep, c.JournalBytes/2),
		WhenFull:  journal.Refuse, Log: c.Log, Now: c.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("hostapp: journal: %w", err)
	}
	in.names, err = samples.OpenNames(samples.NamesConfig{Dir: filepath.Join(c.Journal, "names"), Log: c.Log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hostapp: journal: %w", err), in.journal.Close())
	}
	err = in.dropStrangers()
	if err == nil && in.drained() && (c.JournalKeep == 0 || in.names.Bytes() > mostNames) {
		err = in.forget() // births long ago, maybe
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hostapp: journal: %w", err), in.close())
	}
	return in, nil
}

// mostNames bounds the names that are kept for the sake of records that every
// store has, in bytes.
const mostNames = 64 << 20

// forget forgets the names, and what is kept that refers to them.
func (in *intake) forget() error {
	if err := in.journal.Forget(); err != nil {
		return err
	}
	return in.names.Forget()
}

// drained says whether every sink has everything.
func (in *intake) drained() bool {
	for _, s := range in.sinks {
		if in.journal.Cursor(s) < in.journal.Next() {
			return false
		}
	}
	return true
}

// dropStrangers forgets the cursors of sinks that are not configured any more,
// which would keep everything for ever.
func (in *intake) dropStrangers() error {
	for _, name := range in.journal.Cursors() {
		known := false
		for _, s := range in.sinks {
			known = known || s == name
		}
		if !known {
			in.log.Warn("journal: a sink is not configured any more: what it has not read is given up", "sink", name)
			if err := in.journal.DropCursor(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// append makes a load durable. After an error the same load is to be given
// again: it goes on where it stopped.
func (in *intake) append(l *load) error {
	for l.rowsDone < len(l.rows) || l.marksDone < len(l.marks) {
		rows, marks, err := in.encode(l)
		if err != nil {
			return err
		}
		if err := in.names.Sync(); err != nil {
			return err
		}
		if _, err := in.journal.Append(in.buf); err != nil {
			return err
		}
		l.rowsDone, l.marksDone = rows, marks
	}
	return in.journal.Sync()
}

// encode puts the next part of a load into buf, and says how far it came.
func (in *intake) encode(l *load) (rows, marks int, err error) {
	in.buf = binary.LittleEndian.AppendUint64(in.buf[:0], uint64(l.at))
	rows, marks = l.rowsDone, l.marksDone
	most := min(len(l.rows), rows+recordRows)
	for rows < most || marks < len(l.marks) && l.marks[marks].before <= rows {
		if marks < len(l.marks) && l.marks[marks].before <= rows {
			if err := in.mark(&l.marks[marks]); err != nil {
				return 0, 0, err
			}
			marks++
			continue
		}
		end := rows + 1
		for end < most && l.rows[end].entity == l.rows[rows].entity && (marks == len(l.marks) || end < l.marks[marks].before) {
			end++
		}
		if err := in.rows(l.rows[rows:end]); err != nil {
			return 0, 0, err
		}
		rows = end
	}
	return rows, marks, nil
}

func (in *intake) rows(rows []row) error {
	e := in.known[rows[0].entity]
	if e == nil {
		return nil // not born, as far as the journal knows
	}
	in.list = in.list[:0]
	for i := range rows {
		r := &rows[i]
		s := samples.Sample{ID: r.slot, Time: r.time, Quality: r.quality, Value: r.value}
		if r.historical {
			s.Flags |= flagHistorical
		}
		if r.birth {
			s.Flags |= flagBirth
		}
		in.list = append(in.list, s)
	}
	before := len(in.buf)
	in.buf = append(in.buf, partRows)
	in.buf = binary.AppendUvarint(in.buf, uint64(e.entity))
	in.buf = binary.AppendUvarint(in.buf, uint64(e.form))
	var err error
	if in.buf, err = samples.Append(in.buf, in.list); err != nil {
		in.buf = in.buf[:before] // a value that nobody can store
		in.log.Error("journal: samples cannot be encoded and are left out", "count", len(rows), "err", err)
	}
	clear(in.list)
	return nil
}

func (in *intake) mark(m *mark) error {
	s := savedMark{Kind: m.kind, At: m.at, Sent: m.sent}
	switch m.kind {
	case markBorn:
		if err := in.enter(m); err != nil {
			return err
		}
		fallthrough
	case markGone, markAway:
		if e := in.known[m.entity]; e != nil {
			s.Entity, s.Form = e.entity, e.form
		} else {
			s.Kind = markEvent
		}
	case markStarted:
		clear(in.known)
	}
	if m.event.Kind != "" {
		s.Event = &m.event
	}
	b, err := json.Marshal(&s)
	if err != nil {
		return fmt.Errorf("hostapp: journal: %w", err)
	}
	in.buf = append(in.buf, partMark)
	in.buf = binary.AppendUvarint(in.buf, uint64(len(b)))
	in.buf = append(in.buf, b...)
	return nil
}

// enter gives an entity and its form their numbers.
func (in *intake) enter(m *mark) error {
	id, ok := in.forms[m.form]
	if !ok {
		text, err := m.form.text()
		if err != nil {
			return err
		}
		if id, err = in.names.ID(nameForm + text); err != nil {
			return err
		}
		if len(in.forms) > 1<<16 { // of births long ago
			clear(in.forms)
		}
		in.forms[m.form] = id
	}
	e := in.known[m.entity]
	if e == nil {
		text, err := json.Marshal([]string{m.place.group, m.place.node, m.place.device})
		if err != nil {
			return err
		}
		n, err := in.names.ID(nameEntity + string(text))
		if err != nil {
			return err
		}
		e = &entered{entity: n}
		in.known[m.entity] = e
	}
	e.form = id
	return nil
}

// text is a form as the payload of a birth without values.
func (f *form) text() (string, error) {
	var p sparkplug.Payload
	for i := range f.defs {
		d := &f.defs[i]
		p.Metrics = append(p.Metrics, sparkplug.Metric{
			Name: d.Name, Value: sparkplug.Null(d.Type), Properties: d.Properties, Transient: d.Transient,
		})
	}
	b, err := p.Append(nil)
	return string(b), err
}

func parseForm(text string) (*form, error) {
	var p sparkplug.Payload
	if err := p.DecodeLimits([]byte(text), sparkplug.Limits{Bytes: len(text) + 1, Metrics: len(text) + 1}); err != nil {
		return nil, err
	}
	f := &form{defs: make([]session.Def, len(p.Metrics))}
	for i := range p.Metrics {
		m := &p.Metrics[i]
		f.defs[i] = session.Def{Name: m.Name, Type: m.Value.Type(), Properties: m.Properties, Transient: m.Transient}
	}
	return f, nil
}

func (in *intake) close() error { return errors.Join(in.journal.Close(), in.names.Close()) }
