package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// screen shows a person what happens in the demo: births and deaths as they
// come, and now and then the present values. It is a watcher of its own, so
// what it shows went over the broker.
type screen struct {
	app     *app
	watcher *watch.Watcher
	dial    watch.Dial
	json    bool

	mu     sync.Mutex
	latest map[target][]string // "Speed 1200 rpm", in the order of the birth
}

// showEvery is the time between two lines of values.
const showEvery = 5 * time.Second

func newScreen(a *app, b *broker.Broker, asJSON bool) (*screen, error) {
	s := &screen{app: a, dial: inproc(b, "demo-screen"), json: asJSON, latest: map[target][]string{}}
	var err error
	s.watcher, err = watch.New(watch.Config{Passive: true, Handler: s.update, Log: a.log})
	return s, err
}

func (s *screen) parts() []part {
	return []part{
		{"screen", s.watcher.Run},
		{"screen's link", func(ctx context.Context) error { return s.watcher.Follow(ctx, "demo", s.dial) }},
	}
}

func (s *screen) update(u *watch.Update) {
	if s.json {
		_ = s.app.printUpdateJSON(u) // whoever closed our stdout does not want it
	}
	where := target{u.Group, u.Node, u.Device}
	switch u.Kind {
	case watch.Birth:
		s.app.say(" ✓ %-11s %s born with %d metrics", messageType(u), where, u.Shape.Len())
	case watch.Death, watch.Lost, watch.Rebirth:
		if inferred(u) {
			break
		}
		s.app.say(" ✗ %-11s %s: %s", messageType(u), where, u.Reason())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case u.Kind == watch.Birth:
		s.latest[where] = make([]string, u.Shape.Len())
	case u.Kind == watch.Death, u.Kind == watch.Lost:
		delete(s.latest, where)
	}
	values := s.latest[where]
	for _, sample := range u.Samples {
		def := u.Shape.Def(uint32(sample.Index))
		if sample.Index < len(values) && !sample.Historical && def.Type.Numeric() {
			values[sample.Index] = def.Name + " " + short(sample.Value.Float64()) + unitOf(def)
		}
	}
}

// short prints a value for a line that is glanced at.
func short(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%d", int64(v))
	default:
		return fmt.Sprintf("%.4g", v)
	}
}

func unitOf(d *session.Def) string {
	if p, ok := d.Properties.Get("engUnit"); ok && p.Value.Str() != "" {
		return " " + p.Value.Str()
	}
	return ""
}

// run prints the present values from time to time.
func (s *screen) run(ctx context.Context) error {
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, d := range demoDevices {
				if line := s.line(target{demoGroup, demoNode, d}); line != "" {
					s.app.say(" %s %s  %s", now.Format("15:04:05"), d, line)
				}
			}
		}
	}
}

// valuesShown is how many values fit in a line.
const valuesShown = 6

func (s *screen) line(t target) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var shown []string
	for _, v := range s.latest[t] {
		if v != "" && len(shown) < valuesShown {
			shown = append(shown, v)
		}
	}
	return strings.Join(shown, " · ")
}
