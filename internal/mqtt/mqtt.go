package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxString is the longest topic, filter, client id, user name or password, in
// bytes: the protocol has 16 bits for the length. Longer ones are refused.
const MaxString = 65535

// Message is an application message.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // 0, 1 or 2
	Retain  bool // sent: keep it for later subscribers; received: it was kept

	ContentType string // what the payload is, as a MIME type; empty: not told. MQTT 3.1.1 has none
}

// Filter asks for the messages of the topics it matches.
type Filter struct {
	Topic string // with the wildcards + and #
	QoS   byte   // the highest QoS to be delivered with
}

// Config says how to connect. Server is required, every other field works at
// its zero value. It may be printed: the password is left out.
type Config struct {
	Server   string // mqtt://host[:1883] or mqtts://host[:8883]
	ClientID string // the broker chooses one if empty
	Username string
	Password string

	TLS       *tls.Config   // for mqtts; the system's roots if nil. See LoadTLS
	KeepAlive time.Duration // whole seconds, 1 s to 65535 s; 30 s if zero. A dead link is noticed within 1.5 of it
	Timeout   time.Duration // of each step: dial, handshake, acknowledgement, write; 10 s if zero. A write gets half a KeepAlive at most
	MaxPacket int           // longest packet taken from the broker, in bytes; 4 MiB if zero. A longer one ends the connection
	Will      *Message      // what the broker says when the connection ends without Disconnect

	// OnMessage receives every message, in the order of the wire, from one
	// goroutine, and may be called before Dial has returned. It must only
	// enqueue, and not call the Conn: while it runs nothing else is received,
	// not even the answers that keep the connection alive. The payload is the
	// callee's to keep. It is not called once Done is closed.
	OnMessage func(Message)

	// Dialer opens the network connection; a net.Dialer if nil.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

	Log *slog.Logger // debug messages only; slog.Default() if nil
}

// String prints the configuration without its password.
func (c Config) String() string {
	return fmt.Sprintf("server=%q client_id=%q username=%q keepalive=%s", c.redacted(), c.ClientID, c.Username, c.KeepAlive)
}

// GoString prints the configuration without its password.
func (c Config) GoString() string { return "mqtt.Config{" + c.String() + "}" }

// LogValue prints the configuration without its password.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// redacted is the server, fit to print though a password was put into it.
func (c Config) redacted() string {
	u, err := url.Parse(c.Server)
	if err != nil {
		return "(malformed)"
	}
	return u.Redacted()
}

// ready fills in the defaults and reports every fault at once; addr is what to dial.
func (c Config) ready() (_ Config, addr string, secure bool, err error) {
	c.KeepAlive = cmp.Or(c.KeepAlive, 30*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxPacket = cmp.Or(c.MaxPacket, 4<<20)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.OnMessage == nil {
		c.OnMessage = func(Message) {}
	}
	addr, secure, err = address(c.Server)
	faults := []error{
		err,
		text("client id", c.ClientID),
		text("username", c.Username),
	}
	if len(c.Password) > MaxString {
		faults = append(faults, fmt.Errorf("password is longer than %d bytes", MaxString))
	}
	if c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		faults = append(faults, fmt.Errorf("keepalive %s is not a whole number of seconds from 1 to 65535", c.KeepAlive))
	}
	if c.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout %s is negative", c.Timeout))
	}
	if c.MaxPacket < 1024 {
		faults = append(faults, fmt.Errorf("max packet %d is less than 1024 bytes", c.MaxPacket))
	}
	if c.Will != nil {
		if err := c.Will.check(); err != nil {
			faults = append(faults, fmt.Errorf("will: %w", err))
		}
		if len(c.Will.Payload) > MaxString {
			faults = append(faults, fmt.Errorf("will: payload is longer than %d bytes", MaxString))
		}
	}
	return c, addr, secure, errors.Join(faults...)
}

// address says what to dial for a server.
func address(server string) (addr string, secure bool, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", false, errors.New("server: not a URL like mqtt://host:1883")
	}
	port := "1883"
	switch u.Scheme {
	case "mqtt":
	case "mqtts":
		port, secure = "8883", true
	default:
		return "", false, fmt.Errorf("server %q: the scheme is neither mqtt nor mqtts", u.Redacted())
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return "", false, fmt.Errorf("server %q: not of the form %s://host:port", u.Redacted(), u.Scheme)
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), secure, nil
}

// check reports why m cannot be published.
func (m Message) check() error {
	if err := text("topic", m.Topic); err != nil {
		return err
	}
	switch {
	case m.Topic == "":
		return errors.New("topic is empty")
	case strings.ContainsAny(m.Topic, "+#"):
		return fmt.Errorf("topic %.80q holds + or #", m.Topic)
	case m.QoS > 2:
		return fmt.Errorf("qos %d is not 0, 1 or 2", m.QoS)
	}
	return nil
}

// check reports why f cannot be subscribed to.
func (f Filter) check() error {
	if err := text("filter", f.Topic); err != nil {
		return err
	}
	if f.Topic == "" {
		return errors.New("filter is empty")
	}
	if f.QoS > 2 {
		return fmt.Errorf("filter %.80q: qos %d is not 0, 1 or 2", f.Topic, f.QoS)
	}
	rest := f.Topic
	for more := true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return fmt.Errorf("filter %.80q: + must fill a level, and # the last one", f.Topic)
		}
	}
	return nil
}

// text reports why s cannot be a string of the protocol, which the client
// library would cut or send as it is.
//
// Source: MQTT 5.0, section 1.5.4.
func text(what, s string) error {
	switch {
	case len(s) > MaxString:
		return fmt.Errorf("%s is longer than %d bytes", what, MaxString)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %.80q is not UTF-8", what, s)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%s %.80q holds NUL", what, s)
	}
	return nil
}
