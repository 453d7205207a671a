package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// lastWrite is how long a client may take for what is written to it while the
// broker stops.
const lastWrite = 500 * time.Millisecond

// front takes connections from the network and hands them to the engine. To
// the engine it is one listener.
type front struct {
	limits  Limits
	log     *slog.Logger
	stalled *atomic.Int64
	refused *atomic.Int64
	dismiss func()       // says goodbye to all clients
	tcp     net.Listener // nil without
	web     net.Listener // nil without

	clients sync.WaitGroup
	accept  sync.WaitGroup
	serving chan struct{} // closed when connections are taken
	closing chan struct{}

	mu        sync.Mutex
	establish listeners.EstablishFn // guarded by mu; nil before Serve
	conns     map[*conn]bool        // guarded by mu; nil after Close
}

func listen(c Config, stalled, refused *atomic.Int64) (*front, error) {
	f := &front{
		limits: c.Limits, log: c.Log, stalled: stalled, refused: refused,
		serving: make(chan struct{}), closing: make(chan struct{}), conns: map[*conn]bool{},
	}
	var err error
	if f.tcp, err = bind(c.Listen, c.TLS); err != nil {
		return nil, fmt.Errorf("broker: listen: %w", err)
	}
	if f.web, err = bind(c.WebSocket, c.TLS); err != nil {
		f.unbind()
		return nil, fmt.Errorf("broker: websocket: %w", err)
	}
	return f, nil
}

func bind(addr string, c *tls.Config) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err == nil && c != nil {
		ln = tls.NewListener(ln, c)
	}
	return ln, err
}

func (f *front) unbind() {
	for _, ln := range []net.Listener{f.tcp, f.web} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// ID, Address, Protocol and Init are for the engine.
func (f *front) ID() string              { return "net" }
func (f *front) Address() string         { return addr(f.tcp) }
func (f *front) Protocol() string        { return "tcp" }
func (f *front) Init(*slog.Logger) error { return nil }

func addr(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

var _ listeners.Listener = (*front)(nil)

// Serve takes connections until Close; the engine calls it on a goroutine.
func (f *front) Serve(establish listeners.EstablishFn) {
	f.mu.Lock()
	f.establish = establish
	f.accept.Add(1)
	f.mu.Unlock()
	close(f.serving)
	defer f.accept.Done()
	if f.web != nil {
		f.accept.Go(f.serveWeb)
	}
	if f.tcp != nil {
		f.acceptAll()
	}
}

// acceptAll goes on after an error that passes, like too many open files.
func (f *front) acceptAll() {
	pause := 5 * time.Millisecond
	for {
		nc, err := f.tcp.Accept()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			if c := f.add(nc); c != nil {
				go f.serve(c)
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			f.log.Warn("broker: accept", "err", err)
			t := time.NewTimer(pause)
			select {
			case <-f.closing:
				t.Stop()
				return
			case <-t.C:
			}
			pause = min(2*pause, time.Second)
		}
	}
}

func (f *front) serveWeb() {
	srv := &http.Server{
		ReadHeaderTimeout: f.limits.ConnectTimeout,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
			if err != nil {
				return // Accept has answered
			}
			ws.SetReadLimit(int64(f.limits.Packet) + 16)
			f.serveConn(websocket.NetConn(context.Background(), ws, websocket.MessageBinary))
		}),
	}
	_ = srv.Serve(f.web) // ends with Close
	_ = srv.Close()
}

// serveConn serves one connection until it ends.
func (f *front) serveConn(nc net.Conn) {
	if c := f.add(nc); c != nil {
		f.serve(c)
	}
}

// add notes a connection, which must go to serve; nil when there are too many,
// before Serve and after Close.
func (f *front) add(nc net.Conn) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil || f.establish == nil || len(f.conns) >= f.limits.Clients+f.limits.Clients/8+8 {
		f.refused.Add(1)
		_ = nc.Close()
		return nil
	}
	c := &conn{Conn: nc, stalled: f.stalled, log: f.log}
	c.within.Store(int64(f.limits.WriteTimeout))
	_ = nc.SetDeadline(time.Now().Add(f.limits.ConnectTimeout)) // the engine sets none before CONNECT
	f.conns[c] = true
	f.clients.Add(1)
	return c
}

// serve has the engine serve a connection until it ends.
func (f *front) serve(c *conn) {
	defer f.clients.Done()
	_ = f.establish(f.ID(), c) // why it ended is counted by the hook
	_ = c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}

// Close stops accepting, says goodbye to the clients and closes the connections
// that are left. The engine's own goodbye is not used: it takes its read lock
// twice, and waits for ever when a client leaves in between (mochi 2.7.9,
// Clients.GetByListener).
func (f *front) Close(listeners.CloseFn) {
	f.mu.Lock()
	conns := f.conns
	f.conns = nil
	f.mu.Unlock()
	if conns == nil {
		return
	}
	close(f.closing)
	f.unbind()
	for c := range conns {
		c.hurry()
	}
	f.dismiss()
	for c := range conns {
		_ = c.Close()
	}
}

// wait returns when everything Serve has started has ended.
func (f *front) wait() {
	f.accept.Wait()
	f.clients.Wait()
}
