package watch

import (
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// Kind says what an Update reports.
type Kind uint8

// The kinds of Updates. Birth and Death are of a node when Update.Device is
// empty, else of that device. A dead or lost node takes its devices along: each
// that was online gets an Update of its own, before the node's when it died and
// after it when it was lost. A node that is born anew takes its devices offline
// until their own births: the Cause is session.CauseBorn, and they come back
// within moments.
const (
	Birth    Kind = iota + 1 // online, with every metric it declares
	Data                     // new values
	Death                    // offline; its metrics are stale
	Lost                     // the host lost its connection: state unknown, metrics stale
	Rebirth                  // of a node: a rebirth was asked of it, see Update.Reason
	Conflict                 // of a node: somebody else uses its id, see Update.Reason
)

// String gives "birth", "data", "death", "lost", "rebirth" or "conflict".
func (k Kind) String() string {
	switch k {
	case Birth:
		return "birth"
	case Data:
		return "data"
	case Death:
		return "death"
	case Lost:
		return "lost"
	case Rebirth:
		return "rebirth"
	case Conflict:
		return "conflict"
	}
	return "unknown"
}

// Update is one message as it came to count: in order, with its aliases
// resolved. It and all it refers to but Shape belong to the watcher and are
// gone when the handler returns: copy what is to be kept (Value.Clone).
type Update struct {
	Kind   Kind
	Again  bool // of a Birth: a rebirth within the same session
	Group  string
	Node   string
	Device string // empty: the node itself

	// Entity numbers the node or device, from 0, for as long as the watcher
	// lives; NodeEntity is the number of its node.
	Entity     int
	NodeEntity int
	// Shape names and types the metrics of the entity. It never changes: a
	// birth that declares something else brings another one. Nil before the
	// first birth.
	Shape *session.Shape

	Received int64 // host time, ms since the Unix epoch
	// Sent is the payload's timestamp, ms, in the node's clock. In a Death or
	// Lost it is since when the metrics are stale, in the node's clock too: of
	// a DDEATH its own timestamp, else Received less the skew measured on the
	// node.
	Sent    int64
	BdSeq   uint64        // of the node's last birth
	Cause   session.Cause // of Death, Lost, Rebirth and Conflict
	Samples []Sample      // of Birth and Data

	// Position is where in the node's messages this one stands, for
	// Watcher.Acknowledge; zero when the node does not want to be told by
	// Config.AckAs, or it is not a Birth or Data.
	Position session.Position
}

// Reason is Cause in words.
func (u *Update) Reason() string { return u.Cause.String() }

// Sample is the value of one metric at one time.
type Sample struct {
	Index      int             // the metric's slot in Update.Shape
	Value      sparkplug.Value // typed as the birth says; null when the metric is null
	Time       int64           // ms since the Unix epoch; the payload's when the metric has none
	Quality    uint16          // sparkplug.QualityGood unless the node said otherwise
	Historical bool            // does not change the current value
	Transient  bool            // not to be stored
}
