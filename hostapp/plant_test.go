package hostapp_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func now() int64 { return time.Now().UnixMilli() }

// server is one MQTT server with one client, the host.
type server struct {
	mu     sync.Mutex
	refuse bool
	dials  int
	conn   *conn          // the present one
	log    []mqtt.Message // everything that was published by the host, wills of cut connections too
	react  func(mqtt.Message)
}

type conn struct {
	server    *server
	will      *mqtt.Message
	onMessage func(mqtt.Message)
	subs      []mqtt.Filter
	done      chan struct{}
	once      sync.Once
	why       error // of its end; nil: it was cut
}

func (s *server) dial(_ context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (watch.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.refuse {
		return nil, errors.New("connection refused")
	}
	s.conn = &conn{server: s, will: will, onMessage: onMessage, done: make(chan struct{})}
	return s.conn, nil
}

func (c *conn) Publish(_ context.Context, m mqtt.Message) error {
	c.server.mu.Lock()
	c.server.log = append(c.server.log, m)
	react := c.server.react
	c.server.mu.Unlock()
	if react != nil {
		react(m)
	}
	return nil
}

func (c *conn) Subscribe(_ context.Context, f ...mqtt.Filter) error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.subs = append(c.subs, f...)
	return nil
}

func (c *conn) Done() <-chan struct{} { return c.done }
func (c *conn) Err() error            { return cmp.Or(c.why, errors.New("cut")) }
func (c *conn) Disconnect(context.Context) error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// throwOut ends the host's connection with a reason.
func (s *server) throwOut(why error) {
	s.mu.Lock()
	s.conn.why = why
	s.mu.Unlock()
	s.cut()
}

// cut ends the host's connection from the server's side.
func (s *server) cut() {
	s.mu.Lock()
	c := s.conn
	if c.will != nil {
		s.log = append(s.log, *c.will)
	}
	s.mu.Unlock()
	c.once.Do(func() { close(c.done) })
	synctest.Wait()
}

// send delivers a message of an edge node.
func (s *server) send(t *testing.T, topic string, p sparkplug.Payload) {
	t.Helper()
	s.deliver(mqtt.Message{Topic: topic, Payload: st.Encode(t, p)})
	synctest.Wait()
}

func (s *server) deliver(m mqtt.Message) {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	c.onMessage(m)
}

// states are the STATE payloads the host published, or its will did.
func (s *server) states(t *testing.T) (out []sparkplug.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.log {
		if _, ok := sparkplug.ParseStateTopic(m.Topic); ok {
			if m.QoS != 1 || !m.Retain {
				t.Errorf("STATE with QoS %d, retain %v", m.QoS, m.Retain)
			}
			state, err := sparkplug.ParseState(m.Payload)
			must(t, err)
			out = append(out, state)
		}
	}
	return out
}

// plant is a host under test, inside a synctest bubble.
type plant struct {
	t      *testing.T
	host   *hostapp.Host
	server *server
	store  *store
	stop   func()
}

// run runs a test of a host twice: with what waits in memory, and in a journal.
func run(t *testing.T, change func(*hostapp.Config), test func(*plant)) {
	t.Helper()
	for name, dir := range map[string]string{"memory": "", "journal": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlant(t)
				p.start(func(c *hostapp.Config) {
					c.Journal = dir
					if change != nil {
						change(c)
					}
				})
				test(p)
				p.stop()
			})
		})
	}
}

func newPlant(t *testing.T) *plant {
	return &plant{t: t, server: &server{}, store: newStore()}
}

// start starts a host, the first or one after it has stopped.
func (p *plant) start(change func(*hostapp.Config)) {
	p.t.Helper()
	c := hostapp.Config{
		ID: "plant", Primary: true, History: p.store, Log: slog.New(slog.DiscardHandler),
		Servers: []hostapp.Server{{Name: "test", Dial: p.server.dial}},
	}
	change(&c)
	h, err := hostapp.New(c)
	must(p.t, err)
	p.host = h
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	p.stop = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		must(p.t, h.Run(ctx))
	}()
	synctest.Wait()
}

// born brings node N and its device D online.
func (p *plant) born(at, bdSeq int64) {
	p.t.Helper()
	ro := st.Aliased("Serial", 5, at, sparkplug.String("X1"))
	ro.Properties = properties("readOnly", sparkplug.Boolean(true))
	speed := st.Aliased("SetSpeed", 2, at, sparkplug.Float(100))
	speed.Properties = properties("engUnit", sparkplug.String("rpm"), "writeMin", sparkplug.Double(0), "writeMax", sparkplug.Double(1500))
	p.server.send(p.t, "spBv1.0/G/NBIRTH/N", st.NodeBirth(at, 0, bdSeq, st.Aliased("Load", 1, at, sparkplug.Double(1))))
	p.server.send(p.t, "spBv1.0/G/DBIRTH/N/D", st.Payload(at, 1, speed,
		st.Aliased("Count", 3, at, sparkplug.Int(sparkplug.TypeInt64, 1<<60)),
		st.Aliased("a/b c%", 4, at, sparkplug.Boolean(false)), ro))
}

func properties(pairs ...any) *sparkplug.PropertySet {
	s := &sparkplug.PropertySet{}
	for i := 0; i < len(pairs); i += 2 {
		s.Keys = append(s.Keys, pairs[i].(string))
		s.Values = append(s.Values, sparkplug.Property{Value: pairs[i+1].(sparkplug.Value)})
	}
	return s
}

// call makes a request and returns the status and the body.
func (p *plant) call(method, path, body string) (int, string) {
	p.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(p.t.Context(), method, path, strings.NewReader(body))
	p.host.Handler().ServeHTTP(w, r)
	if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" && !strings.HasPrefix(path, "/readyz") {
		p.t.Errorf("%s %s: %d as %q", method, path, w.Code, w.Header().Get("Content-Type"))
	}
	checkContract(p.t, r, body, w)
	return w.Code, w.Body.String()
}

// store is a history in memory that keeps what it was given.
type store struct {
	mu     sync.Mutex
	err    error
	keys   map[history.Key]history.Series
	metas  map[history.Key]history.Meta
	points map[history.Key][]history.Point
	names  []history.Key
	events []history.Event
	marked int
	writes int
}

func newStore() *store {
	return &store{keys: map[history.Key]history.Series{}, metas: map[history.Key]history.Meta{}, points: map[history.Key][]history.Point{}}
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) Series(_ context.Context, k history.Key, m history.Meta) (history.Series, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[k] == 0 {
		s.names = append(s.names, k)
		s.keys[k] = history.Series(len(s.names))
	}
	s.metas[k] = m
	return s.keys[k], s.err
}

func (s *store) Write(_ context.Context, points []history.Point) (r history.WriteResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return r, s.err
	}
	s.writes++
	for _, p := range points {
		k := s.names[p.Series-1]
		p.Series, p.Value = 0, p.Value.Clone()
		s.points[k] = append(s.points[k], p)
	}
	return r, nil
}

func (s *store) Record(_ context.Context, events ...history.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	return s.err
}

func (s *store) MarkAll(context.Context, int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked++
	return 0, nil
}

func (s *store) Raw(context.Context, history.Key, int64, int64, func(history.Sample) bool) error {
	return io.ErrUnexpectedEOF
}

func (s *store) LastBefore(_ context.Context, k history.Key, at int64) (history.Sample, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.points[k]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Timestamp <= at {
			return history.Sample{Timestamp: all[i].Timestamp, Value: all[i].Value, Stale: all[i].Stale}, true, nil
		}
	}
	return history.Sample{}, false, nil
}

func (s *store) Catalog(_ context.Context, _ history.Filter, yield func(history.Entry) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.names {
		if !yield(history.Entry{Key: k, Meta: s.metas[k]}) {
			break
		}
	}
	return nil
}

func (s *store) Events(context.Context, history.Filter, func(history.Event) bool) error { return nil }

func (s *store) Stats() history.Stats { return history.Stats{} }

func (s *store) Close() error { return nil }

// of returns the points of one metric of node N in group G.
func (s *store) of(device, metric string) []history.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]history.Point(nil), s.points[history.Key{Group: "G", Node: "N", Device: device, Metric: metric}]...)
}
