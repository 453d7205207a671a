package netfault

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands between clients and one server. Its methods may be called from
// any goroutine.
type Proxy struct {
	target   string
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends with Close
	cancel   context.CancelFunc
	tasks    sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool // guarded by mu
	mode  mode           // guarded by mu

	connections, forwarded, swallowed, refused atomic.Int64
}

// mode is what is wrong now.
type mode struct {
	halfOpen bool
	refuse   bool
	delay    time.Duration // of each piece
	rate     int           // bytes a second; 0: no bound
	loss     float64       // share of the packets that are lost
	again    time.Duration // after which a lost one is sent again
}

// Stats are counts since Listen.
type Stats struct {
	Connections int64 // that were made
	Refused     int64
	Forwarded   int64 // bytes
	Swallowed   int64 // bytes that were taken and never arrive
}

// link is one connection of a client and the one to the server for it.
type link struct {
	client, server *net.TCPConn
	dead           atomic.Bool // was half-open: it never works again
}

// Listen starts a proxy on a free port of the loopback. ctx ends it, as Close
// does.
func Listen(ctx context.Context, target string) (*Proxy, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: ln, links: map[*link]bool{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.tasks.Go(p.accept)
	context.AfterFunc(p.ctx, func() {
		_ = ln.Close()
		p.Reset()
	})
	return p, nil
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Stats returns the counts so far.
func (p *Proxy) Stats() Stats {
	return Stats{p.connections.Load(), p.refused.Load(), p.forwarded.Load(), p.swallowed.Load()}
}

// Close ends the proxy and all connections, and waits for its goroutines.
func (p *Proxy) Close() error {
	p.cancel()
	p.tasks.Wait()
	return nil
}

// Reset ends all connections at once, with a reset to both ends.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// HalfOpen swallows all that is sent from now on, in both directions, until
// Heal. New connections are taken, and swallow what is sent too.
func (p *Proxy) HalfOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.halfOpen = true
	for l := range p.links {
		l.dead.Store(true)
	}
}

// Refuse ends new connections at once, with a reset, until Heal.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.refuse = true
}

// Slow delays each piece, and bounds how many bytes a second go each way on
// each connection (0: no bound), until Heal.
func (p *Proxy) Slow(delay time.Duration, rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.delay, p.mode.rate = delay, rate
}

// Lossy makes the link what one is to its users that loses packets, until Heal:
// of TCP they see neither loss nor another order, but pauses. Of each piece the
// share of its packets that is lost, from 0 to 1, comes again after a while (200
// ms is usual), which doubles for each further loss of the same one up to six
// times, and what is behind it waits.
func (p *Proxy) Lossy(share float64, again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode.loss, p.mode.again = share, again
}

// packet is how many bytes of a stream an Ethernet carries at once.
const packet = 1460

// pause is how long a piece of n bytes is held up by the losses of its packets,
// which are sent again side by side.
func (m *mode) pause(n int) (wait time.Duration) {
	const most = 6 // doublings
	for ; n > 0 && m.loss > 0; n -= packet {
		var late time.Duration
		for k := 0; k <= most && rand.Float64() < m.loss; k++ {
			late += m.again << k
		}
		wait = max(wait, late)
	}
	return wait
}

// Heal ends all faults. Connections that were half-open are reset.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode{}
	for l := range p.links {
		if l.dead.Load() {
			l.reset()
		}
	}
}

func (p *Proxy) now() mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // one that ended before it was taken
		}
		p.connections.Add(1)
		p.tasks.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	m := p.now()
	if m.refuse {
		p.refused.Add(1)
		abort(client)
		return
	}
	l := &link{client: client}
	if m.halfOpen {
		l.dead.Store(true) // as to a machine that is not there
	} else {
		s, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
		if err != nil {
			p.refused.Add(1)
			abort(client)
			return
		}
		l.server = s.(*net.TCPConn)
	}
	p.mu.Lock()
	p.links[l] = true
	if p.mode.halfOpen { // it went so while this one was made
		l.dead.Store(true)
	}
	ended := p.ctx.Err() != nil
	p.mu.Unlock()
	if ended {
		l.reset()
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(l, l.client, l.server) })
	if l.server != nil {
		both.Go(func() { p.carry(l, l.server, l.client) })
	}
	both.Wait()
	_ = l.client.Close() // in good order, unless it was reset
	if l.server != nil {
		_ = l.server.Close()
	}
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// piece is how many bytes are carried at once.
const piece = 16 << 10

// carry brings bytes from one end to the other. When from ends in good order,
// to is told so.
func (p *Proxy) carry(l *link, from, to *net.TCPConn) {
	b := make([]byte, piece)
	var free time.Time // when the line can take more
	for {
		m := p.now()
		most := piece
		if m.rate > 0 {
			most = max(1, min(piece, m.rate/20)) // about 50 ms
		}
		n, err := from.Read(b[:most])
		if n > 0 && !p.pass(l, to, b[:n], p.now(), &free) {
			return
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && !l.dead.Load() && to != nil:
			_ = to.CloseWrite() // the other direction may go on
			return
		case errors.Is(err, io.EOF) && l.dead.Load():
			return // nobody hears of it
		default:
			l.reset()
			return
		}
	}
}

// pass brings one piece to the other end, or swallows it. free is when the line
// has carried the pieces before it.
func (p *Proxy) pass(l *link, to *net.TCPConn, b []byte, m mode, free *time.Time) bool {
	wait := m.delay + m.pause(len(b))
	if m.rate > 0 {
		now := time.Now()
		if free.Before(now) {
			*free = now
		}
		*free = free.Add(time.Duration(len(b)) * time.Second / time.Duration(m.rate))
		wait += free.Sub(now)
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return false
		}
	}
	if l.dead.Load() {
		p.swallowed.Add(int64(len(b)))
		return true
	}
	if _, err := to.Write(b); err != nil {
		l.reset()
		return false
	}
	p.forwarded.Add(int64(len(b)))
	return true
}

// reset ends both ends with a reset.
func (l *link) reset() {
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c != nil {
			abort(c)
		}
	}
}

// abort closes with a reset; a connection that is closed already stays so.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
