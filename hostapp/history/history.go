package history

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// MaxMetricName is the longest metric name that a store takes, in bytes.
const MaxMetricName = 4096

// Key says which series a sample belongs to. Device is empty for a metric of
// the edge node itself. Metric is the full name, folders and all; a member of a
// template is "instance/member".
type Key struct {
	Group, Node, Device, Metric string
}

// KeyError reports a key that no store takes.
type KeyError struct {
	Key    Key
	Reason string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("history: key %q/%q/%q/%q: %s", e.Key.Group, e.Key.Node, e.Key.Device, e.Key.Metric, e.Reason)
}

// Check returns a *KeyError unless k names a series: group, node and metric
// not empty, everything valid UTF-8 without NUL and of bounded length.
func (k Key) Check() error {
	for _, part := range [...]struct {
		name, text string
		optional   bool
		limit      int
	}{
		{"group", k.Group, false, sparkplug.MaxID},
		{"node", k.Node, false, sparkplug.MaxID},
		{"device", k.Device, true, sparkplug.MaxID},
		{"metric", k.Metric, false, MaxMetricName},
	} {
		switch {
		case part.text == "" && !part.optional:
			return &KeyError{k, part.name + " is empty"}
		case len(part.text) > part.limit:
			return &KeyError{k, fmt.Sprintf("%s is longer than %d bytes", part.name, part.limit)}
		case !utf8.ValidString(part.text):
			return &KeyError{k, part.name + " is not valid UTF-8"}
		}
		for i := range len(part.text) {
			if part.text[i] == 0 {
				return &KeyError{k, part.name + " holds a NUL"}
			}
		}
	}
	return nil
}

// Meta is what a birth says about a metric.
type Meta struct {
	Type       sparkplug.DataType
	Unit       string // engineering unit, empty when not given
	Properties string // the property set as JSON ({name: {type, value}}), empty for none
	Template   string // name of the template definition it is a member of, else empty
}

// Series is the handle of a resolved key. It is valid until the store is
// closed, in this process only, and never 0.
type Series uint64

// Point is one sample to write, or one marker.
type Point struct {
	Series    Series
	Timestamp int64           // ms since the Unix epoch, UTC, in the clock of the node that measured it
	Value     sparkplug.Value // copied by Write; null means that there is no value from Timestamp on
	Quality   uint16          // as in the Quality property: 192 good, 0 bad, 500 stale
	// Historical says that the sample was held back and sent later. Stores
	// place samples by their time and keep no difference.
	Historical bool
	// Stale makes the point a marker: the series has no value from then on.
	// Value is ignored. It is placed at Timestamp, or 1 ms after the newest
	// sample of the series when that is later, and left out when the series is
	// stale already or has no sample.
	Stale bool
}

// Qualities of a Point, as the Quality property of Sparkplug has them.
const (
	QualityBad   = 0
	QualityGood  = 192
	QualityStale = 500
)

// WriteResult says what became of the points of one Write; together they are
// as many as were given.
type WriteResult struct {
	Written     int // samples that are new
	Markers     int // stale markers that are new
	Duplicates  int // known already, same value; or a marker where one stands
	Conflicts   int // known already with another value: the first was kept
	Quarantined int // further in the future than the tolerance
	Expired     int // older than the retention: refused
	Invalid     int // a value of unknown or unstorable type: refused
	Rejected    int // refused by a database outside, kept as a dead letter
}

// Add adds o to r.
func (r *WriteResult) Add(o WriteResult) {
	r.Written += o.Written
	r.Markers += o.Markers
	r.Duplicates += o.Duplicates
	r.Conflicts += o.Conflicts
	r.Quarantined += o.Quarantined
	r.Expired += o.Expired
	r.Invalid += o.Invalid
	r.Rejected += o.Rejected
}

// Kind is the kind of an Event.
type Kind string

// The kinds of events. STATE is a primary host's own; REBIRTH a rebirth
// request that was sent; STALE the loss of sight of a node or device without
// a death of its own; CONFLICT that two edge nodes use one id.
const (
	NBIRTH  Kind = "NBIRTH"
	NDEATH  Kind = "NDEATH"
	DBIRTH  Kind = "DBIRTH"
	DDEATH  Kind = "DDEATH"
	STATE   Kind = "STATE"
	REBIRTH Kind = "REBIRTH"
	STALE   Kind = "STALE"

	CONFLICT Kind = "CONFLICT"
)

// Known says whether k is one of the constants above.
func (k Kind) Known() bool {
	switch k {
	case NBIRTH, NDEATH, DBIRTH, DDEATH, STATE, REBIRTH, STALE, CONFLICT:
		return true
	}
	return false
}

// Event is something that happened to a node, a device or a host.
type Event struct {
	At     int64 // ms since the Unix epoch, UTC, in the host's clock
	Group  string
	Node   string // of STATE: the host id, with an empty Group
	Device string
	Kind   Kind
	BdSeq  uint64 // of births and deaths of nodes, else 0
	Detail string // of STATE "online" or "offline", of REBIRTH the reason
}

// ErrQuota is wrapped by Writer.Series when the node has as many series as the
// store allows. Its other series go on as before.
var ErrQuota = errors.New("history: series quota of the node is used up")

// Writer takes samples and events. Its methods may be called from several
// goroutines; they are carried out one at a time.
type Writer interface {
	// Series resolves a key: at each birth, with what the birth says. The same
	// key gives the same handle; another datatype is fine and holds for the
	// samples to come. The catalogue is written only if something changed.
	// Errors: *KeyError, ErrQuota (neither changes anything), or of the store.
	Series(ctx context.Context, key Key, meta Meta) (Series, error)

	// Write stores a batch, in the order given, and returns once a kill of the
	// process can no longer lose it. Points that cannot be stored are counted
	// in the result and harm no others. After an error part of the batch may
	// be stored; writing all of it again is safe. The points are the caller's
	// again when it returns.
	Write(ctx context.Context, points []Point) (WriteResult, error)

	// Record stores events, and what follows from them: online states and the
	// counters of births, deaths and rebirth requests. A repeated event (same
	// time, place and kind) is stored once.
	Record(ctx context.Context, events ...Event) error
}

// Syncer is a Writer that can make all durable at once.
type Syncer interface {
	// Sync returns once a loss of power can no longer take what Write, Series and
	// Record have stored before it was called.
	Sync(ctx context.Context) error
}

// Mender is a Writer that looks for damage to its files when it is opened.
type Mender interface {
	// Damaged says in words what was found and put right, as far as that can be
	// without the samples: whoever has these writes them again, in their order.
	// Empty: nothing, or all was written again.
	Damaged() []string
	// Mended says that all was written again. Until then a marker that is older
	// than what its series ends with stays where it is.
	Mended()
}

// Marker is a Writer that can end all its series at once.
type Marker interface {
	// MarkAll writes a stale marker into every series that has a value at its
	// end: at the time at (ms), or 1 ms after its newest sample when that is
	// later. At 0 it stands for the newest sample of the store, which is what a
	// host wants that starts after a crash. It returns the number of markers.
	MarkAll(ctx context.Context, at int64) (int, error)
}

// Quarantine is a store that puts samples aside whose time is further in the
// future than its tolerance, until a person has decided. Its methods may be called
// at any time, also while it is written to.
type Quarantine interface {
	// Quarantined yields what is put aside, in the order it came, until yield
	// returns false. Of f it heeds Group, Node, Device, Metric, NodeOnly and
	// Limit. It holds no lock while it yields.
	Quarantined(ctx context.Context, f Filter, yield func(Quarantined) bool) error

	// Release stores what is put aside of an edge node, at its time plus shift
	// (ms; to undo a wrong clock), and says what became of it: where there is
	// another value already that one stays. What would still be too far in the
	// future stays aside, and so does what would be older than the retention, which
	// is counted as Expired. After an error, a kill or a loss of power some of it
	// may be stored, all of which is a duplicate when it is released again.
	Release(ctx context.Context, group, node string, shift int64) (WriteResult, error)

	// Discard drops what is put aside of an edge node when it is called, and
	// returns how many samples that was. After an error nothing is dropped.
	Discard(ctx context.Context, group, node string) (int, error)
}

// Quarantined is a sample that was put aside.
type Quarantined struct {
	Key      Key
	Sample   Sample
	Received int64 // ms since the Unix epoch, in the host's clock
}

// Sample is one stored value.
type Sample struct {
	Timestamp int64           // ms since the Unix epoch, UTC
	Value     sparkplug.Value // of the datatype that it was written with
	Quality   uint16
	Stale     bool // a marker, see Reader.LastBefore; Value is null then
}

// Entry is one line of the catalogue: a series and its newest birth.
type Entry struct {
	Key       Key
	Meta      Meta
	FirstSeen int64 // ms: when the store first heard of it
	ChangedAt int64 // ms: when Meta last changed
}

// Filter selects catalogue entries and events. The zero Filter selects all.
type Filter struct {
	Group, Node, Device string // empty: any
	Metric              string // exact name, empty: any; ignored for events
	NodeOnly            bool   // only what has no device
	From, To            int64  // ms, both inclusive, of events only; To 0: no end
	Limit               int    // 0: no limit
}

// Reader answers questions. Its methods may be called from several goroutines
// at once, while a Writer writes.
type Reader interface {
	// Raw yields the measured samples of a series with from <= Timestamp <= to
	// in time order, without markers, until yield returns false. A key that was
	// never seen yields nothing. Values are the callee's to keep.
	Raw(ctx context.Context, key Key, from, to int64, yield func(Sample) bool) error

	// LastBefore returns the newest sample at or before t, markers included
	// (Stale is true then: there was no value at t); ok is false when there is
	// none.
	LastBefore(ctx context.Context, key Key, t int64) (s Sample, ok bool, err error)

	// Catalog yields the known series by group, node, device, metric.
	Catalog(ctx context.Context, f Filter, yield func(Entry) bool) error

	// Events yields the events by time.
	Events(ctx context.Context, f Filter, yield func(Event) bool) error
}

// Stats are the counters of a store since it was opened, and its size.
type Stats struct {
	WriteResult
	Refused           int // series refused by the quota
	QuarantineDropped int // quarantined samples dropped because the table was full
	Series            int // series in the catalogue
	QuarantineSize    int // samples in quarantine now

	DeadLettersDropped int // of Rejected: only counted, since the dead-letter file was full
}

// Store is a whole store.
type Store interface {
	Writer
	Reader
	// Stats may be called at any time, also by several goroutines.
	Stats() Stats
	// Close flushes and closes; no method may be called after it.
	Close() error
}
