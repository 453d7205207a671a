package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// Conn is what the bus needs of an MQTT connection.
type Conn interface {
	Publish(ctx context.Context, m mqtt.Message) error
	Subscribe(ctx context.Context, filters ...mqtt.Filter) error
	Done() <-chan struct{} // closed when the connection is gone
	Err() error            // why, once Done is closed
	Disconnect(ctx context.Context) error
}

// Dial opens a connection with a clean session. It calls onMessage in the order of
// arrival, from one goroutine; onMessage never blocks and keeps the payload.
type Dial func(ctx context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (Conn, error)

// Handler is the effect of an event, within its transaction. An error has the
// transaction rolled back, and the event is tried again; see store.Store.Handle.
type Handler func(*store.Tx, *event.Event) error

// Peer is a service whose events are taken in.
type Peer struct {
	Service string // its name, as in the source of its events
	Domain  string // of its types
	Feed    Feed   // where to fetch what is missing
}

// Config says who is on the bus and what it wants to hear: services of its own site.
// Store, Service, Site and Dial are required.
type Config struct {
	Store    *store.Store
	Service  string // as in the store's configuration
	Site     string
	Instance string // tells processes of a service apart, at all sites of the broker; the site if empty
	Dial     Dial
	Peers    []Peer
	Handlers map[event.Type]Handler // events of other types have no effect

	Heartbeat time.Duration // between two statuses; 10 s if zero
	Queue     int           // events of a peer that wait for their effect; 1024 if zero. What is beyond comes from the feed
	Backoff   mqtt.Backoff  // between tries to connect and to fetch

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	c.Heartbeat = cmp.Or(c.Heartbeat, 10*time.Second)
	c.Queue = cmp.Or(c.Queue, 1024)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	var faults []error
	if c.Store == nil || c.Dial == nil {
		faults = append(faults, errors.New("bus: no store, or no way to dial"))
	}
	for _, x := range []struct{ what, id string }{{"service", c.Service}, {"site", c.Site}, {"instance", cmp.Or(c.Instance, "1")}} {
		if !event.ValidID(x.id) {
			faults = append(faults, fmt.Errorf("bus: %s: %q is not 1 to %d of A-Z a-z 0-9 _ . -", x.what, x.id, event.MaxID))
		}
	}
	c.Instance = cmp.Or(c.Instance, c.Site)
	if c.Heartbeat < 0 || c.Queue < 0 {
		faults = append(faults, errors.New("bus: heartbeat or queue is negative"))
	}
	seen := map[string]bool{}
	for _, p := range c.Peers {
		switch {
		case !event.ValidID(p.Service) || !event.ValidID(p.Domain) || p.Feed == nil:
			faults = append(faults, fmt.Errorf("bus: peer %q of domain %q: want names, and a feed", p.Service, p.Domain))
		case seen[p.Service] || seen[p.Domain]:
			faults = append(faults, fmt.Errorf("bus: peer %q: it or its domain is there twice", p.Service))
		}
		seen[p.Service], seen[p.Domain] = true, true
	}
	return c, errors.Join(faults...)
}
