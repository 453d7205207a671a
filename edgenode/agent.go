package edgenode

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// Options is what an agent needs besides its configuration.
type Options struct {
	Drivers Drivers
	Log     *slog.Logger // slog.Default() if nil
}

// conn is a connection to an MQTT server, as package mqtt has it.
type conn interface {
	Publish(ctx context.Context, m mqtt.Message) error
	Subscribe(ctx context.Context, filters ...mqtt.Filter) error
	Done() <-chan struct{}
	Err() error
	Disconnect(ctx context.Context) error
	Abandon(ctx context.Context) error
	Close() error
}

// happening is an event for the session, with the connection it made.
type happening struct {
	ev   session.EdgeEvent
	conn conn
}

// inbound is a message that came over the connection of a session.
type inbound struct {
	session uint32
	msg     mqtt.Message
}

// Agent is one running edge node. Its methods may be called from any
// goroutine.
type Agent struct {
	count     counters
	rebooting atomic.Bool
	log       *slog.Logger
	drivers   Drivers
	dial      func(context.Context, mqtt.Config) (conn, error)
	plan      *plan

	out     chan *batch     // from the endpoints
	inbox   chan inbound    // from the connection
	events  chan happening  // from dials, subscriptions and ends of connections
	reloads chan reloadCall // from Reload
	done    chan struct{}   // closed when Run has returned

	// Of Run's goroutine from here on.
	edge      *session.Edge
	fx        []session.EdgeEffect
	disk      *disk
	conn      conn
	session   uint32
	server    string // of the session
	bornIn    uint32 // the session of the last NBIRTH
	deaths    int    // of devices, told to end the session
	broken    error  // why the connection must be given up
	stopped   bool
	spool     *spool
	numbers   map[uint32]*device // by the number that the spool has for them
	unspooled bool               // the last reports could not be kept
	clockBack bool               // said that the clock was set back
	cancel    context.CancelFunc // of the dial in progress
	tasks     sync.WaitGroup
	node      *device
	devices   []*device
	byID      map[string]*device
	alias     uint64 // the next one that is free
	endpoints map[string]*running
	rate      time.Duration // of devices without a scan class; 0: as configured
	late      []*running    // stopped, but still in a call to their equipment
	budget    float64
	replayAt  time.Time
	outgoing  outgoing
	payload   sparkplug.Payload
	buf       []byte
}

// New makes an agent. Its error has a line for each fault of cfg.
func New(cfg Config, o Options) (*Agent, error) {
	check := config.NewChecker()
	p := compile(cfg, orDrivers(o.Drivers), check)
	if err := check.Err(); err != nil {
		return nil, err
	}
	a := &Agent{
		log: o.Log, drivers: orDrivers(o.Drivers), plan: p, dial: dialMQTT,
		out: make(chan *batch, 256), inbox: make(chan inbound, 256),
		events: make(chan happening, 16), reloads: make(chan reloadCall), done: make(chan struct{}),
		byID: map[string]*device{}, alias: 1, endpoints: map[string]*running{},
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.log = a.log.With("group", p.cfg.Node.Group, "node", p.cfg.Node.ID)
	return a, nil
}

func orDrivers(d Drivers) Drivers {
	if d == nil {
		return Drivers{}
	}
	return d
}

func dialMQTT(ctx context.Context, c mqtt.Config) (conn, error) {
	m, err := mqtt.Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Stats returns the counts so far.
func (a *Agent) Stats() Stats { return a.count.snapshot() }

// Run reads, reports and obeys until ctx ends, then says goodbye (deaths of
// devices and node) within 5 s. It may be called once. Its error is nil after
// a graceful stop.
func (a *Agent) Run(ctx context.Context) error {
	defer close(a.done)
	files, err := openFiles(a.plan.cfg.Node.DataDir)
	if err != nil {
		return err
	}
	defer func() { _ = files.close() }() // what is in them is durable already
	k, err := openDisk(files.state)
	if err != nil {
		return err
	}
	a.disk = k
	ackHost := a.ackHost()
	a.spool, err = openSpool(files.spool, a.plan.cfg.Spool, session.DeliveryConfig{
		Host: ackHost, Acks: ackHost != "" && k.data.Acks == ackHost, Doubt: a.doubt(),
	}, a.log, func(n int) { a.count.dropped.Add(uint64(n)) })
	if err != nil {
		return err
	}
	a.count.spooled.Store(a.spool.waiting())
	syncing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	every := a.plan.cfg.Spool.FSync.Std()
	a.tasks.Go(func() { a.spool.syncEvery(syncing, every) })
	a.edge = session.NewEdge(session.EdgeConfig{
		Group: a.plan.cfg.Node.Group, Node: a.plan.cfg.Node.ID, PrimaryHost: a.plan.cfg.MQTT.PrimaryHost,
		Servers: len(a.plan.cfg.MQTT.Servers), NextBdSeq: k.data.NextBdSeq, MQTT5: true,
		Seed: uint64(time.Now().UnixNano()),
	})
	a.alias = firstAlias(a.plan, k.data.Births)
	a.makeDevices(a.plan)
	for _, d := range a.devices {
		if d.ready {
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: d.def.id})
		}
	}
	a.startEndpoints(a.plan)
	a.step(session.EdgeEvent{Kind: session.EdgeStart})
	a.loop(ctx)
	a.stopEndpoints()
	stop()
	a.goodbye()
	if err := a.spool.close(); err != nil {
		a.log.Error("spool: not closed in order", "err", err)
	}
	return nil
}

// firstAlias is another after each start, so that a host that has missed the
// births does not take values for those of other metrics.
func firstAlias(p *plan, births uint64) uint64 {
	n := len(p.node.metrics)
	for _, d := range p.devices {
		n += len(d.metrics)
	}
	return 1 + births%16*uint64(n)
}

// ackHost is the host whose acknowledgements count; empty: nobody's.
func (a *Agent) ackHost() string {
	m := &a.plan.cfg.MQTT
	if m.AckHost == nobody {
		return ""
	}
	return cmp.Or(m.AckHost, m.PrimaryHost)
}

// loop serves everybody until ctx ends.
func (a *Agent) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(a.untilDeadline())
		select {
		case <-ctx.Done():
			return
		case b := <-a.out:
			a.batch(b)
		case h := <-a.events:
			a.happened(h)
		case in := <-a.inbox:
			a.received(in)
		case r := <-a.reloads:
			r.reply <- a.reload(r.plan)
		case <-timer.C:
			a.tick()
		}
	}
}

func (a *Agent) untilDeadline() time.Duration {
	wait := time.Hour
	if at := a.edge.Deadline(); at != 0 {
		wait = min(wait, time.Until(time.UnixMilli(at)))
	}
	if !a.replayAt.IsZero() {
		wait = min(wait, time.Until(a.replayAt))
	}
	return max(wait, 0)
}

func (a *Agent) tick() {
	now := time.Now()
	if at := a.edge.Deadline(); at != 0 && now.UnixMilli() >= at {
		a.step(session.EdgeEvent{Kind: session.EdgeTick})
	}
	if !a.replayAt.IsZero() && !now.Before(a.replayAt) {
		a.replay(now)
	}
}

// goodbyeTime bounds a graceful stop.
const goodbyeTime = 5 * time.Second

// goodbye ends the session properly and waits for everything that was started.
func (a *Agent) goodbye() {
	limit := time.NewTimer(goodbyeTime - time.Second)
	defer limit.Stop()
	a.deaths = 0
	a.step(session.EdgeEvent{Kind: session.EdgeStop})
	for !a.stopped {
		select {
		case h := <-a.events:
			a.happened(h)
		case <-limit.C:
			a.log.Warn("no proper end of the session in time: the server will publish the will")
			a.stopped = true
		}
	}
	if a.cancel != nil {
		a.cancel()
	}
	if a.conn != nil {
		a.quit(conn.Close)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		a.tasks.Wait()
		for _, r := range a.late {
			<-r.done
		}
	}()
	for {
		select {
		case <-finished:
			return
		case h := <-a.events:
			if h.conn != nil {
				_ = h.conn.Close() // a dial that succeeded too late
			}
		}
	}
}

func (a *Agent) quit(how func(conn) error) {
	if err := how(a.conn); err != nil {
		a.log.Debug("ending the MQTT connection", "err", err)
	}
	a.conn = nil
}

// batch takes in what a scan found out about a device.
func (a *Agent) batch(b *batch) {
	defer b.free()
	d := b.dev
	if a.byID[d.def.id] != d {
		a.count.dropped.Add(uint64(len(b.reports)))
		return // of a device that is no more, or is configured anew
	}
	if b.down {
		d.ready = false
		a.log.Warn("device does not answer: dead", "device", d.def.id)
		a.step(session.EdgeEvent{Kind: session.EdgeDeviceGone, Device: d.def.id})
		return
	}
	if b.up && !d.ready {
		d.ready = true
		a.log.Info("device answers", "device", d.def.id, "metrics", len(d.def.metrics))
		if !a.edge.Born(d.def.id) { // its birth tells it all
			a.keepAll(d, b.reports)
			a.step(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: d.def.id})
			a.spool.delivery.Again() // for what it left when it went away
			a.wakeReplay()
			return
		}
		a.step(session.EdgeEvent{Kind: session.EdgeDeviceReady, Device: d.def.id})
	}
	a.tell(d, b.reports)
}

var errNotRunning = errors.New("edgenode: the agent is not running")
