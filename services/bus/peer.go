package bus

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// peer takes in what one service says. All but what is atomic and the channels
// belongs to the goroutine of run.
type peer struct {
	Peer

	bus    *Bus
	source string
	events chan event.Event // as they come over MQTT
	behind chan struct{}    // there may be something that did not come
	epoch  atomic.Value     // string: of the outbox that the cursor is of
	cursor atomic.Uint64    // up to which position all was taken in
	newest atomic.Uint64    // highest position that came over MQTT
	noted  uint64           // what the store has as cursor, at least
	ready  bool             // cursor was read
}

// differs says whether a status tells of something that did not come.
func (p *peer) differs(s Status) bool {
	at, epoch := p.cursor.Load(), p.epoch.Load()
	if epoch == nil || epoch == "" {
		return false // it is not heard yet: that is being looked for
	}
	return s.Epoch != epoch || s.Head > max(p.newest.Load(), at) || s.Head < at
}

// look has the feed asked. It never blocks.
func (p *peer) look() {
	select {
	case p.behind <- struct{}{}:
	default:
	}
}

// run takes events in until ctx ends.
func (p *peer) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		err := p.take(ctx)
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		p.bus.cfg.Log.Warn("events of a service can not be taken in now", "service", p.bus.cfg.Service, "of", p.Service, "err", err)
		wait(ctx, p.bus.cfg.Backoff.Next(failures, rand.Float64()))
		failures++
		p.look()
	}
}

// take waits for something and takes it in.
func (p *peer) take(ctx context.Context) error {
	if !p.ready {
		at, err := p.bus.cfg.Store.Cursor(ctx, p.source)
		if err != nil {
			return err
		}
		p.cursor.Store(at.Position)
		p.epoch.Store(at.Epoch)
		p.noted, p.ready = at.Position, true
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.behind:
		return p.catchUp(ctx)
	case e := <-p.events:
		switch at := p.cursor.Load(); {
		case e.Position == at+1:
			return p.handle(ctx, &e)
		case e.Position <= at:
			p.bus.stats.known.Add(1)
			return nil
		default:
			p.bus.stats.missed.Add(1)
			return p.catchUp(ctx)
		}
	}
}

// noteEvery is for how many events without an effect the cursor is kept in memory
// only. After a kill they are fetched again, and still have none.
const noteEvery = 256

// handle carries out the effect of an event and moves the cursor.
func (p *peer) handle(ctx context.Context, e *event.Event) error {
	if p.bus.cfg.Handlers[e.Type] == nil {
		return p.pass(ctx, e.Position)
	}
	if err := p.bus.handle(ctx, e); err != nil {
		return err
	}
	p.cursor.Store(e.Position)
	p.noted = e.Position
	return nil
}

// pass moves the cursor over what has no effect.
func (p *peer) pass(ctx context.Context, to uint64) error {
	if to >= p.noted+noteEvery {
		if err := p.bus.cfg.Store.Advance(ctx, p.source, to); err != nil {
			return err
		}
		p.noted = to
	}
	p.cursor.Store(max(to, p.cursor.Load()))
	return nil
}

// catchUp takes in all that the peer's feed has after the cursor.
func (p *peer) catchUp(ctx context.Context) error {
	for {
		at := p.cursor.Load()
		p.bus.stats.fetches.Add(1)
		page, err := p.Feed(ctx, at, maxPage)
		if err != nil {
			return err
		}
		if page.Epoch != p.epoch.Load() || page.Head < at {
			if err := p.begin(ctx, at, &page); err != nil {
				return err
			}
			if at > 0 {
				continue // the page is of what comes after that
			}
		}
		if len(page.Events) == 0 {
			return nil
		}
		if first := page.Events[0].Position; first > at+1 {
			p.bus.stats.skipped.Add(first - at - 1)
			p.bus.cfg.Log.Error("a feed does not reach back to where it was left: what lies between is not known here",
				"service", p.bus.cfg.Service, "of", p.Service, "after", at, "first", first)
		}
		for i := range page.Events {
			e := &page.Events[i]
			if e.Source != p.source || e.Type.Domain() != p.Domain {
				p.bus.stats.refused.Add(1)
				p.bus.cfg.Log.Warn("a feed has an event that is not its service's own: it is left out", "of", p.Service, "id", e.ID, "source", e.Source, "type", e.Type)
				if err := p.pass(ctx, e.Position); err != nil {
					return err
				}
				continue
			}
			if err := p.handle(ctx, e); err != nil {
				return err
			}
		}
		if p.cursor.Load() >= page.Head {
			return nil
		}
	}
}

// begin starts a peer's feed anew: it is heard for the first time, its database was
// made new, or was set back to an earlier time. What is known by its id has no effect
// again.
func (p *peer) begin(ctx context.Context, at uint64, page *Page) error {
	if was := p.epoch.Load(); was != "" {
		p.bus.cfg.Log.Error("the database of a service was set back or made new: its feed is read from the start",
			"service", p.bus.cfg.Service, "of", p.Service, "heard", at, "has", page.Head)
	}
	if err := p.bus.cfg.Store.SetCursor(ctx, p.source, store.Cursor{Epoch: page.Epoch}); err != nil {
		return err
	}
	p.epoch.Store(page.Epoch)
	p.cursor.Store(0)
	p.newest.Store(0)
	p.noted = 0
	return nil
}
