package hostapp

import (
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// row is one sample on its way to the history, 48 bytes.
type row struct {
	entity     uint32
	slot       uint32
	time       int64
	value      sparkplug.Value // a copy, if it refers to anything
	quality    uint16
	historical bool
	birth      bool
}

// markKind says what a mark is besides the event that it may carry.
type markKind uint8

const (
	markEvent   markKind = iota // nothing
	markBorn                    // a node or device is born: place, form, sent
	markKnown                   // so it was before: place, form; what follows goes on
	markGone                    // dead or lost since sent
	markAway                    // offline until it is born again, which usually comes at once: sent, at
	markStarted                 // a host begins: what was known before is no more
	markEnded                   // a host ends
)

// mark is what is not a sample: it takes effect between rows.
type mark struct {
	before int // the row it comes before
	kind   markKind
	entity uint32
	place  place
	form   *form
	at     int64 // in the host's clock
	sent   int64 // in the node's
	event  history.Event
}

// place is where metrics belong.
type place struct{ group, node, device string }

// form is what a birth declares.
type form struct{ defs []session.Def }

func formOf(s *session.Shape) *form {
	f := &form{defs: make([]session.Def, s.Len())}
	for i := range f.defs {
		f.defs[i] = *s.Def(uint32(i))
	}
	return f
}

// load is what waits to be written.
type load struct {
	at        int64 // when it was complete, in the host's clock
	rows      []row
	marks     []mark
	bytes     int // that the values of rows refer to
	positions map[int]receivedAt
	// How far a writer has come that was stopped by an error.
	rowsDone, marksDone int
}

// receivedAt is how far a node has been heard.
type receivedAt struct {
	group, node string
	position    session.Position
}
