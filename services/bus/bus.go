package bus

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// Bus connects one service to its peers. Make it with New, then Run it.
type Bus struct {
	cfg   Config
	peers map[string]*peer // by domain
	since time.Time
	stats counters
}

// counters are what Stats tells.
type counters struct {
	published, taken, known, dead, refused, missed, skipped, fetches, states atomic.Uint64
	online                                                                   atomic.Bool
}

// Stats are counts since the start.
type Stats struct {
	Online    bool   // connected to the broker
	Published uint64 // events that the broker has confirmed; once more after a loss counts again
	Taken     uint64 // events whose effect was committed here
	Known     uint64 // events that came again
	Dead      uint64 // events that have become dead letters
	Refused   uint64 // messages that are no event, or not where they belong
	Missed    uint64 // events that came too early, or found their queue full: the feed has them
	Skipped   uint64 // positions that a feed did not have any more
	Fetches   uint64 // questions to feeds
	States    uint64 // states told again to a broker that had forgotten them
}

// New returns a bus that does nothing yet. Every fault in c is told at once.
func New(c Config) (*Bus, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: c, peers: map[string]*peer{}, since: c.Now().UTC()}
	for _, p := range c.Peers {
		b.peers[p.Domain] = &peer{Peer: p, bus: b, source: "/services/" + p.Service, events: make(chan event.Event, c.Queue), behind: make(chan struct{}, 1)}
	}
	return b, nil
}

// Stats are the counts so far. It may be called from any goroutine.
func (b *Bus) Stats() Stats {
	s := &b.stats
	return Stats{
		Online: s.online.Load(), Published: s.published.Load(), Taken: s.taken.Load(), Known: s.known.Load(), Dead: s.dead.Load(),
		Refused: s.refused.Load(), Missed: s.missed.Load(), Skipped: s.skipped.Load(), Fetches: s.fetches.Load(), States: s.states.Load(),
	}
}

// Run carries events until ctx ends, then says that the service is gone.
func (b *Bus) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range b.peers {
		wg.Go(func() { p.run(ctx) })
	}
	wg.Go(func() { b.prune(ctx) })
	defer wg.Wait()
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := b.cfg.Now()
		err := b.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if b.cfg.Now().Sub(began) > time.Minute {
			attempt = 0
		}
		b.cfg.Log.Warn("not connected: events wait in the outbox", "service", b.cfg.Service, "err", err)
		wait(ctx, b.cfg.Backoff.Next(attempt, rand.Float64()))
	}
	return nil
}

// pruneEvery is how often the store forgets what is old.
const pruneEvery = time.Hour

func (b *Bus) prune(ctx context.Context) {
	for ; ctx.Err() == nil; wait(ctx, pruneEvery) {
		if err := b.cfg.Store.Prune(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Log.Error("old events can not be forgotten", "service", b.cfg.Service, "err", err)
		}
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// errGone is what ends a session whose connection gives no reason.
var errGone = errors.New("bus: connection gone")

// session is one connection, from dialling to its end.
func (b *Bus) session(ctx context.Context) error {
	s := &link{bus: b, echo: make(chan bool, 1)}
	will := b.status(false, 0).message()
	conn, err := b.cfg.Dial(ctx, &will, s.receive)
	if err != nil {
		return err
	}
	s.conn = conn
	b.stats.online.Store(true)
	defer b.stats.online.Store(false)
	within, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer cancel()
		select {
		case <-conn.Done():
		case <-within.Done():
		}
	})
	err = s.run(within)
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	if ctx.Err() != nil {
		return errors.Join(conn.Publish(last, b.status(false, s.head).message()), conn.Disconnect(last))
	}
	select {
	case <-conn.Done():
		return cmp.Or(conn.Err(), errGone)
	default:
		return errors.Join(err, conn.Disconnect(last))
	}
}

func (b *Bus) status(online bool, head uint64) Status {
	return Status{Service: b.cfg.Service, Instance: b.cfg.Instance, Site: b.cfg.Site, Online: online, Since: b.since, Head: head, Epoch: b.cfg.Store.Epoch()}
}

// handle carries out the effect of an event, which has one.
func (b *Bus) handle(ctx context.Context, e *event.Event) error {
	f := b.cfg.Handlers[e.Type]
	out, err := b.cfg.Store.Handle(ctx, *e, func(t *store.Tx) error { return f(t, e) })
	switch out {
	case store.Failed:
		return err
	case store.Done:
		b.stats.taken.Add(1)
	case store.Known:
		b.stats.known.Add(1)
		return b.cfg.Store.Advance(ctx, e.Source, e.Position)
	case store.Dead:
		b.stats.dead.Add(1)
	}
	return nil
}
