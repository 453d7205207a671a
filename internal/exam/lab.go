package exam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// Lab says where the MQTT servers of an examination listen.
type Lab struct {
	Listen   string // host:port; 127.0.0.1 and a free port if empty
	Second   string // of the second server; if empty there is only one
	Insecure bool   // allows addresses that others can reach

	// Tamper changes or hides what the servers see, for tests of the examination
	// itself; nil changes nothing.
	Tamper func(e *conform.Event) (keep bool)

	Say func(format string, args ...any) // tells a person what goes on; nil is silent
}

// The times that the official kit gives, and ours.
const (
	starting = 90 * time.Second       // for a part to start and connect
	prompt   = 3 * time.Second        // what the kit allows for an answer
	patient  = 30 * time.Second       // where the specification names no time
	quiet    = 900 * time.Millisecond // how long to make sure that nothing comes
)

// maxSeen bounds the events that are kept to be waited for.
const maxSeen = 1 << 18

// ErrSilent is wrapped by the error of an examination when the part under examination does not come.
var ErrSilent = errors.New("exam: nobody came")

// lab is the servers of an examination, and what they saw.
type lab struct {
	ctx     context.Context //nolint:containedctx // of one examination, which is one call
	say     func(string, ...any)
	tamper  func(*conform.Event) bool
	servers []*server

	mu    sync.Mutex
	wire  *conform.Wire
	seen  []conform.Event // guarded by mu
	news  chan struct{}   // guarded by mu; closed at the next event
	broke error           // guarded by mu: too much was seen
}

// server is one MQTT server and the examiner's client at it.
type server struct {
	url string
	b   *broker.Broker
	own *broker.Attached
	end context.CancelFunc
	ran chan error
}

func openLab(ctx context.Context, c Lab) (*lab, error) {
	l := &lab{ctx: ctx, say: c.Say, tamper: c.Tamper, wire: conform.NewWire(), news: make(chan struct{})}
	if l.say == nil {
		l.say = func(string, ...any) {}
	}
	addrs := []string{cmp.Or(c.Listen, "127.0.0.1:0")}
	if c.Second != "" {
		addrs = append(addrs, c.Second)
	}
	for i, addr := range addrs {
		s, err := l.serve(i, addr, c.Insecure)
		if err != nil {
			l.close()
			return nil, err
		}
		l.servers = append(l.servers, s)
	}
	return l, nil
}

func (l *lab) serve(number int, addr string, insecure bool) (*server, error) {
	b, err := broker.New(broker.Config{
		Listen: addr, Insecure: insecure, Log: slog.New(slog.DiscardHandler),
		Trace: func(e broker.Event) { l.observe(number, e) },
	})
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.WithoutCancel(l.ctx))
	s := &server{url: "mqtt://" + b.Addr(), b: b, end: end, ran: make(chan error, 1)}
	go func() { s.ran <- b.Run(ctx) }()
	s.own, err = b.Attach(broker.Client{ID: fmt.Sprintf("examiner %d", number)})
	if err != nil {
		end()
		return nil, errors.Join(err, <-s.ran)
	}
	return s, nil
}

func (l *lab) close() {
	for _, s := range l.servers {
		s.end()
		if err := <-s.ran; err != nil {
			l.say("MQTT server %s: %v", s.url, err)
		}
	}
}

// observe takes in what a server saw.
func (l *lab) observe(number int, e broker.Event) {
	ev := conform.Event{
		At: e.At, Server: number, Client: e.Client, Kind: conform.Kind(e.Kind),
		Version: e.Version, Clean: e.Clean, Expiry: e.Expiry, Reason: e.Reason, Message: message(e.Message),
	}
	if e.Will != nil {
		will := message(*e.Will)
		ev.Will = &will
	}
	for _, f := range e.Filters {
		ev.Filters = append(ev.Filters, conform.Filter(f))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tamper != nil && !l.tamper(&ev) {
		return
	}
	if len(l.seen) == maxSeen {
		l.broke = fmt.Errorf("exam: more than %d packets came", maxSeen)
		return
	}
	l.wire.Observe(ev)
	l.seen = append(l.seen, ev)
	close(l.news)
	l.news = make(chan struct{})
}

func message(m broker.Message) conform.Message {
	return conform.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain}
}

// mark is a place in what was seen: now.
func (l *lab) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// event is a question about an event.
type event func(conform.Event) bool

// await waits for an event after the mark that fits.
func (l *lab) await(mark int, within time.Duration, fits event) (conform.Event, bool) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		l.mu.Lock()
		for ; mark < len(l.seen); mark++ {
			if e := l.seen[mark]; fits(e) {
				l.mu.Unlock()
				return e, true
			}
		}
		news := l.news
		l.mu.Unlock()
		select {
		case <-news:
		case <-limit.C:
			return conform.Event{}, false
		case <-l.ctx.Done():
			return conform.Event{}, false
		}
	}
}

// never says whether no event after the mark fits for a while.
func (l *lab) never(mark int, while time.Duration, fits event) bool {
	_, came := l.await(mark, while, fits)
	return !came
}

// count is how many events after the mark fit.
func (l *lab) count(mark int, fits event) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.seen[mark:] {
		if fits(e) {
			n++
		}
	}
	return n
}

func (l *lab) judge(ok bool, why string, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wire.Judge(ok, why, ids...)
}

func (l *lab) skip(why string, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wire.Skip(why, ids...)
}

// publish says something to the part under examination.
func (l *lab) publish(number int, m broker.Message) error {
	l.mu.Lock()
	l.wire.Sent(conform.Message{At: time.Now(), Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain})
	l.mu.Unlock()
	return l.servers[number].own.Publish(l.ctx, m)
}

// send publishes a Sparkplug payload.
func (l *lab) send(number int, t sparkplug.Topic, p sparkplug.Payload) error {
	b, err := p.Append(nil)
	if err != nil {
		return err
	}
	return l.publish(number, broker.Message{Topic: t.String(), Payload: b})
}

// state publishes the STATE of a host.
func (l *lab) state(number int, host string, online bool, at int64, retain bool) error {
	b := sparkplug.State{Online: online, Timestamp: at}.Append(nil)
	return l.publish(number, broker.Message{Topic: sparkplug.StateTopic(host), Payload: b, QoS: 1, Retain: retain})
}

// urls are those of the first n servers.
func (l *lab) urls(n int) []string {
	var out []string
	for _, s := range l.servers[:n] {
		out = append(out, s.url)
	}
	return out
}

// report ends an examination.
func (l *lab) report(profile string) (conform.Report, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wire.Report(profile), errors.Join(l.broke, l.ctx.Err())
}

// published is about a PUBLISH of a client at a server.
func published(server int, is func(sparkplug.Topic) bool) event {
	return func(e conform.Event) bool {
		if e.Kind != conform.Publish || e.Server != server {
			return false
		}
		t, err := sparkplug.ParseTopic(e.Message.Topic)
		return err == nil && is(t)
	}
}
