package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Config says how large a fleet is and what it does. Server is required; every
// other field works at its zero value.
type Config struct {
	Server  string        // mqtt://host:port
	Group   string        // Fleet if empty
	Nodes   int           // 1000 if zero
	Metrics int           // of each node; 100 if zero
	Every   time.Duration // between two data messages of a node; zero: births only
	Changes int           // values in a data message; 10 if zero
	Host    string        // primary host to wait for; empty: none
	Seed    uint64
	// Spread is the time over which the nodes connect; 1 s if zero.
	Spread time.Duration
	Log    *slog.Logger // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	c.Group = cmp.Or(c.Group, "Fleet")
	c.Nodes = cmp.Or(c.Nodes, 1000)
	c.Metrics = cmp.Or(c.Metrics, 100)
	c.Changes = min(cmp.Or(c.Changes, 10), c.Metrics)
	c.Spread = cmp.Or(c.Spread, time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	switch {
	case c.Server == "":
		return c, errors.New("fleet: no server")
	case c.Nodes < 1, c.Metrics < 1, c.Changes < 1, c.Every < 0, c.Spread < 0:
		return c, errors.New("fleet: nodes, metrics, changes and times must not be negative")
	case !sparkplug.ValidID(c.Group):
		return c, fmt.Errorf("fleet: group: %q is no Sparkplug id", c.Group)
	}
	return c, nil
}

// NodeID is the edge node id of the nth node, from 0.
func NodeID(n int) string { return fmt.Sprintf("N%05d", n) }

// MetricName is the name of the kth metric of each node, from 0.
func MetricName(k int) string { return fmt.Sprintf("Sensor%d", k) }

// Value is what a metric of a node has from its nth data message on that
// carries it; n is 0 in the first birth.
func Value(seed uint64, node, metric int, n uint64) float64 {
	h := seed
	for _, v := range [...]uint64{uint64(node), uint64(metric), n} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return math.Floor(float64(h>>11)/(1<<53)*1e6) / 1e3 // 0 to 1000, in thousandths
}

// Stats are counts since New.
type Stats struct {
	Online    int // nodes that are born now
	Births    int // NBIRTHs
	Asked     int // rebirth requests
	AskedMost int // most of them within one second
	Messages  int // of data
	Samples   int // in them
}

// Fleet is a number of edge nodes. Make one with New.
type Fleet struct {
	cfg   Config
	nodes []*node

	online, births, messages, samples atomic.Int64

	mu    sync.Mutex
	asked []time.Time // guarded by mu
}

// New returns a fleet that is not connected yet.
func New(c Config) (*Fleet, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	f := &Fleet{cfg: c}
	for i := range c.Nodes {
		f.nodes = append(f.nodes, newNode(f, i))
	}
	return f, nil
}

// Run runs all nodes until ctx ends, and then ends their sessions in good order.
func (f *Fleet) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i, n := range f.nodes {
		wg.Go(func() {
			wait := time.NewTimer(f.cfg.Spread * time.Duration(i) / time.Duration(len(f.nodes)))
			defer wait.Stop()
			select {
			case <-wait.C:
				n.run(ctx)
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	return nil
}

// Speak has every node that is born publish one data message.
func (f *Fleet) Speak() {
	for _, n := range f.nodes {
		select {
		case n.speak <- struct{}{}:
		default: // it has not done the last one yet
		}
	}
}

func (f *Fleet) wasAsked() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, time.Now())
}

// Forget counts rebirth requests anew.
func (f *Fleet) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = nil
}

// Stats returns the counts.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	most, from := 0, 0
	for i, at := range f.asked {
		for at.Sub(f.asked[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return Stats{
		Online: int(f.online.Load()), Births: int(f.births.Load()), Asked: len(f.asked), AskedMost: most,
		Messages: int(f.messages.Load()), Samples: int(f.samples.Load()),
	}
}
