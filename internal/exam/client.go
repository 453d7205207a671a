package exam

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// Delivery is a message as a client of an MQTT server under examination got it.
type Delivery struct {
	Topic   string
	QoS     byte
	Retain  bool
	Payload []byte
}

// The packet types that the examiner's client uses.
//
// Source: MQTT 5.0, section 2.1.2.
const (
	ptConnect    = 1
	ptConnack    = 2
	ptPublish    = 3
	ptPuback     = 4
	ptSubscribe  = 8
	ptSuback     = 9
	ptDisconnect = 14
)

// maxPacket bounds what is taken from a server, in bytes.
const maxPacket = 1 << 20

// client is a small MQTT client of version 4 (3.1.1) or 5, which shows what
// libraries hide: flags as they came, and an end without a word.
type client struct {
	version byte
	conn    net.Conn
	in      chan Delivery
	acks    chan byte // reason codes of acknowledgements
	done    chan struct{}
	tamper  func(*Delivery) bool

	mu   sync.Mutex
	next uint16 // guarded by mu; packet id
}

// dialClient connects with a clean session, and a will unless it is nil.
func dialClient(ctx context.Context, c BrokerConfig, version byte, id string, will *Delivery) (*client, error) {
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "mqtt" || u.Hostname() == "" {
		return nil, fmt.Errorf("exam: server %q: not of the form mqtt://host:port", c.Server)
	}
	port := u.Port()
	if port == "" {
		port = "1883"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	m := &client{version: version, conn: conn, in: make(chan Delivery, 64), acks: make(chan byte, 64), done: make(chan struct{}), tamper: c.Tamper}
	go m.read()
	if err := m.write(ptConnect<<4, m.connectBody(c, id, will)); err != nil {
		m.cut()
		return nil, err
	}
	code, err := m.ack(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("exam: %s refuses the connection of MQTT version %d with code %d", c.Server, version, code)
	}
	if err != nil {
		m.cut()
		return nil, err
	}
	return m, nil
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// properties appends an empty property list where the version has one.
func (m *client) properties(b []byte) []byte {
	if m.version >= 5 {
		b = append(b, 0)
	}
	return b
}

func (m *client) connectBody(c BrokerConfig, id string, will *Delivery) []byte {
	flags := byte(1 << 1)
	if will != nil {
		flags |= 1<<2 | will.QoS<<3
		if will.Retain {
			flags |= 1 << 5
		}
	}
	if c.Username != "" {
		flags |= 1<<7 | 1<<6
	}
	b := append(text(nil, "MQTT"), m.version, flags, 0, 60)
	b = text(m.properties(b), id)
	if will != nil {
		b = text(m.properties(b), will.Topic)
		b = text(b, string(will.Payload))
	}
	if c.Username != "" {
		b = text(text(b, c.Username), c.Password)
	}
	return b
}

func (m *client) write(head byte, body []byte) error {
	b := binary.AppendUvarint([]byte{head}, uint64(len(body))) // the same as MQTT's, up to four bytes
	_ = m.conn.SetWriteDeadline(time.Now().Add(prompt))
	_, err := m.conn.Write(append(b, body...))
	return err
}

func (m *client) id() uint16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	return m.next
}

// subscribe asks for the messages of filter with at most qos.
func (m *client) subscribe(ctx context.Context, filter string, qos byte) error {
	b := m.properties(binary.BigEndian.AppendUint16(nil, m.id()))
	if err := m.write(ptSubscribe<<4|2, append(text(b, filter), qos)); err != nil {
		return err
	}
	code, err := m.ack(ctx)
	if err == nil && code > 2 {
		err = fmt.Errorf("exam: the server refuses the subscription to %s with code %d", filter, code)
	}
	return err
}

// publish sends a message and waits for the acknowledgement of QoS 1.
func (m *client) publish(ctx context.Context, d Delivery) error {
	head := byte(ptPublish<<4) | d.QoS<<1
	if d.Retain {
		head |= 1
	}
	b := text(nil, d.Topic)
	if d.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, m.id())
	}
	b = append(m.properties(b), d.Payload...)
	if err := m.write(head, b); err != nil || d.QoS == 0 {
		return err
	}
	code, err := m.ack(ctx)
	if err == nil && code >= 0x80 {
		err = fmt.Errorf("exam: the server refuses the message to %s with code %d", d.Topic, code)
	}
	return err
}

// ack waits for the next CONNACK, SUBACK or PUBACK.
func (m *client) ack(ctx context.Context) (byte, error) {
	limit := time.NewTimer(2 * prompt)
	defer limit.Stop()
	select {
	case code := <-m.acks:
		return code, nil
	case <-m.done:
		return 0, errors.New("exam: the server ended the connection")
	case <-limit.C:
		return 0, errors.New("exam: the server does not acknowledge")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// leave sends DISCONNECT; reason is for MQTT 5 only.
func (m *client) leave(reason byte) error {
	var b []byte
	if m.version >= 5 && reason != 0 {
		b = []byte{reason}
	}
	err := m.write(ptDisconnect<<4, b)
	m.cut()
	return err
}

// cut ends the connection without a word.
func (m *client) cut() {
	if c, ok := m.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = m.conn.Close()
	<-m.done
}

// read takes in what the server sends, until the end.
func (m *client) read() {
	defer close(m.done)
	r := bufio.NewReader(m.conn)
	for {
		head, err := r.ReadByte()
		if err != nil {
			return
		}
		n, err := binary.ReadUvarint(r)
		if err != nil || n > maxPacket {
			return
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil || !m.take(head, body) {
			return
		}
	}
}

// take handles one packet; false when it is malformed.
func (m *client) take(head byte, body []byte) bool {
	switch head >> 4 {
	case ptConnack:
		return len(body) >= 2 && m.put(body[1])
	case ptSuback:
		return len(body) >= 3 && m.put(body[len(body)-1])
	case ptPuback:
		code := byte(0)
		if len(body) > 2 {
			code = body[2]
		}
		return m.put(code)
	case ptPublish:
		return m.deliver(head, body)
	}
	return true
}

func (m *client) put(code byte) bool {
	select {
	case m.acks <- code:
		return true
	default:
		return false
	}
}

func (m *client) deliver(head byte, body []byte) bool {
	d := Delivery{QoS: head >> 1 & 3, Retain: head&1 != 0}
	if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
		return false
	}
	n := int(binary.BigEndian.Uint16(body))
	d.Topic, body = string(body[2:2+n]), body[2+n:]
	if d.QoS > 0 {
		if len(body) < 2 || m.write(ptPuback<<4, body[:2:2]) != nil {
			return false
		}
		body = body[2:]
	}
	if m.version >= 5 {
		size, k := binary.Uvarint(body)
		if k <= 0 || size > uint64(len(body)-k) {
			return false
		}
		body = body[k+int(size):]
	}
	d.Payload = body
	if m.tamper != nil && !m.tamper(&d) {
		return true
	}
	select {
	case m.in <- d:
		return true
	default:
		return false // nobody takes them: the examination is over
	}
}

// get waits for a message of a topic; what else comes is dropped.
func (m *client) get(ctx context.Context, topic string, within time.Duration) (Delivery, bool) {
	return m.seek(ctx, topic, "", within)
}

// before is the first message of a topic that comes before one of another.
func (m *client) before(ctx context.Context, topic, marker string) (Delivery, bool) {
	return m.seek(ctx, topic, marker, prompt)
}

func (m *client) seek(ctx context.Context, topic, marker string, within time.Duration) (Delivery, bool) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		select {
		case d := <-m.in:
			switch d.Topic {
			case topic:
				return d, true
			case marker:
				return Delivery{}, false
			}
		case <-limit.C:
			return Delivery{}, false
		case <-ctx.Done():
			return Delivery{}, false
		}
	}
}
