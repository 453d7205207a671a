package netfault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/simulators/netfault"
)

const patience = 20 * time.Second

// stand is a client and a server with the proxy between them.
type stand struct {
	t     *testing.T
	proxy *netfault.Proxy
	ln    net.Listener
}

func newStand(t *testing.T) *stand {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	p, err := netfault.Listen(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &stand{t, p, ln}
}

func (s *stand) dial() net.Conn {
	s.t.Helper()
	c, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.proxy.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// pair returns both ends of a connection.
func (s *stand) pair() (client, server net.Conn) {
	s.t.Helper()
	client = s.dial()
	server, err := s.ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = server.Close() })
	_ = server.SetDeadline(time.Now().Add(patience))
	return client, server
}

// TestPasses checks that without a fault bytes pass as they are, both ways, and
// that the end of one way leaves the other.
func TestPasses(t *testing.T) {
	s := newStand(t)
	a, b := s.pair()
	var wg sync.WaitGroup
	for i, ends := range [][2]net.Conn{{a, b}, {b, a}} {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		sent := make([]byte, 300_000)
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		wg.Go(func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(40_000))
				if _, err := ends[0].Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			if err := ends[0].(*net.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			got, err := io.ReadAll(ends[1])
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes of %d, %v", len(got), len(sent), err)
			}
		})
	}
	wg.Wait()
	if n := s.proxy.Stats(); n.Forwarded != 600_000 || n.Connections != 1 || n.Swallowed != 0 {
		t.Errorf("%+v", n)
	}
}

func TestReset(t *testing.T) {
	s := newStand(t)
	a, b := s.pair()
	s.proxy.Reset()
	for name, c := range map[string]net.Conn{"client": a, "server": b} {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want a reset", name, err)
		}
	}
	s.pair() // a new one works
}

// TestHalfOpen checks that what is sent is swallowed while both ends believe
// that they are connected, and stays lost.
func TestHalfOpen(t *testing.T) {
	s := newStand(t)
	a, b := s.pair()
	s.proxy.HalfOpen()
	for _, c := range []net.Conn{a, b} {
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			t.Errorf("the writer notices: %v", err)
		}
	}
	late := s.dial()
	if _, err := late.Write(make([]byte, 500)); err != nil {
		t.Errorf("a new connection is refused: %v", err)
	}
	for end := time.Now().Add(patience); s.proxy.Stats().Swallowed < 2500; {
		if time.Now().After(end) {
			t.Fatalf("%+v", s.proxy.Stats())
		}
	}
	s.proxy.Heal()
	for name, c := range map[string]net.Conn{"client": a, "server": b, "late": late} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: %d bytes, %v after the link is back", name, n, err)
		}
	}
	a, b = s.pair()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestRefuse(t *testing.T) {
	s := newStand(t)
	s.proxy.Refuse()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.proxy.Addr())
	if err == nil { // the reset may come before the dial has ended
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err == nil {
		t.Error("not refused")
	}
	s.proxy.Heal()
	s.pair()
	if n := s.proxy.Stats(); n.Refused != 1 {
		t.Errorf("%+v", n)
	}
}

func TestSlow(t *testing.T) {
	s := newStand(t)
	a, b := s.pair()
	s.proxy.Slow(0, 100_000)
	begun := time.Now()
	go func() { _, _ = a.Write(make([]byte, 50_000)) }()
	if _, err := io.ReadFull(b, make([]byte, 50_000)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 450*time.Millisecond {
		t.Errorf("50,000 bytes at 100,000 a second took %v", took)
	}
	s.proxy.Slow(100*time.Millisecond, 0)
	begun = time.Now()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); err != nil || time.Since(begun) < 100*time.Millisecond {
		t.Errorf("delayed by %v, %v", time.Since(begun), err)
	}
}

// TestLossy checks that losses hold a stream up, and that it stays whole and in
// order.
func TestLossy(t *testing.T) {
	s := newStand(t)
	a, b := s.pair()
	s.proxy.Lossy(0.5, time.Millisecond)
	sent := make([]byte, 400_000)
	for i := range sent {
		sent[i] = byte(i / 1000)
	}
	begun := time.Now()
	go func() { _, _ = a.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what came is not what was sent: %v", err)
	}
	if took := time.Since(begun); took < 20*time.Millisecond {
		t.Errorf("25 pieces, half of the packets lost, took %v", took)
	}
	s.proxy.Heal()
	begun = time.Now()
	go func() { _, _ = a.Write(sent) }()
	if _, err := io.ReadFull(b, got); err != nil || time.Since(begun) > time.Second {
		t.Errorf("healed: %v, %v", time.Since(begun), err)
	}
}

// TestServerAway checks that a client sees a reset when there is no server.
func TestServerAway(t *testing.T) {
	s := newStand(t)
	_ = s.ln.Close()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.proxy.Addr())
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err == nil {
		t.Error("connected to nothing")
	}
}

// A link that takes what is sent and loses it.
func Example() {
	ctx := context.Background()
	server, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	p, err := netfault.Listen(ctx, server.Addr().String())
	if err != nil {
		panic(err)
	}
	defer p.Close()
	client, err := new(net.Dialer).DialContext(ctx, "tcp", p.Addr())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	if _, err := server.Accept(); err != nil {
		panic(err)
	}
	p.HalfOpen()
	n, err := client.Write([]byte("hello?"))
	fmt.Println(n, "bytes written,", err)
	p.Heal()
	_, err = client.Read(make([]byte, 1))
	fmt.Println("after the link is back, an error:", err != nil)
	// Output:
	// 6 bytes written, <nil>
	// after the link is back, an error: true
}
