package edgenode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// machine is equipment whose behaviour a test sets. Addresses are unit:name.
type machine struct {
	mu     sync.Mutex
	values map[string]float32
	dead   map[string]bool // units that do not answer, each costing a timeout
	bad    map[string]bool // addresses that are refused
	off    bool            // connections are refused
	panics bool
	delay  time.Duration // of each request
	reads  map[string]int
	dials  int
	block  int // tags in a block; all if 0
}

func newMachine() *machine {
	return &machine{values: map[string]float32{}, dead: map[string]bool{}, bad: map[string]bool{}, reads: map[string]int{}}
}

func (m *machine) do(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// count is how often a unit was read.
func (m *machine) count(unit string) (n int) {
	m.do(func() { n = m.reads[unit] })
	return n
}

func (m *machine) value(addr string) (v float32) {
	m.do(func() { v = m.values[addr] })
	return v
}

func (m *machine) open(c driver.Config) (driver.Driver, error) {
	return &port{m: m, name: c.Name}, nil
}

// port is a driver for a machine.
type port struct {
	m    *machine
	name string
	up   bool
}

const portTimeout = time.Second

func (p *port) Endpoint() string { return "fake" }

func (p *port) Connect(ctx context.Context) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.dials++
	if p.m.off {
		return &driver.Error{Op: "connect", Class: driver.ErrOffline}
	}
	p.up = true
	return nil
}

func (p *port) Compile(tags []driver.Tag) (blocks []driver.Block, bad []driver.TagError) {
	byUnit := map[string]*driver.Block{}
	for _, t := range tags {
		unit, _, ok := strings.Cut(t.Addr, ":")
		if !ok {
			bad = append(bad, driver.TagError{ID: t.ID, Addr: t.Addr, Field: "addr", Reason: "want unit:name"})
			continue
		}
		b := byUnit[unit]
		if b == nil || p.m.block > 0 && len(b.Tags) == p.m.block {
			blocks = append(blocks, driver.Block{Unit: unit, Plan: []string{}})
			b = &blocks[len(blocks)-1]
		}
		b.Tags, b.Plan = append(b.Tags, t.ID), append(b.Plan.([]string), t.Addr)
		byUnit = map[string]*driver.Block{unit: b}
	}
	return blocks, bad
}

func (p *port) Split(b *driver.Block) (left, right driver.Block, ok bool) {
	n, plan := len(b.Tags)/2, b.Plan.([]string)
	return driver.Block{Unit: b.Unit, Tags: b.Tags[:n], Plan: plan[:n]}, driver.Block{Unit: b.Unit, Tags: b.Tags[n:], Plan: plan[n:]}, n > 0
}

func (p *port) Read(ctx context.Context, b *driver.Block, out []driver.Sample) error {
	p.m.mu.Lock()
	delay, dead := p.m.delay, p.m.dead[b.Unit]
	p.m.reads[b.Unit]++
	if p.m.panics {
		p.m.mu.Unlock()
		panic("a bug in a driver")
	}
	p.m.mu.Unlock()
	if dead {
		time.Sleep(portTimeout)
		p.up = false
		return &driver.Error{Op: "read", Class: errors.Join(driver.ErrUnit, driver.ErrOffline)}
	}
	time.Sleep(delay)
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if !p.up || p.m.off {
		p.up = false
		return &driver.Error{Op: "read", Class: driver.ErrOffline}
	}
	for i, addr := range b.Plan.([]string) {
		if p.m.bad[addr] {
			return &driver.Error{Op: "read " + addr, Class: driver.ErrAddress}
		}
		out[i] = driver.Sample{ID: b.Tags[i], Quality: driver.Good, Value: sparkplug.Float(p.m.values[addr]), Time: time.Now().UnixMilli()}
	}
	return nil
}

func (p *port) Write(ctx context.Context, writes []driver.Write) []error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	errs := make([]error, len(writes))
	for i, w := range writes {
		if p.m.bad[w.Tag.Addr] {
			errs[i] = driver.ErrReadOnly
			continue
		}
		p.m.values[w.Tag.Addr] = w.Value.Float32()
	}
	return errs
}

func (p *port) Close() error {
	p.up = false
	return nil
}

// server is an MQTT server that only this node knows.
type server struct {
	mu      sync.Mutex
	down    bool  // refuses connections
	fail    error // of the next message; its connection takes no more
	lossy   bool  // takes messages and loses them, as a half-open link does
	wills   []*mqtt.Message
	live    *wire
	sent    []string // one line a message; see line
	metrics []told   // of all data messages
	last    session.Position
	message func(mqtt.Message) // instead of sent and metrics
	aliases map[string]uint64
	filters []mqtt.Filter
}

// told is one metric of a data message or birth.
type told struct {
	at         time.Time
	device     string
	typ        sparkplug.Type
	name       string
	alias      uint64
	value      float64
	null       bool
	quality    int64 // -1: not said
	time       int64
	historical bool
}

// wire is a connection to a server.
type wire struct {
	s    *server
	cfg  mqtt.Config
	once sync.Once
	done chan struct{}
	err  error
}

func (s *server) dial(ctx context.Context, c mqtt.Config) (conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, &mqtt.DialError{Server: c.Server, Err: errors.New("refused")}
	}
	s.live = &wire{s: s, cfg: c, done: make(chan struct{})}
	s.wills = append(s.wills, c.Will)
	return s.live, nil
}

func (w *wire) Publish(ctx context.Context, m mqtt.Message) error {
	select {
	case <-w.done:
		return errors.New("closed")
	default:
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.s.fail; err != nil {
		w.s.fail = nil
		return err
	}
	if w.s.lossy {
		return nil
	}
	if w.s.message != nil {
		w.s.message(m)
		return nil
	}
	var p sparkplug.Payload
	if err := p.Decode(bytes.Clone(m.Payload)); err != nil {
		return err
	}
	topic, err := sparkplug.ParseTopic(m.Topic)
	if err != nil {
		return err
	}
	if w.s.last.Count++; topic.Type == sparkplug.NBIRTH {
		w.s.last = session.Position{}
		w.s.aliases = map[string]uint64{}
	}
	w.s.last.Timestamp = p.Timestamp
	w.s.sent = append(w.s.sent, strings.TrimSpace(fmt.Sprintf("%s %s", topic.Type, topic.Device)))
	for i := range p.Metrics {
		x := &p.Metrics[i]
		if x.Name == session.MetricDelivered {
			w.s.last.Birth = x.Value.Uint()
		}
		if x.Name != "" {
			w.s.aliases[x.Name] = x.Alias
		}
		one := told{
			at: time.Now(), device: topic.Device, typ: topic.Type, name: x.Name, alias: x.Alias,
			null: x.Value.IsNull(), quality: -1, time: x.Timestamp, historical: x.Historical,
		}
		if q, ok := x.Properties.Get(sparkplug.PropQuality); ok {
			one.quality = q.Value.Int()
		}
		if v, err := x.Value.As(sparkplug.TypeFloat); err == nil && !v.IsNull() {
			one.value = v.Float64()
		} else if x.Value.Type().Numeric() {
			one.value = x.Value.Float64()
		}
		w.s.metrics = append(w.s.metrics, one)
	}
	return nil
}

func (w *wire) Subscribe(ctx context.Context, filters ...mqtt.Filter) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.filters = filters
	return nil
}

func (w *wire) Done() <-chan struct{} { return w.done }
func (w *wire) Err() error            { return w.err }

func (w *wire) end(how string) error {
	w.once.Do(func() {
		w.s.mu.Lock()
		w.s.sent = append(w.s.sent, how)
		w.s.mu.Unlock()
		close(w.done)
	})
	return nil
}

func (w *wire) Disconnect(context.Context) error { return w.end("DISCONNECT") }
func (w *wire) Abandon(context.Context) error    { return w.end("DISCONNECT with will") }
func (w *wire) Close() error                     { return w.end("closed") }

// cut breaks the connection; down says whether new ones are refused.
func (s *server) cut(down bool) {
	s.mu.Lock()
	s.down = down
	w := s.live
	s.mu.Unlock()
	w.err = errors.New("cut")
	_ = w.end("cut")
}

// say sends a message to the node.
func (s *server) say(topic string, payload []byte) {
	s.mu.Lock()
	w := s.live
	s.mu.Unlock()
	w.cfg.OnMessage(mqtt.Message{Topic: topic, Payload: payload})
}

// alias is that of a metric in the last births.
func (s *server) alias(name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aliases[name]
}

func (s *server) command(topic string, m sparkplug.Metric) {
	p := sparkplug.Payload{Timestamp: time.Now().UnixMilli(), HasTimestamp: true, Metrics: []sparkplug.Metric{m}}
	b, err := p.Append(nil)
	if err != nil {
		panic(err)
	}
	s.say(topic, b)
}

// take returns what was sent since the last call, a message in each.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.sent
	s.sent = nil
	return out
}

// takeMetrics returns the metrics of what was sent since the last call.
func (s *server) takeMetrics() []told {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.metrics
	s.metrics = nil
	return out
}

// stand is an agent between a machine and a server, in a synctest bubble.
type stand struct {
	t     *testing.T
	m     *machine
	s     *server
	agent *Agent
	log   *bytes.Buffer
	dir   string
	stop  func()
}

const standHead = `
version: 1
node: {group: G, id: E, data_dir: %s}
connections: {plc: {driver: fake, timeout: 1s}}
`

// parse reads a configuration from text below the head.
func (st *stand) parse(body string) Config {
	st.t.Helper()
	src := fmt.Sprintf(standHead, st.dir) + body
	if !strings.Contains(body, "mqtt:") {
		src += "\nmqtt: {servers: [\"mqtt://127.0.0.1\"]}\n"
	}
	cfg, err := config.Parse[Config]("edge.yaml", []byte(src), config.Options{}, nil)
	if err != nil {
		st.t.Fatal(err)
	}
	return *cfg
}

func (st *stand) start(body string) {
	st.t.Helper()
	agent, err := New(st.parse(body), Options{
		Drivers: Drivers{"fake": st.m.open},
		Log:     slog.New(slog.NewTextHandler(st.log, nil)),
	})
	if err != nil {
		st.t.Fatal(err)
	}
	agent.dial = st.s.dial
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	st.agent = agent
	var once sync.Once
	st.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				st.t.Error(err)
			}
		})
	}
	synctest.Wait()
}

// inBubble runs a test with a virtual clock.
func inBubble(t *testing.T, f func(st *stand)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st := &stand{t: t, m: newMachine(), s: &server{}, log: &bytes.Buffer{}, dir: dir}
		f(st)
		if st.stop != nil {
			st.stop()
		}
		if t.Failed() || st.t.Failed() {
			t.Log(st.log.String())
		}
	})
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
