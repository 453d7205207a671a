package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/services/bus"
	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

var quiet = slog.New(slog.DiscardHandler)

// plant is a broker that can be wiped, at one address.
type plant struct {
	t    *testing.T
	addr string
	stop func()
}

func newPlant(t *testing.T) *plant {
	p := &plant{t: t}
	p.addr = p.start("127.0.0.1:0")
	t.Cleanup(func() { p.stop() })
	return p
}

// start starts a broker that knows nothing.
func (p *plant) start(addr string) string {
	b, err := broker.New(broker.Config{Listen: addr, Log: quiet})
	require.NoError(p.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	return b.Addr()
}

func (p *plant) wipe() {
	p.stop()
	p.start(p.addr)
}

func (p *plant) dial(id string) bus.Dial {
	return func(ctx context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (bus.Conn, error) {
		c, err := mqtt.Dial(ctx, mqtt.Config{Server: "mqtt://" + p.addr, ClientID: id, Will: will, OnMessage: onMessage, Log: quiet})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// service is one with a database, a bus and a feed that can be switched off.
type service struct {
	t     *testing.T
	store *store.Store
	cfg   bus.Config
	bus   *bus.Bus
	stop  func()
	deaf  atomic.Bool  // its feed does not answer
	asked atomic.Int64 // questions to its feed
	told  atomic.Int64 // and answers
	url   string
}

func newService(t *testing.T, name, file string) *service {
	st, err := store.Open(t.Context(), store.Config{
		Service: name, Site: "plant1", DSN: "sqlite:" + file, Log: quiet, Tries: 3,
		Migrations: []string{effectTable},
	})
	require.NoError(t, err)
	s := &service{t: t, store: st, stop: func() {}}
	feed := bus.Serve(bus.FromStore(st))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.deaf.Load() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		feed.ServeHTTP(w, r)
		s.told.Add(1)
	}))
	s.url = srv.URL
	t.Cleanup(func() {
		s.stop()
		srv.Close()
		require.NoError(t, st.Close())
	})
	return s
}

// run puts the service on the bus.
func (s *service) run(c bus.Config) {
	c.Store, c.Site, c.Log = s.store, "plant1", quiet
	c.Backoff = mqtt.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	s.cfg = c
	s.again()
}

func (s *service) again() {
	b, err := bus.New(s.cfg)
	require.NoError(s.t, err)
	s.bus = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-done)
	})
}

func (s *service) say(typ event.Type, subject string) {
	require.NoError(s.t, s.store.Do(s.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Emit(store.Draft{Type: typ, Subject: subject, Data: map[string]string{"of": subject}})
		return err
	}))
}

// effects are the subjects that had an effect, in order.
func (s *service) effects() (all []string) {
	rows, err := s.store.Read().QueryContext(s.t.Context(), "SELECT subject FROM effect ORDER BY n")
	require.NoError(s.t, err)
	defer rows.Close()
	for rows.Next() {
		var x string
		require.NoError(s.t, rows.Scan(&x))
		all = append(all, x)
	}
	require.NoError(s.t, rows.Err())
	return all
}

// note is an effect.
func note(t *store.Tx, e *event.Event) error {
	_, err := t.Exec("INSERT INTO effect (id, subject) VALUES (?,?)", e.ID, e.Subject)
	return err
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 30*time.Second, 2*time.Millisecond, what)
}

func subjects(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("A-", i))
	}
	return all
}

// pair is health, which says what it is told to, and workorder, which follows it
// and answers each anomaly.
func pair(t *testing.T, p *plant, handler bus.Handler) (health, orders *service) {
	dir := t.TempDir()
	health = newService(t, "health", filepath.Join(dir, "health.db"))
	orders = newService(t, "workorder", filepath.Join(dir, "workorder.db"))
	client := &http.Client{Timeout: 5 * time.Second}
	health.run(bus.Config{
		Service: "health", Dial: p.dial("health"), Handlers: map[event.Type]bus.Handler{event.WorkOrderCreated: note},
		Peers: []bus.Peer{{Service: "workorder", Domain: event.WorkOrder, Feed: bus.OverHTTP(client, orders.url)}},
	})
	orders.run(bus.Config{
		Service: "workorder", Dial: p.dial("workorder"), Handlers: map[event.Type]bus.Handler{event.AnomalyDetected: handler}, Heartbeat: 50 * time.Millisecond,
		Peers: []bus.Peer{{Service: "health", Domain: event.Health, Feed: bus.OverHTTP(client, health.url)}},
	})
	return health, orders
}

func answer(t *store.Tx, e *event.Event) error {
	if err := note(t, e); err != nil {
		return err
	}
	_, err := t.Emit(store.Draft{Type: event.WorkOrderCreated, Subject: e.Subject})
	return err
}

// In quiet times nobody asks a feed, and events are CloudEvents by their content
// type.
func TestQuiet(t *testing.T) {
	p := newPlant(t)
	seen := make(chan mqtt.Message, 64)
	tap, err := p.dial("tap")(t.Context(), nil, func(m mqtt.Message) { seen <- m })
	require.NoError(t, err)
	require.NoError(t, tap.Subscribe(t.Context(), mqtt.Filter{Topic: event.AnomalyDetected.Filter("plant1"), QoS: 2}))
	health, orders := pair(t, p, answer)
	until(t, "connected", func() bool { return health.told.Load() > 0 && orders.told.Load() > 0 })
	before := health.asked.Load()
	for _, s := range subjects(50) {
		health.say(event.AnomalyDetected, s)
	}
	until(t, "there and back", func() bool { return len(health.effects()) == 50 })
	require.Equal(t, subjects(50), orders.effects())
	require.Equal(t, subjects(50), health.effects())
	require.Equal(t, before, health.asked.Load(), "the feed was asked: %+v", orders.bus.Stats())
	require.Zero(t, orders.bus.Stats().Missed)
	m := <-seen
	require.Equal(t, event.ContentType, m.ContentType)
	require.EqualValues(t, 2, m.QoS)
	e, err := event.Parse(m.Payload)
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Position)
	require.NoError(t, tap.Disconnect(t.Context()))
}

// Whatever is stopped, wiped, deaf or slips, each event has its effect once and in
// order.
func TestTrouble(t *testing.T) {
	p := newPlant(t)
	var slips atomic.Int64
	health, orders := pair(t, p, func(tx *store.Tx, e *event.Event) error {
		if err := answer(tx, e); err != nil || slips.Add(1)%7 != 0 {
			return err
		}
		return errors.New("a slip")
	})
	const total = 300
	all := subjects(total)
	for i, s := range all {
		health.say(event.AnomalyDetected, s)
		switch i % 50 {
		case 9:
			p.wipe()
		case 17:
			orders.stop()
		case 25:
			orders.again()
		case 30:
			health.deaf.Store(true)
		case 31:
			p.wipe()
		case 40:
			health.deaf.Store(false)
			health.stop()
		case 45:
			health.again()
		}
	}
	until(t, "all orders", func() bool { return len(orders.effects()) >= total })
	until(t, "all answers", func() bool { return len(health.effects()) >= total })
	require.Equal(t, all, orders.effects())
	require.Equal(t, all, health.effects())
	require.Zero(t, orders.bus.Stats().Dead)
	until(t, "all told", func() bool {
		unsent, err := orders.store.Unsent(t.Context(), 1)
		return err == nil && len(unsent) == 0
	})
}

// A wiped broker gets the states again; one that was only cut off does not.
func TestForgotten(t *testing.T) {
	p := newPlant(t)
	health, _ := pair(t, p, answer)
	for i := range 3 {
		health.say(event.HealthIndexChanged, fmt.Sprint("pump-", i))
	}
	health.say(event.HealthIndexChanged, "pump-0")
	until(t, "told", func() bool { return health.bus.Stats().Published == 4 })
	health.stop()
	health.again()
	until(t, "back", func() bool { return health.bus.Stats().Online && health.bus.Stats().Fetches > 0 })
	require.Zero(t, health.bus.Stats().States)
	p.wipe()
	until(t, "again", func() bool { return health.bus.Stats().States == 3 })
	seen := make(chan mqtt.Message, 64)
	tap, err := p.dial("tap")(t.Context(), nil, func(m mqtt.Message) { seen <- m })
	require.NoError(t, err)
	require.NoError(t, tap.Subscribe(t.Context(), mqtt.Filter{Topic: event.Root + "/plant1/state/#", QoS: 1}))
	sequence := map[string]uint64{}
	for len(sequence) < 3 {
		e, err := event.Parse((<-seen).Payload)
		require.NoError(t, err)
		sequence[e.Subject] = e.Sequence
	}
	require.Equal(t, map[string]uint64{"pump-0": 2, "pump-1": 1, "pump-2": 1}, sequence)
	require.NoError(t, tap.Disconnect(t.Context()))
}

// An event whose effect always fails becomes a dead letter, and those behind it
// come.
func TestPoison(t *testing.T) {
	p := newPlant(t)
	health, orders := pair(t, p, func(tx *store.Tx, e *event.Event) error {
		if e.Subject == "A-1" {
			return errors.New("poison")
		}
		return note(tx, e)
	})
	for _, s := range subjects(4) {
		health.say(event.AnomalyDetected, s)
	}
	until(t, "the others", func() bool { return len(orders.effects()) == 3 })
	require.Equal(t, []string{"A-0", "A-2", "A-3"}, orders.effects())
	dead, err := orders.store.DeadLetters(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, "A-1", dead[0].Event.Subject)
	require.EqualValues(t, 1, orders.bus.Stats().Dead)
}

// A peer whose database was made new is heard from its new beginning, whether that
// has said less than was heard before or more.
func TestNewDatabase(t *testing.T) {
	for _, ahead := range []int{1, 9} {
		t.Run(strconv.Itoa(ahead), func(t *testing.T) { newDatabase(t, ahead) })
	}
}

func newDatabase(t *testing.T, ahead int) {
	p := newPlant(t)
	health, orders := pair(t, p, note)
	for _, s := range subjects(5) {
		health.say(event.AnomalyDetected, s)
	}
	until(t, "five", func() bool { return len(orders.effects()) == 5 })
	health.stop()
	fresh := newService(t, "health", filepath.Join(t.TempDir(), "health.db"))
	want := subjects(5)
	for i := range ahead {
		want = append(want, fmt.Sprint("new-", i))
		fresh.say(event.AnomalyDetected, want[len(want)-1])
	}
	orders.stop()
	orders.cfg.Peers[0].Feed = bus.OverHTTP(http.DefaultClient, fresh.url)
	orders.again()
	fresh.run(bus.Config{Service: "health", Dial: p.dial("health")})
	until(t, "what it has", func() bool { return len(orders.effects()) == len(want) })
	fresh.say(event.AnomalyDetected, "last")
	until(t, "one more", func() bool { return len(orders.effects()) == len(want)+1 })
	require.Equal(t, append(want, "last"), orders.effects())
}

// What is no event, or comes from somebody whose domain it is not, has no effect.
func TestStrangers(t *testing.T) {
	p := newPlant(t)
	health, orders := pair(t, p, note)
	until(t, "connected", func() bool { return orders.bus.Stats().Fetches >= 1 })
	c, err := p.dial("stranger")(t.Context(), nil, func(mqtt.Message) {})
	require.NoError(t, err)
	e := event.Event{ID: event.NewID(), Source: "/services/stranger", Type: event.AnomalyDetected, Site: "plant1", Subject: "A-0", Time: time.Now(), Position: 1}
	for _, change := range []func(){
		func() {},
		func() { e.Source, e.Subject = "/services/health", "A-9" },
		func() { e.Subject, e.Position = "A-0", 0 },
	} {
		change()
		body, err := e.Append(nil)
		require.NoError(t, err)
		require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "ams/v1/plant1/evt/health/AnomalyDetected/A-0", Payload: body, QoS: 2}))
	}
	require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "ams/v1/plant1/evt/health/AnomalyDetected/A-0", Payload: []byte("<script>"), QoS: 2}))
	require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: "ams/v1/_svc/health/1", Payload: []byte(`{"service":"workorder"}`), QoS: 1}))
	until(t, "refused", func() bool { return orders.bus.Stats().Refused == 5 })
	// The health service of another site is another one.
	e.Site, e.Position = "plant2", 1
	body, err := e.Append(nil)
	require.NoError(t, err)
	require.NoError(t, c.Publish(t.Context(), mqtt.Message{Topic: e.Topic(), Payload: body, QoS: 2}))
	health.say(event.AnomalyDetected, "A-1")
	until(t, "the real one", func() bool { return len(orders.effects()) == 1 })
	require.Equal(t, []string{"A-1"}, orders.effects())
	require.NoError(t, c.Disconnect(t.Context()))
}

func TestConfig(t *testing.T) {
	_, err := bus.New(bus.Config{Service: "a/b", Heartbeat: -1, Peers: []bus.Peer{{Service: "x"}}})
	for _, want := range []string{"no store", `service: "a/b" is not`, `site: "" is not`, "negative", "want names, and a feed"} {
		require.ErrorContains(t, err, want)
	}
}

// The feed answers in pages, and says what is wrong with a question.
func TestFeed(t *testing.T) {
	s := newService(t, "health", filepath.Join(t.TempDir(), "health.db"))
	for _, x := range subjects(5) {
		s.say(event.AnomalyDetected, x)
	}
	feed := bus.OverHTTP(http.DefaultClient, s.url)
	page, err := feed(t.Context(), 2, 2)
	require.NoError(t, err)
	require.EqualValues(t, 1, page.First)
	require.EqualValues(t, 5, page.Head)
	require.Len(t, page.Events, 2)
	require.Equal(t, "A-2", page.Events[0].Subject)
	page, err = feed(t.Context(), 5, 2)
	require.NoError(t, err)
	require.Empty(t, page.Events)
	for _, q := range []string{"after=-1", "after=x", "limit=0", "limit=501", "limit=x"} {
		r, err := http.Get(s.url + "?" + q)
		require.NoError(t, err)
		var problem struct{ Detail string }
		require.NoError(t, json.NewDecoder(r.Body).Decode(&problem))
		require.NoError(t, r.Body.Close())
		require.Equal(t, 400, r.StatusCode)
		require.NotEmpty(t, problem.Detail)
	}
	s.deaf.Store(true)
	_, err = feed(t.Context(), 0, 1)
	require.ErrorContains(t, err, "503")
	for want, body := range map[string]string{
		"unexpected end": "{", "no feed": `{}`, "specversion": `{"epoch":"a","events":[{}]}`,
		"3 follows 1": `{"epoch":"a","events":[` + text(t, 1) + `,` + text(t, 3) + `]}`, "no position": `{"epoch":"a","events":[` + text(t, 0) + `]}`,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		_, err := bus.OverHTTP(srv.Client(), srv.URL)(t.Context(), 0, 1)
		require.ErrorContains(t, err, want)
		srv.Close()
	}
}

func text(t *testing.T, position int) string {
	e := event.Event{
		ID: event.IDFrom(strconv.Itoa(position)), Source: "/services/health", Type: event.AnomalyDetected, Site: "plant1", Subject: "A",
		Time: time.Now(), Position: uint64(position),
	}
	b, err := e.Append(nil)
	require.NoError(t, err)
	return string(b)
}
