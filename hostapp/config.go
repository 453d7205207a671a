package hostapp

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Server is one MQTT server the host is on; it is on all of them at once.
type Server struct {
	Name string // as shown to people, e.g. its address
	Dial watch.Dial
}

// Config says how a host behaves. ID and Servers are required; every other
// field works at its zero value.
type Config struct {
	ID      string    // Sparkplug host id, unique in the installation
	Primary bool      // publish STATE: edge nodes may wait for it
	State   StateForm // of that; StateV3 if zero
	Servers []Server

	Filters        []string      // what to subscribe; spBv1.0/# if empty
	ReorderTimeout time.Duration // 2 s if zero
	CommandTimeout time.Duration // how long a write may take to be confirmed; 5 s if zero
	UntypedCommand bool          // leave the datatype off commands

	// History takes what is worth keeping; nil keeps nothing. It is not closed.
	History history.Store
	// HistoryQueue bounds the samples that wait to be written; 262,144 if
	// zero. When it is full further samples are dropped and counted, the view
	// of the namespace goes on, and the host is not ready.
	HistoryQueue int

	// Sinks are further stores that get all that History gets, each at its own
	// pace. They need a Journal.
	Sinks []Sink

	// Journal is the folder in which what is taken in is kept until every store
	// has it for good, and before edge nodes that ask for it are told that it is
	// stored; empty: what waits, waits in memory, and nobody is told.
	Journal string
	// JournalBytes bounds it; 4 GiB if zero. When it is full nothing is
	// acknowledged, and HistoryQueue fills.
	JournalBytes int64
	// JournalKeep is how much of it is kept though every store has it, while there
	// is room, so that a History that is damaged can be written again from it;
	// nothing if zero.
	JournalKeep int64

	// Births is the file in which the births are kept over a restart, so that
	// nodes that go on where they were need no rebirth; empty: all are asked.
	Births string

	Prometheus http.Handler // served below /prometheus/; nil: not at all

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

// Sink is a store that gets what a host takes in. Its Name, which must not
// change, is where it has got to in the journal.
type Sink struct {
	Name  string
	Store history.Writer
}

// sinks are all stores, History first.
func (c *Config) sinks() []Sink {
	return append([]Sink{{"history", c.History}}, c.Sinks...)
}

func (c Config) ready() (Config, error) {
	c.ReorderTimeout = cmp.Or(c.ReorderTimeout, 2*time.Second)
	c.CommandTimeout = cmp.Or(c.CommandTimeout, 5*time.Second)
	c.HistoryQueue = cmp.Or(c.HistoryQueue, 1<<18)
	c.JournalBytes = cmp.Or(c.JournalBytes, 4<<30)
	if len(c.Filters) == 0 {
		c.Filters = []string{sparkplug.Namespace + "/#"}
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	var errs []error
	if !sparkplug.ValidID(c.ID) {
		errs = append(errs, fmt.Errorf("hostapp: host.id: %q is not a Sparkplug host id", c.ID))
	}
	if len(c.Servers) == 0 {
		errs = append(errs, errors.New("hostapp: no MQTT server to be on"))
	}
	if c.History == nil && (c.Journal != "" || len(c.Sinks) > 0) || c.Journal == "" && len(c.Sinks) > 0 {
		errs = append(errs, errors.New("hostapp: sinks need a journal, and a journal a history"))
	}
	for i, s := range c.Sinks {
		if s.Name == "" || s.Name == "history" || s.Store == nil {
			errs = append(errs, fmt.Errorf("hostapp: sinks[%d]: name or store is missing, or the name is taken", i))
		}
	}
	for i, s := range c.Servers {
		if s.Name == "" || s.Dial == nil {
			errs = append(errs, fmt.Errorf("hostapp: servers[%d]: name or dial is missing", i))
		}
	}
	for _, d := range []struct {
		key string
		v   int64
	}{
		{"reorder_timeout", int64(c.ReorderTimeout)},
		{"command_timeout", int64(c.CommandTimeout)},
		{"history queue", int64(c.HistoryQueue)},
		{"journal bytes", c.JournalBytes},
		{"journal keep", c.JournalKeep},
	} {
		if d.v < 0 {
			errs = append(errs, fmt.Errorf("hostapp: %s: %d is negative", d.key, d.v))
		}
	}
	return c, errors.Join(errs...)
}

// StateForm is how a host says whether it is there.
type StateForm uint8

// The forms of STATE. With StateBoth the will is that of version 3: a host that
// ends without a word stays ONLINE on the topic of version 2.2.
const (
	StateV3   StateForm = iota
	StateV2             // of Sparkplug 2.2, only
	StateBoth           // both
)

var stateForms = map[string]StateForm{"v3": StateV3, "v2": StateV2, "both": StateBoth}

// Section is the part "host" of a plant's configuration file.
type Section struct {
	ID             string          `yaml:"id" doc:"Sparkplug host id, unique in the installation"`
	Primary        bool            `yaml:"primary" doc:"publish STATE, so that edge nodes can wait for this host"`
	State          string          `yaml:"state" enum:"v3,v2,both" doc:"form of STATE: of Sparkplug 3, of 2.2 (STATE/id with ONLINE or OFFLINE), or both"`
	Filters        []string        `yaml:"filters" doc:"MQTT topic filters to follow"`
	ReorderTimeout config.Duration `yaml:"reorder_timeout" doc:"how long a missing message is waited for"`
	CommandTimeout config.Duration `yaml:"command_timeout" doc:"how long a write may take to be confirmed"`
	Untyped        bool            `yaml:"untyped_commands" doc:"leave the datatype off commands, as Sparkplug recommends; some edge nodes need it"`
}

// Defaults sets what holds when a key is not given.
func (s *Section) Defaults() {
	*s = Section{
		ID: "plant", Primary: true, State: "v3", Filters: []string{sparkplug.Namespace + "/#"},
		ReorderTimeout: config.Duration(2 * time.Second), CommandTimeout: config.Duration(5 * time.Second),
	}
}

// Check reports the faults of s, which stands at path.
func (s *Section) Check(path string, c *config.Checker) {
	if !sparkplug.ValidID(s.ID) {
		c.Faultf(config.Key(path, "id"), "%q is not a Sparkplug host id: 1 to %d bytes without /, + and #", s.ID, sparkplug.MaxID)
	}
	if len(s.Filters) == 0 {
		c.Faultf(config.Key(path, "filters"), "no filter: write spBv1.0/# to follow everything")
	}
	for i, f := range s.Filters {
		if !watch.ValidFilter(f) {
			c.Faultf(config.Index(config.Key(path, "filters"), i), "%q is not an MQTT topic filter", f)
		}
	}
	if s.ReorderTimeout <= 0 || s.ReorderTimeout.Std() > time.Minute {
		c.Faultf(config.Key(path, "reorder_timeout"), "%s is not in 1ms to 1m", s.ReorderTimeout)
	}
	if s.CommandTimeout <= 0 || s.CommandTimeout.Std() > 5*time.Minute {
		c.Faultf(config.Key(path, "command_timeout"), "%s is not in 1ms to 5m", s.CommandTimeout)
	}
}

// Config is what s says, without Servers and History.
func (s *Section) Config() Config {
	return Config{
		ID: s.ID, Primary: s.Primary, State: stateForms[s.State], Filters: s.Filters,
		ReorderTimeout: s.ReorderTimeout.Std(), CommandTimeout: s.CommandTimeout.Std(), UntypedCommand: s.Untyped,
	}
}

// HTTPSection is the part "http" of a plant's configuration file.
type HTTPSection struct {
	Listen string `yaml:"listen" doc:"address of the REST API and the status page; loopback only"`
}

// Defaults sets what holds when a key is not given.
func (s *HTTPSection) Defaults() { s.Listen = "127.0.0.1:8080" }

// Check reports the faults of s, which stands at path.
func (s *HTTPSection) Check(path string, c *config.Checker) {
	if err := loopback(s.Listen); err != nil {
		c.Faultf(config.Key(path, "listen"), "%v", err)
	}
}

// HistorySection is the part "history" of a plant's configuration file.
type HistorySection struct {
	Embedded EmbeddedSection `yaml:"embedded" doc:"the store in the process"`
}

// JournalSection configures what is kept until every store has it.
type JournalSection struct {
	MaxBytes config.Size `yaml:"max_bytes" doc:"bound of the journal; when it is full nothing is acknowledged to edge nodes, which keep it then"`
	Keep     config.Size `yaml:"keep" doc:"how much of it is kept though every store has it, while there is room: a damaged history is written again from that"`
}

// Defaults sets what holds when a key is not given.
func (s *JournalSection) Defaults() { s.MaxBytes, s.Keep = 4<<30, 1<<30 }

// Check reports the faults of s, which stands at path.
func (s *JournalSection) Check(path string, c *config.Checker) {
	if s.MaxBytes < 1<<20 {
		c.Faultf(config.Key(path, "max_bytes"), "%s is less than 1MiB", s.MaxBytes)
	}
}

// EmbeddedSection configures the embedded store.
type EmbeddedSection struct {
	Retention       config.Duration `yaml:"retention" doc:"how long samples are kept"`
	OutOfOrder      config.Duration `yaml:"out_of_order" doc:"how late a sample may come and be stored at once"`
	FutureTolerance config.Duration `yaml:"future_tolerance" doc:"how far in the future a sample may be before it is put aside"`
}

// Defaults sets what holds when a key is not given.
func (s *EmbeddedSection) Defaults() {
	const day = config.Duration(24 * time.Hour)
	*s = EmbeddedSection{Retention: 90 * day, OutOfOrder: 30 * day, FutureTolerance: config.Duration(5 * time.Minute)}
}

// Check reports the faults of s, which stands at path.
func (s *HistorySection) Check(path string, c *config.Checker) {
	path = config.Key(path, "embedded")
	if s.Embedded.Retention < config.Duration(time.Hour) {
		c.Faultf(config.Key(path, "retention"), "%s is less than 1h", s.Embedded.Retention)
	}
	if s.Embedded.OutOfOrder > s.Embedded.Retention {
		c.Faultf(config.Key(path, "out_of_order"), "%s is more than the retention, %s", s.Embedded.OutOfOrder, s.Embedded.Retention)
	}
}
