package broker

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode/utf8"
)

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

// Identity is who a network client says, and was found, to be.
type Identity struct {
	ClientID   string
	Username   string
	CommonName string // of the certificate that TLS has verified; empty without one
	Remote     string // address, host:port
}

// Policy says who may do what. A nil function allows. The functions are called
// from the goroutines of clients, many at once, and must not block.
type Policy struct {
	Connect   func(id Identity, password []byte) bool
	Publish   func(id Identity, topic string) bool  // also asked for the will, at CONNECT
	Subscribe func(id Identity, filter string) bool // of a shared subscription: the filter inside it
}

// Limits bound what clients may cost. Zero fields take the defaults.
type Limits struct {
	Clients        int           // network clients at once; 20000
	Sessions       int           // sessions, connected or not; twice Clients
	Packet         int           // longest packet of a client, in bytes; 2 MiB
	Pending        int           // messages waiting for one client's socket; 8192. Full: the newest is dropped and counted
	Inflight       int           // unacknowledged messages to one client, at most 65535; 8192. Full: the newest is dropped and counted
	Subscriptions  int           // filters of one client; 1000. Full: refused
	Retained       int           // retained messages, certificates included; 200000. Full: a new one is delivered, not kept, and counted
	SessionExpiry  time.Duration // longest life of a session without connection; 24 h
	ConnectTimeout time.Duration // from accepting a connection to its CONNECT; 10 s
	WriteTimeout   time.Duration // of one write to a client, plus a second for each 64 KiB; 5 s. Then it is cut and counted
}

func (l Limits) ready() (Limits, error) {
	l.Clients = cmp.Or(l.Clients, 20000)
	l.Sessions = cmp.Or(l.Sessions, 2*l.Clients)
	l.Packet = cmp.Or(l.Packet, 2<<20)
	l.Pending = cmp.Or(l.Pending, 8192)
	l.Inflight = cmp.Or(l.Inflight, 8192)
	l.Subscriptions = cmp.Or(l.Subscriptions, 1000)
	l.Retained = cmp.Or(l.Retained, 200000)
	l.SessionExpiry = cmp.Or(l.SessionExpiry, 24*time.Hour)
	l.ConnectTimeout = cmp.Or(l.ConnectTimeout, 10*time.Second)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Second)
	low := min(l.Clients, l.Sessions, l.Packet, l.Pending, l.Inflight, l.Subscriptions, l.Retained)
	if low < 0 || min(l.SessionExpiry, l.ConnectTimeout, l.WriteTimeout) < 0 {
		return l, errors.New("broker: limits: negative")
	}
	if l.Inflight > 65535 || l.Pending > 1<<20 || l.Packet > 256<<20 {
		return l, errors.New("broker: limits: at most 65535 in flight, 1048576 pending, 256 MiB a packet")
	}
	return l, nil
}

// Config says where to listen and whom to serve. Every field works at its zero
// value; with both addresses empty there are only Attach and ServeConn.
type Config struct {
	Listen    string      // TCP, host:port; port 0 takes a free one
	WebSocket string      // MQTT over WebSocket at every path, host:port
	TLS       *tls.Config // for both listeners; plain if nil
	Policy    *Policy     // nil allows everything, and is refused for an address other than loopback unless Insecure
	Insecure  bool        // open to the network without a Policy
	Limits    Limits

	// Retained are the retained messages of an earlier run. A STATE among
	// them is turned offline: its host has to say again that it is there.
	Retained []Message

	// Keep is the file that retained messages, certificates among them, are kept
	// in over restarts; empty: they end with the broker. What was retained more
	// than a second or so ago is there after a crash too. A STATE in it is
	// turned offline like those of Retained.
	Keep string

	// Trace is told of what clients on the network do, in order, one event at
	// a time, before the broker acts on it; a will after it was sent. It must
	// return soon and not call the broker. Payloads are shared: they may be
	// kept but not changed. Nil traces nothing.
	Trace func(Event)

	Log *slog.Logger // slog.Default() if nil
}

// ready fills in the defaults and reports every fault at once.
func (c Config) ready() (Config, error) {
	c.Log = cmp.Or(c.Log, slog.Default())
	var limits error
	c.Limits, limits = c.Limits.ready()
	faults := []error{limits, c.exposed("listen", c.Listen), c.exposed("websocket", c.WebSocket)}
	for _, m := range c.Retained {
		faults = append(faults, m.check())
	}
	return c, errors.Join(faults...)
}

// exposed reports an address that would serve the network without a policy.
func (c Config) exposed(key, addr string) error {
	if addr == "" || c.Policy != nil || c.Insecure {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("broker: %s %q: not host:port", key, addr)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("broker: %s %q: not a loopback address, and there is no policy: set one, or allow it as insecure", key, addr)
}

// maxTopic is the longest topic or filter, in bytes, and maxLevels its most
// levels: the engine keeps a node for each level of a retained topic.
const (
	maxTopic  = 65535
	maxLevels = 64
)

// check reports why m cannot be published.
func (m Message) check() error {
	switch {
	case m.Topic == "" || strings.ContainsAny(m.Topic, "+#"):
		return fmt.Errorf("broker: topic %.80q is empty or holds + or #", m.Topic)
	case !plain(m.Topic):
		return fmt.Errorf("broker: topic %.80q is too long, too deep, not UTF-8, or holds NUL", m.Topic)
	case m.QoS > 2:
		return fmt.Errorf("broker: topic %.80q: qos %d is not 0, 1 or 2", m.Topic, m.QoS)
	}
	return nil
}

// check reports why f cannot be subscribed to.
func (f Filter) check() error {
	if f.Topic == "" || !plain(f.Topic) {
		return fmt.Errorf("broker: filter %.80q is empty, too long, too deep, not UTF-8, or holds NUL", f.Topic)
	}
	if f.QoS > 2 {
		return fmt.Errorf("broker: filter %.80q: qos %d is not 0, 1 or 2", f.Topic, f.QoS)
	}
	if strings.HasPrefix(f.Topic, "$share/") {
		return fmt.Errorf("broker: filter %.80q: an attached client has no shared subscriptions", f.Topic)
	}
	rest := f.Topic
	for more := true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return fmt.Errorf("broker: filter %.80q: + must fill a level, and # the last one", f.Topic)
		}
	}
	return nil
}

func plain(s string) bool {
	return len(s) <= maxTopic && strings.Count(s, "/") < maxLevels && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// match says whether filter matches topic. A wildcard in the first level does
// not match a topic that starts with $.
//
// Source: MQTT 5.0, section 4.7.
func match(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, "/")
		switch {
		case f != "+" && f != t:
			return false
		case !tmore:
			return !fmore || frest == "#"
		case !fmore:
			return false
		}
		filter, topic = frest, trest
	}
}

// inner is the filter inside a shared subscription, or the filter itself.
func inner(filter string) string {
	if len(filter) > 7 && strings.EqualFold(filter[:7], "$share/") {
		_, rest, _ := strings.Cut(filter[7:], "/")
		return rest
	}
	return filter
}
