package mqtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bytes of the buffers of a connection, one for each direction.
const bufferSize = 16 << 10

// wire is the network connection as the client library sees it. The library
// reads a packet in many small pieces and writes one in four, from several
// goroutines, without deadlines, and allocates what a header announces. So
// wire
//   - buffers reads, which makes the library 1.6 times faster;
//   - is a sync.Locker, which the library holds while it writes a packet: no
//     packet tears another, and each leaves in one write when it is unlocked;
//   - gives each write a deadline, so that a dead link fails;
//   - looks at each header before the library does, and refuses packets that
//     are longer than the limit.
//
// Its first failure is reported to fail.
type wire struct {
	net.Conn
	max    int           // longest packet to be read, in bytes
	within time.Duration // of a write
	fail   func(error)

	in   *bufio.Reader
	left int         // bytes of the current packet that are still to be read
	bye  atomic.Bool // a DISCONNECT is being read
	sent atomic.Bool // the network took at least a byte

	mu  sync.Mutex
	out *bufio.Writer // guarded by mu
	err error         // guarded by mu; why nothing can be written any more
}

func newWire(c net.Conn, maxPacket int, within time.Duration, fail func(error)) *wire {
	w := &wire{Conn: c, max: maxPacket, within: within, fail: fail}
	w.in = bufio.NewReaderSize(c, bufferSize)
	w.out = bufio.NewWriterSize(writerFunc(w.send), bufferSize)
	return w
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// send writes to the network; mu is held.
func (w *wire) send(p []byte) (int, error) {
	if err := w.Conn.SetWriteDeadline(time.Now().Add(w.within)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(p)
	if n > 0 {
		w.sent.Store(true)
	}
	return n, err
}

// Lock is called by the library before it writes a packet.
func (w *wire) Lock() { w.mu.Lock() }

// Unlock is called by the library after it has written a packet, which leaves now.
func (w *wire) Unlock() {
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if err := w.out.Flush(); err != nil {
		w.err = err
		w.fail(fmt.Errorf("mqtt: write: %w", err))
		_ = w.Conn.Close() // wakes the reader
	}
}

// Write is called by the library between Lock and Unlock.
func (w *wire) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.out.Write(p)
}

// broken says why nothing can be written, nil if something can.
func (w *wire) broken() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// finish makes every later write fail, so that nothing follows a DISCONNECT.
func (w *wire) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = ErrClosed
	}
}

// Read is called by the library, from one goroutine.
func (w *wire) Read(p []byte) (int, error) {
	if w.left == 0 {
		n, err := w.header()
		if err != nil {
			w.fail(readError(err))
			return 0, err
		}
		w.left = n
	}
	n, err := w.in.Read(p[:min(len(p), w.left)])
	w.left -= n
	if err != nil {
		w.fail(readError(err))
	}
	return n, err
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("mqtt: the broker closed the connection without a word")
	}
	return fmt.Errorf("mqtt: read: %w", err)
}

// header looks at the fixed header of the next packet and returns how long the
// packet is, header included.
//
// Source: MQTT 5.0, sections 1.5.5 and 2.1.
func (w *wire) header() (int, error) {
	length, shift := 0, 0
	for n := 2; n <= 5; n++ {
		b, err := w.in.Peek(n)
		if err != nil {
			return 0, err
		}
		length |= int(b[n-1]&0x7F) << shift
		shift += 7
		if b[n-1] >= 0x80 {
			continue
		}
		switch kind := b[0] >> 4; {
		case n+length > w.max:
			return 0, fmt.Errorf("a packet of %d bytes is longer than the limit of %d", n+length, w.max)
		case kind == 3 && b[0]&6 == 6:
			return 0, errors.New("malformed packet: qos 3")
		case kind == 14:
			w.bye.Store(true)
		}
		return n + length, nil
	}
	return 0, errors.New("malformed packet: length of more than four bytes")
}
