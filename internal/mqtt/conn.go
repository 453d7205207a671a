package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// receiveMaximum is how many QoS 1 and 2 messages the broker may have on the
// way to us. It is also the size of the library's queue before OnMessage, for
// every QoS, and bounds its memory.
const receiveMaximum = 256

// farewell bounds the wait for the broker to close after our DISCONNECT.
const farewell = 2 * time.Second

// Conn is one connection. Its methods may be called from any goroutine but
// that of OnMessage.
type Conn struct {
	cfg       Config
	client    *paho.Client
	session   *session
	wire      *wire
	maxPacket uint32          // what the broker takes, in bytes; 0: no limit
	life      context.Context // ends with the connection, with its cause
	end       context.CancelCauseFunc
	told      chan error // what the library says about the end
	done      chan struct{}

	mu  sync.Mutex
	err error // guarded by mu
}

// Dial connects, and returns once the broker has accepted. ctx bounds the
// dialling only. Every error is a *DialError.
func Dial(ctx context.Context, c Config) (*Conn, error) {
	bad := &DialError{Server: c.redacted()}
	c, addr, secure, err := c.ready()
	if err != nil {
		bad.Err = err
		return nil, bad
	}
	nc, err := open(ctx, c, addr, secure)
	if err != nil {
		bad.Err = err
		return nil, bad
	}
	conn := newConn(c, nc)
	ack, err := conn.client.Connect(ctx, connect(c))
	if err != nil {
		cause := context.Cause(conn.life)
		switch {
		case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			err = fmt.Errorf("no answer to CONNECT: %w", err)
		case cause != nil:
			err = cause
		}
		conn.end(err)
		_ = nc.Close()
		bad.Sent, bad.Err = conn.wire.sent.Load(), err
		if ack != nil {
			bad.Code = ack.ReasonCode
		}
		return nil, bad
	}
	if ack.Properties != nil && ack.Properties.MaximumPacketSize != nil {
		conn.maxPacket = *ack.Properties.MaximumPacketSize
	}
	go conn.watch()
	return conn, nil
}

func newConn(c Config, nc net.Conn) *Conn {
	conn := &Conn{
		cfg:     c,
		session: &session{State: state.NewInMemory()},
		told:    make(chan error, 1),
		done:    make(chan struct{}),
	}
	conn.life, conn.end = context.WithCancelCause(context.Background())
	fail := func(err error) { conn.end(err) } // only the first counts
	conn.wire = newWire(nc, c.MaxPacket, min(c.Timeout, c.KeepAlive/2), fail)
	conn.client = paho.NewClient(paho.ClientConfig{
		Conn:          conn.wire,
		Session:       conn.session,
		PingHandler:   newPinger(c.KeepAlive, fail),
		PacketTimeout: c.Timeout,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(r paho.PublishReceived) (bool, error) {
				p := r.Packet
				m := Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
				if p.Properties != nil {
					m.ContentType = p.Properties.ContentType
				}
				c.OnMessage(m)
				return true, nil
			},
		},
		OnClientError: func(err error) { conn.tell(fmt.Errorf("mqtt: %w", err)) },
		OnServerDisconnect: func(d *paho.Disconnect) {
			bye := &ServerError{Code: d.ReasonCode}
			if d.Properties != nil {
				bye.Reason = d.Properties.ReasonString
			}
			conn.tell(bye)
		},
	})
	return conn
}

func open(ctx context.Context, c Config, addr string, secure bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	dial := c.Dialer
	if dial == nil {
		dial = (&net.Dialer{Control: userTimeout(c.KeepAlive)}).DialContext
	}
	nc, err := dial(ctx, "tcp", addr)
	if err != nil || !secure {
		return nc, err
	}
	cfg := c.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return tc, nil
}

// connect makes the CONNECT packet: a clean session that ends with the connection.
func connect(c Config) *paho.Connect {
	p := &paho.Connect{
		ClientID:     c.ClientID,
		CleanStart:   true,
		KeepAlive:    uint16(c.KeepAlive / time.Second),
		Username:     c.Username,
		UsernameFlag: c.Username != "",
		Password:     []byte(c.Password),
		PasswordFlag: c.Password != "",
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: new(uint32(0)),
			ReceiveMaximum:        new(uint16(receiveMaximum)),
			MaximumPacketSize:     new(uint32(c.MaxPacket)),
			RequestProblemInfo:    true,
		},
	}
	if w := c.Will; w != nil {
		p.WillMessage = &paho.WillMessage{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
		p.WillProperties = &paho.WillProperties{}
	}
	return p
}

// tell keeps the first thing the library says about the end.
func (c *Conn) tell(err error) {
	select {
	case c.told <- err:
	default:
	}
}

// watch waits for the library to end, and for the reason. The library closes
// its Done before it tells why, and tells always unless we ended it; a
// DISCONNECT of the broker is a better reason than the broken pipe after it.
func (c *Conn) watch() {
	<-c.client.Done()
	_ = c.session.Close()
	cause := context.Cause(c.life)
	if cause == nil || c.wire.bye.Load() && !errors.Is(cause, ErrClosed) {
		t := time.NewTimer(time.Second)
		defer t.Stop()
		select {
		case cause = <-c.told:
		case <-t.C:
			cause = errors.New("mqtt: connection lost")
		}
		c.end(cause)
	}
	if errors.Is(cause, ErrClosed) {
		cause = nil
	}
	c.mu.Lock()
	c.err = cause
	c.mu.Unlock()
	close(c.done)
}

// Done is closed when the connection has ended and OnMessage will not be
// called any more.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection ended: nil before Done is closed, and after
// Disconnect, Abandon or Close. It may be a *ServerError or wrap ErrSilent.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Disconnect ends the connection in good order: the broker drops the will. It
// waits until the broker has closed and everything has ended; when ctx ends
// first it closes by itself.
func (c *Conn) Disconnect(ctx context.Context) error { return c.leave(ctx, 0x00) }

// Abandon ends the connection and has the broker publish the will (reason
// code 0x04). It waits like Disconnect: when it returns nil the broker has
// taken note.
func (c *Conn) Abandon(ctx context.Context) error { return c.leave(ctx, 0x04) }

func (c *Conn) leave(ctx context.Context, code byte) error {
	select {
	case <-c.done:
		return c.Err()
	default:
	}
	c.end(ErrClosed) // before the broker can close
	_, err := (&paho.Disconnect{ReasonCode: code}).Packet().WriteTo(c.wire)
	if err == nil {
		err = c.wire.broken()
	}
	c.wire.finish()
	ctx, cancel := context.WithTimeout(ctx, min(farewell, c.cfg.Timeout))
	defer cancel()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	_ = c.Close()
	if err != nil {
		return fmt.Errorf("mqtt: disconnect: %w", err)
	}
	return nil
}

// Close ends the connection without a packet: the broker publishes the will.
// It waits until everything has ended, and always returns nil.
func (c *Conn) Close() error {
	c.end(ErrClosed)
	c.wire.finish()
	_ = c.wire.Conn.Close()
	<-c.done
	return nil
}
