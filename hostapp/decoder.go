package hostapp

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/magneto-iiot/magneto/internal/samples"
)

// decoder reads records of the journal for one sink.
type decoder struct {
	names func(id uint32) (string, bool)
	forms map[uint32]*form
	told  map[uint32]uint32 // the form of an entity, as the sink knows it
	list  []samples.Sample
}

var errRecord = errors.New("hostapp: journal: a record cannot be read")

// decode appends a record to a load; what of it was read before an error stays.
func (d *decoder) decode(l *load, b []byte) error {
	if len(b) < 8 {
		return errRecord
	}
	l.at = int64(binary.LittleEndian.Uint64(b))
	for b = b[8:]; len(b) > 0; {
		kind := b[0]
		var err error
		switch b = b[1:]; kind {
		case partRows:
			b, err = d.rows(l, b)
		case partMark:
			b, err = d.mark(l, b)
		default:
			err = fmt.Errorf("a part of kind %d", kind)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	return nil
}

func (d *decoder) rows(l *load, b []byte) ([]byte, error) {
	entity, b, err := uvarint32(b)
	if err != nil {
		return nil, err
	}
	id, b, err := uvarint32(b)
	if err != nil {
		return nil, err
	}
	if d.list, b, err = samples.Read(d.list[:0], b); err != nil {
		return nil, err
	}
	if told, ok := d.told[entity]; !ok || told != id {
		m, err := d.born(markKnown, entity, id)
		if err != nil {
			return b, err
		}
		m.before = len(l.rows)
		l.marks = append(l.marks, m)
	}
	for i := range d.list {
		s := &d.list[i]
		l.rows = append(l.rows, row{
			entity: entity, slot: s.ID, time: s.Time, value: s.Value, quality: s.Quality,
			historical: s.Flags&flagHistorical != 0, birth: s.Flags&flagBirth != 0,
		})
	}
	clear(d.list)
	return b, nil
}

func uvarint32(b []byte) (uint32, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > 1<<32-1 {
		return 0, nil, errors.New("no number of a name")
	}
	return uint32(v), b[n:], nil
}

func (d *decoder) mark(l *load, b []byte) ([]byte, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, errors.New("a mark is cut off")
	}
	text, b := b[n:][:size], b[n:][size:]
	var s savedMark
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	m := mark{kind: s.Kind, entity: s.Entity}
	switch s.Kind {
	case markBorn:
		var err error
		if m, err = d.born(markBorn, s.Entity, s.Form); err != nil {
			return nil, err
		}
	case markStarted:
		clear(d.told)
	}
	m.before, m.at, m.sent = len(l.rows), s.At, s.Sent
	if s.Event != nil {
		m.event = *s.Event
	}
	l.marks = append(l.marks, m)
	return b, nil
}

// born makes a mark of what is known of an entity.
func (d *decoder) born(kind markKind, entity, id uint32) (m mark, err error) {
	f := d.forms[id]
	if f == nil {
		text, ok := d.names(id)
		if !ok || len(text) == 0 || text[:1] != nameForm {
			return m, fmt.Errorf("form %d is lost", id)
		}
		if f, err = parseForm(text[1:]); err != nil {
			return m, err
		}
		d.forms[id] = f
	}
	text, ok := d.names(entity)
	var parts []string
	if !ok || len(text) == 0 || text[:1] != nameEntity || json.Unmarshal([]byte(text[1:]), &parts) != nil || len(parts) != 3 {
		return m, fmt.Errorf("entity %d is lost", entity)
	}
	d.told[entity] = id
	return mark{kind: kind, entity: entity, place: place{parts[0], parts[1], parts[2]}, form: f}, nil
}
