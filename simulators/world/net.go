package world

import "github.com/magneto-iiot/magneto/sparkplug"

// keepAlive is that of every connection, ms. Who is dead is noticed after one
// and a half of it.
const keepAlive = 10_000

// message is one MQTT message.
type message struct {
	typ     sparkplug.Type // empty: a STATE
	edge    int            // whose topic it is
	device  bool
	payload *sparkplug.Payload
	host    string // of a STATE
	state   sparkplug.State
}

// conn is a connection of a client to the server.
type conn struct {
	id           int
	edge         int // whose; -1: a host's
	client       func(message)
	lost         func()
	will         *message
	open         bool // at the client
	known        bool // at the server
	half         bool
	toServer     int64 // when what was sent last arrives
	toClient     int64
	drop         int // messages to the server that it will lose
	subscribedAt int64
}

// server is an MQTT server: wills, retained STATEs, clean sessions.
type server struct {
	w        *world
	up       bool
	conns    []*conn
	retained map[string]message
	ids      int
}

// latency is that of one packet, ms.
func (w *world) latency() int64 {
	if w.rand.IntN(50) == 0 {
		return w.rand.Int64N(400)
	}
	return 1 + w.rand.Int64N(20)
}

// dial connects, or fails, after a while.
func (s *server) dial(c *conn, done func(ok bool)) {
	s.ids++
	c.id = s.ids
	s.w.after(s.w.latency()+s.w.latency(), func() {
		if !s.up {
			done(false)
			return
		}
		c.open, c.known = true, true
		s.conns = append(s.conns, c)
		done(true)
	})
}

// send brings a message of a client to the server; it may be lost on the way.
func (s *server) send(c *conn, m message) {
	if !c.open || c.half {
		return
	}
	c.toServer = max(c.toServer, s.w.now+s.w.latency())
	s.w.at(c.toServer, func() {
		switch {
		case !c.known || c.half:
		case c.drop > 0:
			c.drop--
			s.w.note('d', c.id, int(c.toServer))
		default:
			s.publish(m)
		}
	})
}

// publish hands a message to everybody who wants it.
func (s *server) publish(m message) {
	if m.typ == "" {
		s.retained[m.host] = m
	}
	for _, c := range s.conns {
		if c.subscribedAt != 0 && wants(c, &m) {
			s.deliver(c, m)
		}
	}
}

// wants: edge nodes hear commands to them and STATEs, hosts everything else.
func wants(c *conn, m *message) bool {
	if c.edge >= 0 {
		return m.typ == "" || m.typ == sparkplug.NCMD && m.edge == c.edge
	}
	return m.typ != sparkplug.NCMD
}

func (s *server) deliver(c *conn, m message) {
	c.toClient = max(c.toClient, s.w.now+s.w.latency())
	s.w.at(c.toClient, func() {
		if c.open && c.known && !c.half {
			s.w.note('m', c.id, m.edge)
			c.client(m)
		}
	})
}

// subscribe acknowledges, and sends what is retained.
func (s *server) subscribe(c *conn, done func()) {
	s.w.after(s.w.latency(), func() {
		if !c.known || c.half {
			return
		}
		c.subscribedAt = s.w.now
		c.toClient = max(c.toClient, s.w.now+s.w.latency())
		s.w.at(c.toClient, func() {
			if c.open && c.known && !c.half {
				done()
			}
		})
		for _, host := range []string{hostID, spyID} {
			if m, ok := s.retained[host]; ok && wants(c, &m) {
				s.deliver(c, m)
			}
		}
	})
}

// forget ends a connection at the server, with its will unless it left in good
// order.
func (s *server) forget(c *conn, will bool) {
	if !c.known {
		return
	}
	c.known = false
	for i := range s.conns {
		if s.conns[i] == c {
			s.conns = append(s.conns[:i:i], s.conns[i+1:]...)
			break
		}
	}
	if will && c.will != nil {
		s.publish(*c.will)
	}
}

// gone tells the client, if it still is there, that its connection is lost.
func (s *server) gone(c *conn, after int64) {
	s.w.after(after, func() {
		if c.open {
			c.open = false
			c.lost()
		}
	})
}

// reset breaks a connection for both ends.
func (s *server) reset(c *conn) {
	s.forget(c, true)
	s.gone(c, s.w.latency())
}

// halfOpen has a connection take what is sent and lose it, until both ends
// notice.
func (s *server) halfOpen(c *conn) {
	if c.half {
		return
	}
	c.half = true
	s.w.after(keepAlive*3/2, func() { s.forget(c, true) })
	s.gone(c, keepAlive+s.w.rand.Int64N(keepAlive/2))
}

// hangUp ends a connection from the client's side: in good order, or with the
// will, or by dying; a machine without power says nothing.
func (s *server) hangUp(c *conn, will, silent bool) {
	if c == nil || !c.open {
		return
	}
	c.open = false
	wait := max(c.toServer-s.w.now, 0) + s.w.latency()
	if silent || c.half {
		wait = keepAlive * 3 / 2
	}
	s.w.after(wait, func() { s.forget(c, will) })
}

// restart kills the server: nobody's will is published; retained messages may
// be lost.
func (s *server) restart(down int64, wiped bool) {
	s.up = false
	for _, c := range append([]*conn{}, s.conns...) {
		s.forget(c, false)
		s.gone(c, s.w.latency())
	}
	if wiped {
		s.retained = map[string]message{}
	}
	s.w.after(down, func() { s.up = true })
}
