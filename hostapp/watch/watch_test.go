package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now() int64 { return time.Now().UnixMilli() }

func TestConversation(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.born(at, 3)
		p.send(ndata, st.Payload(at+1, 2, st.ByAlias(1, at+1, sparkplug.Double(2.5))))
		p.send(ddata, st.Payload(at+2, 3,
			st.ByAlias(2, at+2, sparkplug.Int(sparkplug.TypeInt32, -7)), st.ByAlias(3, at+2, sparkplug.String("motor"))))
		p.want("data N Load=2.5", "data N/D Speed=-7 Name=motor")

		m, ok := p.w.Metric("G", "N", "D", "Name")
		if !ok || m.Value.Str() != "motor" || m.Stale || m.Time != at+2 || m.Alias != 3 {
			t.Errorf("Metric = %+v, %v", m, ok)
		}

		old := st.ByAlias(2, at-5000, sparkplug.Int(sparkplug.TypeInt32, 1))
		old.Historical = true
		p.send(ddata, st.Payload(at+3, 4, old))
		p.want("data N/D Speed=1(old)")
		if m, _ := p.w.Metric("G", "N", "D", "Speed"); m.Value.Int() != -7 {
			t.Errorf("a historical value became the current one: %v", m.Value)
		}

		time.Sleep(time.Minute)
		p.send(ddeath, st.Payload(at+4, 5))
		p.want("death N/D (death)")
		m, _ = p.w.Metric("G", "N", "D", "Speed")
		if !m.Stale || m.StaleAt != at+4 || m.Quality != sparkplug.QualityStale {
			t.Errorf("after DDEATH: stale %v at %d, quality %d; want the payload's time %d", m.Stale, m.StaleAt, m.Quality, at+4)
		}
		if m, _ := p.w.Metric("G", "N", "", "Load"); m.Stale {
			t.Error("DDEATH made a metric of the node stale")
		}
	})
}

func TestNodeDeathTakesDevicesAlong(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.born(at, 3)
		p.send(ndeath, st.NodeDeath(at, 2)) // the late will of an earlier session
		p.want()
		time.Sleep(time.Second)
		p.send(ndeath, st.NodeDeath(at, 3))
		p.want("death N/D (death)", "death N (death)")
		n, _ := p.w.Node("G", "N")
		if n.State != watch.Offline || n.DeathAt != at+1000 || n.Devices[0].State != watch.Offline || n.Devices[0].ChangedAt != at+1000 {
			t.Errorf("Node = %+v, want offline since the host's time %d", n, at+1000)
		}
		if m, _ := p.w.Metric("G", "N", "D", "Speed"); !m.Stale || m.StaleAt != at+1000 {
			t.Errorf("Speed = %+v, want stale since %d", m, at+1000)
		}
		if s := p.w.Stats(); s.Online != 0 || s.Deaths != 1 || s.Late != 1 {
			t.Errorf("Stats = %+v", s)
		}
		p.born(now(), 4)
	})
}

func TestGapAsksForRebirthUntilItComes(t *testing.T) {
	run(t, watch.Config{ReorderTimeout: time.Second}, func(p *plant) {
		at := now()
		p.born(at, 0)
		p.send(ndata, st.Payload(at, 4, st.ByAlias(1, at, sparkplug.Double(4))))
		p.want() // too early: 2 and 3 are missing
		p.send(ndata, st.Payload(at, 3, st.ByAlias(1, at, sparkplug.Double(3))))
		p.send(ndata, st.Payload(at, 2, st.ByAlias(1, at, sparkplug.Double(2))))
		p.want("data N Load=2", "data N Load=3", "data N Load=4")

		p.send(ndata, st.Payload(at, 9, st.ByAlias(1, at, sparkplug.Double(9))))
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if got := p.conn.topics(); len(got) != 1 || got[0] != "spBv1.0/G/NCMD/N" {
			t.Fatalf("published %v, want one NCMD", got)
		}
		m := p.conn.message(0)
		cmd := st.Decode(t, m.Payload)
		if m.QoS != 0 || m.Retain || cmd.HasSeq || !cmd.HasTimestamp || len(cmd.Metrics) != 1 ||
			cmd.Metrics[0].Name != sparkplug.MetricRebirth || !cmd.Metrics[0].Value.Bool() {
			t.Errorf("request = %+v", cmd)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := len(p.conn.topics()); n < 3 {
			t.Errorf("asked %d times in 30 s, want again and again", n)
		}
		n, _ := p.w.Node("G", "N")
		if n.Gaps != 1 || n.LastRebirthCause == "" || n.Rebirths < 3 {
			t.Errorf("Node = %+v", n)
		}
	})
}

func TestLateStart(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.send(ddata, st.Payload(at, 77, st.ByAlias(2, at, sparkplug.Double(1))))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := p.conn.topics(); len(got) == 0 || got[0] != "spBv1.0/G/NCMD/N" {
			t.Errorf("published %v, want a rebirth request", got)
		}
		n, ok := p.w.Node("G", "N")
		if !ok || n.State != watch.Unknown {
			t.Errorf("Node = %+v, %v; want one of unknown state", n, ok)
		}
	})
}

// After a restart a host lacks the births of all nodes at once: it asks each,
// but not all in one moment.
func TestRebirthsAreSpread(t *testing.T) {
	run(t, watch.Config{RebirthsPerSecond: 50}, func(p *plant) {
		const nodes = 400
		for i := range nodes {
			p.send(fmt.Sprintf("spBv1.0/G/NDATA/N%d", i), st.Payload(now(), 7, st.ByAlias(1, now(), sparkplug.Double(1))))
		}
		time.Sleep(4 * time.Second) // 2 s of them waiting for a birth that is only late
		synctest.Wait()
		if n := len(p.conn.topics()); n < 90 || n > 102 {
			t.Errorf("%d requests in 2 s, want about 100", n)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		asked := map[string]bool{}
		for _, topic := range p.conn.topics() {
			asked[topic] = true
		}
		if len(asked) != nodes {
			t.Errorf("%d nodes of %d were asked within 24 s", len(asked), nodes)
		}
	})
}

func TestPassiveAsksAHost(t *testing.T) {
	asked := make(chan string, 16)
	c := watch.Config{Passive: true, AskRebirth: func(group, node, reason string) { asked <- group + "/" + node }}
	run(t, c, func(p *plant) {
		p.send(ndata, st.Payload(now(), 7, st.ByAlias(1, now(), sparkplug.Double(1))))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(asked) == 0 || <-asked != "G/N" {
			t.Error("the host was not asked")
		}
		if got := p.conn.topics(); len(got) != 0 {
			t.Errorf("a passive watcher published %v", got)
		}
		if err := p.w.Command(p.t.Context(), "G", "N", "", "Load", sparkplug.Double(1)); !errors.Is(err, watch.ErrPassive) {
			t.Errorf("Command: %v", err)
		}
	})
}

func TestLostConnection(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.born(at, 0)
		p.link.Down()
		p.want("lost N (host connection lost)", "lost N/D (host connection lost)")
		n, _ := p.w.Node("G", "N")
		m, _ := p.w.Metric("G", "N", "D", "Speed")
		if n.State != watch.Unknown || !m.Stale || m.Value.Int() != 100 {
			t.Errorf("state %v, Speed %+v", n.State, m)
		}
		if err := p.w.Rebirth(p.t.Context(), "G", "N"); !errors.Is(err, watch.ErrOffline) {
			t.Errorf("Rebirth: %v", err)
		}
		p.link.Up(p.conn)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(p.conn.topics()) == 0 {
			t.Error("no rebirth was asked for after the connection came back")
		}
		p.seen = nil
		p.born(now(), 0)
		if m, _ := p.w.Metric("G", "N", "D", "Speed"); m.Stale {
			t.Error("still stale after the births")
		}
	})
}

func TestTwoServers(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		p.born(now(), 0)
		other, conn2 := p.w.Link("other"), newConn()
		other.Up(conn2)
		p.link = other
		p.send("spBv1.0/G/NBIRTH/M", st.NodeBirth(now(), 0, 0))
		p.want("birth M")
		other.Down()
		p.want("lost M (host connection lost)")
		if n, _ := p.w.Node("G", "N"); n.State != watch.Online || n.Server != "test" {
			t.Errorf("N = %+v, want online on the other server", n)
		}
	})
}

// TestExpect has a node that was not heard yet asked on every server.
func TestExpect(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		p.w.Expect("G", "N")
		p.w.Expect("G", "a/b")
		synctest.Wait()
		if n, ok := p.w.Node("G", "N"); !ok || n.State != watch.Unknown || n.Server != "" {
			t.Errorf("before any message: %+v, %v", n, ok)
		}
		other, conn2 := p.w.Link("other"), newConn()
		other.Up(conn2)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := conn2.topics(); len(got) != 0 {
			t.Errorf("published %s at once: the node may be born by itself", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, c := range []*conn{p.conn, conn2} {
			if got := strings.Join(c.topics(), " "); got != "spBv1.0/G/NCMD/N" {
				t.Errorf("published %s", got)
			}
		}
		p.want("rebirth N (host connection lost)")
		p.link = other
		p.born(now(), 0)
		if n, _ := p.w.Node("G", "N"); n.State != watch.Online || n.Server != "other" {
			t.Errorf("after its births: %+v", n)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := p.w.Stats(); s.Refused != 1 || len(conn2.topics()) != 1 {
			t.Errorf("%d refused, published %v", s.Refused, conn2.topics())
		}
	})
}

func TestCommand(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		p.born(now(), 0)
		must(t, p.w.Command(p.t.Context(), "G", "N", "D", "Speed", sparkplug.Int(sparkplug.TypeInt32, 5)))
		must(t, p.w.Command(p.t.Context(), "G", "N", "", sparkplug.MetricRebirth, sparkplug.Boolean(true)))
		if got := strings.Join(p.conn.topics(), " "); got != "spBv1.0/G/DCMD/N/D spBv1.0/G/NCMD/N" {
			t.Fatalf("published %s", got)
		}
		m := st.Decode(t, p.conn.message(0).Payload).Metrics[0]
		if m.Name != "" || m.Alias != 2 || m.Value.Type() != sparkplug.TypeInt32 || m.Value.Int() != 5 {
			t.Errorf("command by alias = %+v", m)
		}
		for _, c := range [][4]string{{"X", "N", "", "Load"}, {"G", "X", "", "Load"}, {"G", "N", "X", "Load"}, {"G", "N", "", "X"}} {
			if err := p.w.Command(p.t.Context(), c[0], c[1], c[2], c[3], sparkplug.Double(1)); !errors.Is(err, watch.ErrUnknown) {
				t.Errorf("Command(%v): %v, want ErrUnknown", c, err)
			}
		}
		must(t, p.w.Rebirth(p.t.Context(), "G", "N"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.conn.topics(); len(got) < 3 {
			t.Errorf("no rebirth request: %v", got)
		}
	})
}

func TestQualityNullAndProperties(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		at := now()
		p.born(at, 0)
		bad := st.ByAlias(1, at, sparkplug.Double(2))
		bad.Properties = &sparkplug.PropertySet{
			Keys: []string{sparkplug.PropQuality, "note"},
			Values: []sparkplug.Property{
				{Value: sparkplug.Int(sparkplug.TypeInt32, sparkplug.QualityBad)}, {Value: sparkplug.String("stuck")},
			},
		}
		p.send(ndata, st.Payload(at, 2, bad))
		p.send(ndata, st.Payload(at, 3, st.ByAlias(1, at, sparkplug.Null(sparkplug.TypeDouble))))
		p.want("data N Load=2!0", "data N Load=null!0")
		m, _ := p.w.Metric("G", "N", "", "Load")
		if note, ok := m.Properties.Get("note"); !ok || note.Value.Str() != "stuck" || !m.Value.IsNull() {
			t.Errorf("Metric = %+v", m)
		}
	})
}

func TestGarbage(t *testing.T) {
	run(t, watch.Config{}, func(p *plant) {
		p.born(now(), 0)
		for _, topic := range []string{
			"spBv1.0/G/NDATA", "spBv1.0/G/WHAT/N", "spBv1.0/G/NDATA/N/D", "spBv1.0//NDATA/N",
			"other/topic", "spBv1.0/STATE/plant", "spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/D",
		} {
			p.link.Deliver(mqtt.Message{Topic: topic, Payload: []byte("\xff\xff")})
		}
		p.link.Deliver(mqtt.Message{Topic: ndata, Payload: []byte("\xff\xff")})
		p.link.Deliver(mqtt.Message{Topic: ndata, Retain: true, Payload: st.Encode(t, st.Payload(now(), 2))})
		synctest.Wait()
		s := p.w.Stats()
		if n, _ := p.w.Node("G", "N"); s.Malformed != 5 || n.Malformed != 1 || s.Retained != 1 || s.Nodes != 1 {
			t.Errorf("Stats = %+v, of the node %d", s, n.Malformed)
		}
	})
}

func TestLimits(t *testing.T) {
	c := watch.Config{MaxNodes: 1, MaxDevices: 1, MaxMetricsPerNode: 6}
	run(t, c, func(p *plant) {
		at := now()
		p.born(at, 0)
		p.send("spBv1.0/G/NBIRTH/N2", st.NodeBirth(at, 0, 0))
		p.send("spBv1.0/G/DBIRTH/N/D2", st.Payload(at, 2, st.Metric("A", at, sparkplug.Double(1))))
		p.send(nbirth, st.NodeBirth(at+1, 0, 0, st.Metric("A", at, sparkplug.Double(1)), st.Metric("B", at, sparkplug.Double(1)), st.Metric("C", at, sparkplug.Double(1))))
		p.want()
		if s := p.w.Stats(); s.Refused != 3 || s.Nodes != 1 || s.Devices != 1 || s.Metrics != 5 {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// A full queue drops and counts; a dropped death makes everything of that
// server stale, for nothing else would.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall, stalled := make(chan struct{}), make(chan struct{}, 1)
		lost := 0
		w, err := watch.New(watch.Config{Queue: 4, Log: slog.New(slog.DiscardHandler), Handler: func(u *watch.Update) {
			if u.Kind == watch.Data {
				stalled <- struct{}{}
				<-stall
			}
			if u.Kind == watch.Lost {
				lost++
			}
		}})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		l := w.Link("test")
		l.Up(newConn())
		at := now()
		l.Deliver(mqtt.Message{Topic: nbirth, Payload: st.Encode(t, st.NodeBirth(at, 0, 0, st.Aliased("A", 1, at, sparkplug.Double(0))))})
		data := st.Encode(t, st.Payload(at, 1, st.ByAlias(1, at, sparkplug.Double(1))))
		l.Deliver(mqtt.Message{Topic: ndata, Payload: data})
		<-stalled
		for range 10 {
			l.Deliver(mqtt.Message{Topic: ndata, Payload: data})
		}
		l.Deliver(mqtt.Message{Topic: ndeath, Payload: st.Encode(t, st.NodeDeath(at, 0))})
		close(stall)
		synctest.Wait()
		if s := w.Stats(); s.Dropped != 7 || s.Duplicates != 4 {
			t.Errorf("Stats = %+v, want 7 dropped, 4 duplicates", s)
		}
		if n, _ := w.Node("G", "N"); n.State != watch.Unknown || lost != 1 {
			t.Errorf("state %v, lost %d times", n.State, lost)
		}
		cancel()
		must(t, <-done)
	})
}

func TestConfigFaults(t *testing.T) {
	_, err := watch.New(watch.Config{Queue: -1, MaxNodes: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("New: %v, want both faults", err)
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := watch.New(watch.Config{Passive: true, Log: slog.New(slog.DiscardHandler)})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ran, followed := make(chan error), make(chan error)
		go func() { ran <- w.Run(ctx) }()
		var conns []*conn
		dial := func(_ context.Context, will *mqtt.Message, onMessage func(mqtt.Message)) (watch.Conn, error) {
			if will != nil {
				t.Error("a follower has a will")
			}
			if len(conns) == 0 {
				conns = append(conns, nil)
				return nil, errors.New("nobody there")
			}
			c := newConn()
			conns = append(conns, c)
			onMessage(mqtt.Message{Topic: nbirth, Payload: st.Encode(t, st.NodeBirth(now(), 0, 0))})
			return c, nil
		}
		go func() { followed <- w.Follow(ctx, "test", dial, "spBv1.0/#", "spBv1.0/G/#") }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n, _ := w.Node("G", "N"); n.State != watch.Online || len(conns) != 2 || len(conns[1].subs) != 1 {
			t.Fatalf("state %v, %d dials", n.State, len(conns))
		}
		close(conns[1].done)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(conns) != 3 {
			t.Errorf("%d dials, want one more after the loss", len(conns))
		}
		cancel()
		must(t, <-followed)
		must(t, <-ran)
	})
}
