package plc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// maxClients bounds the connections: one more is closed at once.
const maxClients = 64

// idle is how long a client may stay silent.
const idle = 10 * time.Minute

// Server is a Modbus TCP server. Its methods are safe for concurrent use.
type Server struct {
	bank   bank
	points []Point
	faults faults
	ln     net.Listener
	done   chan struct{} // closed by Close
	unhook func() bool
	wg     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	clients uint64 // ever accepted
	closed  bool
}

// Listen serves sim on addr (host:port; port 0 chooses one) until ctx ends or
// Close is called. The server owns sim from now on: nobody else may touch it.
func Listen(ctx context.Context, addr string, sim process.Machine) (*Server, error) {
	m, err := newMachine(sim)
	if err != nil {
		return nil, err
	}
	return listen(ctx, addr, m, m.points)
}

// ListenMemory serves mem as Listen does a machine. It has no points.
func ListenMemory(ctx context.Context, addr string, mem *Memory) (*Server, error) {
	return listen(ctx, addr, mem, nil)
}

func listen(ctx context.Context, addr string, b bank, points []Point) (*Server, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("plc: %w", err)
	}
	s := &Server{
		bank: b, points: points, ln: ln, done: make(chan struct{}), conns: map[net.Conn]bool{},
		faults: faults{units: map[byte]UnitState{}, places: map[place]bool{}, counts: map[byte]uint64{}},
	}
	s.unhook = context.AfterFunc(ctx, s.stop)
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is the address the server listens on, "127.0.0.1:40123".
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Points is the register map of the machine. It is the caller's to read only.
func (s *Server) Points() []Point { return s.points }

// Close stops listening, cuts every connection and returns when all that the
// server started has ended. It may be called more than once.
func (s *Server) Close() error {
	s.unhook()
	s.stop()
	s.wg.Wait()
	return nil
}

// stop ends listening and all connections.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.done)
	_ = s.ln.Close() // there is nothing to lose
	for c := range s.conns {
		_ = c.Close()
	}
}

// DropConnections cuts every connection there is; new ones are welcome.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, perhaps: give it a moment.
			if !s.wait(100 * time.Millisecond) {
				return
			}
			continue
		}
		if client, ok := s.admit(c); ok {
			s.wg.Go(func() { s.converse(c, client) })
		} else {
			_ = c.Close()
		}
	}
}

// admit takes a connection in unless the server is full or closed.
func (s *Server) admit(c net.Conn) (client uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxClients {
		return 0, false
	}
	s.conns[c] = true
	s.clients++
	return s.clients, true
}

// converse answers one client until it goes, breaks the protocol or is cut.
func (s *Server) converse(c net.Conn, client uint64) {
	defer func() {
		_ = c.Close()
		s.bank.end(client)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	var in, out [260]byte // the longest frame of Modbus TCP
	for {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		req, err := readFrame(c, in[:])
		if err != nil {
			return
		}
		state, delay := s.faults.request(req[6])
		if state == UnitSilent {
			continue
		}
		if delay > 0 && !s.wait(delay) {
			return
		}
		s.bank.begin(client)
		reply := append(out[:0], req[:7]...)
		if state == UnitUnknown {
			reply = append(reply, req[7]|0x80, byte(gatewayTarget))
		} else {
			reply = s.answer(reply, client, req[7:])
		}
		binary.BigEndian.PutUint16(reply[4:], uint16(len(reply)-6))
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// readFrame reads one frame, header and all, into buf.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:7]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf[4:]))
	if binary.BigEndian.Uint16(buf[2:]) != 0 || n < 2 || n > len(buf)-6 {
		return nil, errors.New("plc: not a frame of Modbus TCP")
	}
	frame := buf[:6+n]
	_, err := io.ReadFull(r, frame[7:])
	return frame, err
}

// wait lets d pass; false when the server was closed meanwhile.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}
