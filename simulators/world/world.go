package world

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/magneto-iiot/magneto/internal/journal"
	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

const online = session.Online

// Config says what to play. Its zero value works.
type Config struct {
	Seed  uint64
	Edges int   // edge nodes; 3 if zero
	Every int64 // ms between two samples of an edge node; 250 if zero
	// Storm is how long faults are planted, ms; 60000 if zero. After it all
	// must come right by itself.
	Storm  int64
	Faults []Fault // instead of those that follow from Seed; an empty list that is not nil is none
	Bug    Bug     // planted in the parts themselves

	// Consumer gets each message that reaches the host's connection, as MQTT
	// carries it; at is virtual time, ms.
	Consumer func(topic string, payload []byte, at int64)
}

// Result is what came of a Config.
type Result struct {
	Broken   []string // by the oracles; empty: all is well
	Hash     uint64   // of all that happened
	Faults   []Fault
	Samples  int   // that had to arrive
	Replayed int   // samples that were sent again
	Wrong    int   // acknowledgements that did not fit
	InFlight int   // most messages of an edge node without an acknowledgement
	Held     int   // most samples that waited in the host's memory
	Time     int64 // virtual, ms
}

// world is one run.
type world struct {
	clock
	cfg    Config
	rand   *rand.Rand
	server *server
	edges  []*edge
	host   *host
	store  *store
	ledger *ledger
	values int64
	result Result
	hash   hasher
	quiet  bool    // the equipment changes no more
	since  []int64 // by edge: since when the host's view is wrong; 0: it is right
}

// hasher is an FNV-1a over what happened.
type hasher uint64

func (h *hasher) add(v uint64) {
	for range 8 {
		*h = (*h ^ hasher(v&0xff)) * 1099511628211
		v >>= 8
	}
}

// note adds to the trace.
func (w *world) note(kind byte, a, b int) {
	w.hash.add(uint64(w.now)<<8 | uint64(kind))
	w.hash.add(uint64(a)<<32 | uint64(uint32(b)))
}

// begin is virtual time at the start, ms.
const begin = 1_000_000_000_000

// Run plays one world to its end.
func Run(cfg Config) Result {
	if cfg.Edges == 0 {
		cfg.Edges = 3
	}
	if cfg.Every == 0 {
		cfg.Every = 250
	}
	if cfg.Storm == 0 {
		cfg.Storm = 60_000
	}
	w := &world{
		cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 11)), clock: clock{now: begin},
		store:  &store{up: true, values: map[place]int64{}},
		ledger: &ledger{required: map[place]int64{}, allowed: map[place]int64{}, kept: make([][]taken, cfg.Edges)},
		since:  make([]int64, cfg.Edges), hash: 14695981039346656037,
	}
	w.server = &server{w: w, up: true, retained: map[string]message{}}
	w.result.Faults = cfg.Faults
	if cfg.Faults == nil {
		w.result.Faults = planFaults(rand.New(rand.NewPCG(cfg.Seed, 12)), cfg.Edges, cfg.Storm)
	}
	for i := range cfg.Edges {
		w.edges = append(w.edges, &edge{w: w, id: i, disk: journaltest.NewDisk(cfg.Seed + uint64(i))})
	}
	w.host = &host{w: w, disk: journaltest.NewDisk(cfg.Seed + 1000)}
	w.host.start()
	for _, e := range w.edges {
		e.start()
	}
	for _, f := range w.result.Faults {
		w.at(begin+f.At, func() { w.plant(f) })
	}
	w.watch()
	w.play()
	w.result.Hash, w.result.Time, w.result.Samples = uint64(w.hash), w.now-begin, len(w.ledger.required)
	return w.result
}

// play runs through the storm and the calm after it, and judges.
func (w *world) play() {
	const (
		calm    = 20_000  // the equipment still changes
		longest = 400_000 // all must have come right by then
	)
	end := begin + w.cfg.Storm
	w.run(end)
	w.run(end + calm)
	w.quiet = true
	for w.now < end+longest && !w.complete() {
		w.run(w.now + 1000)
	}
	w.run(w.now + 5000)
	w.judge()
}

// complete says whether all has arrived and looks as it is.
func (w *world) complete() bool {
	for i, e := range w.edges {
		if !e.running || !w.host.running || e.delivery.Low() < e.spool.Next() || w.host.nodes[i].State() != session.NodeOnline {
			return false
		}
	}
	return w.host.next == w.host.journal.Next() && len(w.host.rows) == 0
}

// breaks notes that something is broken.
func (w *world) breaks(format string, args ...any) {
	if len(w.result.Broken) < 10 {
		w.result.Broken = append(w.result.Broken, fmt.Sprintf("%d ms: ", w.now-begin)+fmt.Sprintf(format, args...))
	}
}

// judge compares the ledger with the store, and what is shown with what is.
func (w *world) judge() {
	lost, wrong, strange := 0, 0, 0
	for p, v := range w.ledger.required {
		switch got, ok := w.store.values[p]; {
		case !ok:
			lost++
		case got != v:
			wrong++
		}
	}
	for p, v := range w.store.values {
		if w.ledger.required[p] != v && w.ledger.allowed[p] != v {
			strange++
		}
	}
	if lost+wrong+strange > 0 {
		w.breaks("of %d samples %d are lost, %d have another value; %d are in the store that nobody took", len(w.ledger.required), lost, wrong, strange)
	}
	if w.store.conflicts > 0 {
		w.breaks("%d samples came with two values", w.store.conflicts)
	}
	for i, e := range w.edges {
		if w.host.nodes[i].State() != session.NodeOnline {
			w.breaks("edge node %d is online, and the host shows it %s", i, w.host.nodes[i].State())
		}
		for m := range metrics {
			if got, is := w.host.shown[i][m].value, e.current[m].value; got != is {
				w.breaks("edge node %d: M%d is %d, and the host shows %d", i, m, is, got)
			}
		}
		if e.delivery != nil && e.delivery.Low() < e.spool.Next() {
			w.breaks("edge node %d: not all is acknowledged: %d of %d", i, e.delivery.Low(), e.spool.Next())
		}
	}
	if w.result.InFlight > 1<<16 || w.result.Held > 100_000 {
		w.breaks("memory: %d messages in flight, %d samples held", w.result.InFlight, w.result.Held)
	}
}

// alive says whether an edge node really is there: born, on a connection that
// works.
func (w *world) alive(e *edge) bool {
	return e.running && e.conn != nil && e.conn.known && !e.conn.half && e.session.Phase() == online
}

// longestWrong is how long the host's view of a node may be wrong, ms: a dead
// link of the node and then one of the host, each for one and a half
// keepalives, and a pause before the next dial.
const longestWrong = 2*keepAlive*3/2 + 30_000

// watch looks at the host's view now and then.
func (w *world) watch() {
	for i, e := range w.edges {
		shown := w.host.running && len(w.host.nodes) > i && w.host.nodes[i].State() == session.NodeOnline
		if !shown || w.alive(e) {
			w.since[i] = 0
		} else if w.since[i] == 0 {
			w.since[i] = w.now
		}
		if w.since[i] != 0 && w.now-w.since[i] > longestWrong {
			w.breaks("edge node %d is not there, and the host has shown it online for %d ms", i, w.now-w.since[i])
			w.since[i] = w.now
		}
	}
	w.after(500, w.watch)
}

// declaredDead is called when the host takes a node for dead.
func (w *world) declaredDead(i int) {
	e := w.edges[i]
	if w.alive(e) && w.host.conn != nil && !w.host.conn.half && w.now-e.bornAt > 2000 {
		w.breaks("edge node %d has been online for %d ms, and the host takes it for dead", i, w.now-e.bornAt)
	}
}

// journalConfig is that of every journal.
func (w *world) journalConfig(fs journal.FS) journal.Config {
	return journal.Config{
		FS: fs, SegmentBytes: 16 << 10, MaxBytes: 64 << 20, MinFree: 1,
		Now: func() time.Time { return time.UnixMilli(w.now) }, Log: slog.New(slog.DiscardHandler),
	}
}

// consume gives a message to the user's consumer.
func (w *world) consume(m *message) {
	if m.typ == "" {
		w.cfg.Consumer(sparkplug.StateTopic(m.host), m.state.Append(nil), w.now)
		return
	}
	t := sparkplug.Topic{Group: "G", Type: m.typ, Node: fmt.Sprint("N", m.edge)}
	if m.device {
		t.Device = deviceName
	}
	b, err := m.payload.Append(nil)
	if err != nil {
		w.breaks("a payload cannot be encoded: %v", err)
		return
	}
	w.cfg.Consumer(t.String(), b, w.now)
}

// spyAck is the acknowledgement of everything, by the wrong host.
func (w *world) spyAck(e *edge) message {
	p := session.Position{Birth: e.kept.Births, Count: uint64(len(e.stamps) - 1), Timestamp: e.stamps[len(e.stamps)-1]}
	return message{typ: sparkplug.NCMD, edge: e.id, payload: &sparkplug.Payload{
		Timestamp: w.now, HasTimestamp: true, Metrics: []sparkplug.Metric{session.Acknowledgement(p, spyID)},
	}}
}

// Shrink looks for a smaller list of faults that still breaks something, and
// returns what came of it; a Config that breaks nothing is returned as it is.
func Shrink(cfg Config) Result {
	best := Run(cfg)
	for size := len(best.Faults) / 2; size > 0 && len(best.Broken) > 0; size /= 2 {
		for from := 0; from < len(best.Faults); {
			c := cfg
			c.Faults = append(append([]Fault{}, best.Faults[:from]...), best.Faults[min(from+size, len(best.Faults)):]...)
			if r := Run(c); len(r.Broken) > 0 {
				best = r
			} else {
				from += size
			}
		}
	}
	return best
}
