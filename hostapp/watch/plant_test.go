package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// conn is a connection to nowhere: it keeps what was published.
type conn struct {
	mu   sync.Mutex
	sent []mqtt.Message
	subs []mqtt.Filter
	done chan struct{}
	err  error
}

func newConn() *conn { return &conn{done: make(chan struct{})} }

func (c *conn) Publish(_ context.Context, m mqtt.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, m)
	return c.err
}

func (c *conn) Subscribe(_ context.Context, f ...mqtt.Filter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, f...)
	return c.err
}

func (c *conn) Done() <-chan struct{}            { return c.done }
func (c *conn) Err() error                       { return errors.New("cut") }
func (c *conn) Disconnect(context.Context) error { return nil }

func (c *conn) message(i int) mqtt.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[i]
}

func (c *conn) topics() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.sent {
		out = append(out, m.Topic)
	}
	return out
}

// plant is a watcher under test, inside a synctest bubble.
type plant struct {
	t    *testing.T
	w    *watch.Watcher
	link *watch.Link
	conn *conn

	mu   sync.Mutex
	seen []string
}

func run(t *testing.T, c watch.Config, test func(*plant)) {
	synctest.Test(t, func(t *testing.T) {
		p := &plant{t: t, conn: newConn()}
		c.Handler = p.see
		c.Log = slog.New(slog.DiscardHandler)
		w, err := watch.New(c)
		must(t, err)
		p.w, p.link = w, w.Link("test")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { must(t, w.Run(ctx)) })
		p.link.Up(p.conn)
		synctest.Wait()
		test(p)
		cancel()
		wg.Wait()
	})
}

// see writes an Update down in one line.
func (p *plant) see(u *watch.Update) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", u.Kind, strings.Trim(u.Node+"/"+u.Device, "/"))
	if u.Cause != 0 {
		fmt.Fprintf(&b, " (%s)", u.Reason())
	}
	for _, s := range u.Samples {
		name := u.Shape.Def(uint32(s.Index)).Name
		if name == sparkplug.MetricBdSeq || name == sparkplug.MetricRebirth {
			continue
		}
		fmt.Fprintf(&b, " %s=%s", name, s.Value)
		if s.Quality != sparkplug.QualityGood {
			fmt.Fprintf(&b, "!%d", s.Quality)
		}
		if s.Historical {
			b.WriteString("(old)")
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, b.String())
}

// send delivers a message and waits until it is handled.
func (p *plant) send(topic string, m sparkplug.Payload) {
	p.t.Helper()
	p.link.Deliver(mqtt.Message{Topic: topic, Payload: sparkplugtest.Encode(p.t, m)})
	synctest.Wait()
}

// want compares the Updates since the last call.
func (p *plant) want(lines ...string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	got := p.seen
	p.seen = nil
	p.mu.Unlock()
	if !slices.Equal(got, lines) {
		p.t.Errorf("updates:\n got  %s\n want %s", strings.Join(got, "\n      "), strings.Join(lines, "\n      "))
	}
}

const (
	nbirth = "spBv1.0/G/NBIRTH/N"
	ndata  = "spBv1.0/G/NDATA/N"
	ndeath = "spBv1.0/G/NDEATH/N"
	dbirth = "spBv1.0/G/DBIRTH/N/D"
	ddata  = "spBv1.0/G/DDATA/N/D"
	ddeath = "spBv1.0/G/DDEATH/N/D"
)

// born brings node N and its device D online, at the time at.
func (p *plant) born(at, bdSeq int64) {
	p.t.Helper()
	p.send(nbirth, sparkplugtest.NodeBirth(at, 0, bdSeq,
		sparkplugtest.Aliased("Load", 1, at, sparkplug.Double(1))))
	p.send(dbirth, sparkplugtest.Payload(at, 1,
		sparkplugtest.Aliased("Speed", 2, at, sparkplug.Int(sparkplug.TypeInt32, 100)),
		sparkplugtest.Aliased("Name", 3, at, sparkplug.String("pump"))))
	p.want("birth N Load=1", "birth N/D Speed=100 Name=pump")
}
