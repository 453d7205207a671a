package broker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a client's connection as the engine sees it. The engine holds a
// client's lock while it writes, and has one deadline for both directions that
// it moves when it reads: conn gives each write its own.
type conn struct {
	net.Conn
	within  atomic.Int64 // ns, of a write
	stalled *atomic.Int64
	log     *slog.Logger
	dropped atomic.Int64 // messages to it
	id      Identity     // set at CONNECT, before other calls read it

	head int  // bytes of the first packet's header that have passed; -1: enough
	size int  // of the first packet, as far as known
	last byte // that was read

	mu     sync.Mutex
	dollar []string // guarded by mu; filters that start with $, see hook.OnACLCheck
}

// maxConnect is the longest CONNECT, in bytes: less than a packet may have,
// because memory for it is taken from anybody.
const maxConnect = 256 << 10

var errFirstPacket = errors.New("broker: the first packet is not a CONNECT, or too long")

// Read hands on what came, once the first packet's header is good.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.last = p[n-1]
	}
	for i := 0; i < n && c.head >= 0; i++ {
		b := p[i]
		switch {
		case c.head == 0 && b != 1<<4 || c.head == 5:
			return 0, errFirstPacket
		case c.head > 0:
			c.size |= int(b&0x7F) << (7 * (c.head - 1))
			if b < 0x80 {
				if c.size > maxConnect {
					return 0, errFirstPacket
				}
				c.head = -2
			}
		}
		c.head++
	}
	return n, err
}

// Write gives the client a while for p, and cuts it when that is not enough.
func (c *conn) Write(p []byte) (int, error) {
	within := time.Duration(c.within.Load()) + time.Duration(len(p))*time.Second/(64<<10)
	_ = c.Conn.SetWriteDeadline(time.Now().Add(within))
	n, err := c.Conn.Write(p)
	if err != nil {
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			c.stalled.Add(1)
			c.log.Warn("broker: client takes no bytes, cut", "client", c.id.ClientID, "remote", c.Conn.RemoteAddr().String(), "dropped", c.dropped.Load())
		}
		_ = c.Conn.Close()
	}
	return n, err
}

// drop counts a message to the client that was dropped, and says so: the first
// time, and when their number has doubled since a thousand.
func (c *conn) drop() {
	if n := c.dropped.Add(1); n == 1 || n >= 1024 && n&(n-1) == 0 {
		c.log.Warn("broker: client does not keep up, messages to it are dropped", "client", c.id.ClientID, "remote", c.Conn.RemoteAddr().String(), "dropped", n)
	}
}

// SetDeadline is called by the engine for the keepalive: it is about reading.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

// hurry leaves little time for writes from now on, also for one that runs.
func (c *conn) hurry() {
	c.within.Store(int64(lastWrite))
	_ = c.Conn.SetWriteDeadline(time.Now().Add(lastWrite))
}

// commonName is that of the certificate which TLS has verified.
func (c *conn) commonName() string {
	tc, ok := c.Conn.(*tls.Conn)
	if !ok {
		return ""
	}
	chains := tc.ConnectionState().VerifiedChains
	if len(chains) == 0 {
		return ""
	}
	return chains[0][0].Subject.CommonName
}

// asks notes filters that start with $.
func (c *conn) asks(filter string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dollar) < 64 {
		c.dollar = append(c.dollar, filter)
	}
}

// asked says whether one of the noted filters is or matches topic.
func (c *conn) asked(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.dollar {
		if f == topic || match(f, topic) {
			return true
		}
	}
	return false
}
