package mqtt_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// TestHalfOpen has brokers that fall silent without closing, under a virtual
// clock: the connection must end within 1.5 keepalives of the last sign of life.
func TestHalfOpen(t *testing.T) {
	const keepAlive = 30 * time.Second
	tests := map[string]struct {
		reads bool // the broker, though it says nothing
		busy  bool // the client publishes all the time
	}{
		"reads, idle client":         {true, false},
		"reads, busy client":         {true, true},
		"does not read, idle client": {false, false},
		"does not read, busy client": {false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				defer close(over)
				c := dial(t, mqtt.Config{Server: "mqtt://fake", KeepAlive: keepAlive, Dialer: fake(t, func(c net.Conn) {
					r := accept(c)
					if tt.reads {
						_, _ = io.Copy(io.Discard, r)
					}
					<-over
				})})
				start := time.Now()
				var wg sync.WaitGroup
				if tt.busy {
					wg.Go(func() {
						for c.Publish(context.Background(), mqtt.Message{Topic: "t"}) == nil {
							time.Sleep(time.Second)
						}
					})
				}
				<-c.Done()
				took := time.Since(start)
				wg.Wait()
				if took > keepAlive*3/2 || took < keepAlive/4 {
					t.Errorf("ended after %s, want at most %s", took, keepAlive*3/2)
				}
				if c.Err() == nil {
					t.Error("Err() = nil")
				}
				synctest.Wait()
			})
		})
	}
}

// TestPings keeps an idle connection to a broker that answers alive for a day.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		c := dial(t, mqtt.Config{Server: "mqtt://fake", KeepAlive: time.Minute, Dialer: fake(t, func(c net.Conn) {
			r := accept(c)
			for {
				head, _, err := packet(r)
				if err != nil {
					return
				}
				if head == 0xC0 {
					pings++
					_, _ = c.Write([]byte{0xD0, 0})
				}
			}
		})})
		select {
		case <-c.Done():
			t.Fatalf("ended: %v", c.Err())
		case <-time.After(24 * time.Hour):
		}
		c.Close()
		synctest.Wait()
		if want := 24 * 60 * 4 / 3; pings < want-1 || pings > want+1 {
			t.Errorf("%d pings in a day, want %d", pings, want)
		}
	})
}

// TestPendingEndsWithConnection: who waits for an acknowledgement is told at
// once when the connection is gone.
func TestPendingEndsWithConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, mqtt.Config{Server: "mqtt://fake", Timeout: time.Hour, KeepAlive: 10 * time.Hour, Dialer: fake(t, func(c net.Conn) {
			r := accept(c)
			packet(r)
			packet(r)
			time.Sleep(time.Second)
		})})
		start := time.Now()
		failed := make(chan error, 2)
		go func() { failed <- c.Publish(context.Background(), mqtt.Message{Topic: "t", QoS: 1}) }()
		go func() { failed <- c.Subscribe(context.Background(), mqtt.Filter{Topic: "t"}) }()
		for range 2 {
			if err := <-failed; err == nil || !strings.Contains(err.Error(), "without a word") {
				t.Errorf("got %v, want that the broker closed", err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("told after %s, want 1s", took)
		}
		<-c.Done()
	})
}

func TestDialErrors(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	addr := refused.Addr().String()
	refused.Close()
	tests := map[string]struct {
		dialer func(context.Context, string, string) (net.Conn, error)
		sent   bool
		code   byte
		want   string
	}{
		"refused":        {nil, false, 0, "refused"},
		"closes":         {fake(t, func(c net.Conn) { packet(bufio.NewReader(c)) }), true, 0, "without a word"},
		"closes at once": {fake(t, func(c net.Conn) {}), false, 0, "write"},
		"not authorized": {fake(t, func(c net.Conn) { packet(bufio.NewReader(c)); c.Write([]byte{0x20, 3, 0, 0x87, 0}) }), true, 0x87, "not authorized"},
		"garbage":        {fake(t, func(c net.Conn) { packet(bufio.NewReader(c)); c.Write([]byte("HTTP/1.1 400 Bad Request\r\n")) }), true, 0, "mqtt"},
		"silent":         {fake(t, func(c net.Conn) { io.Copy(io.Discard, c) }), true, 0, "deadline"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := mqtt.Dial(t.Context(), mqtt.Config{Server: server(addr), Timeout: 300 * time.Millisecond, Dialer: tt.dialer})
			bad, is := errors.AsType[*mqtt.DialError](err)
			if !is {
				t.Fatalf("Dial = %v, want a DialError", err)
			}
			if bad.Sent != tt.sent || bad.Code != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Dial = %v, sent %v, code %#x; want sent %v, code %#x, and %q", err, bad.Sent, bad.Code, tt.sent, tt.code, tt.want)
			}
		})
	}
}

// TestMalformed: a broker that breaks the protocol ends the connection, not the program.
func TestMalformed(t *testing.T) {
	tests := map[string]struct {
		bytes []byte
		want  string
	}{
		"too long":       {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, "longer than the limit"},
		"endless length": {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, "more than four bytes"},
		"qos 3":          {[]byte{0x36, 5, 0, 1, 't', 0, 0}, "qos 3"},
		"short":          {[]byte{0x30, 1, 0}, "mqtt"},
		"connack":        {connack, "CONNACK"},
		"busy":           {[]byte{0xE0, 2, 0x89, 0}, "server busy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := dial(t, mqtt.Config{Server: "mqtt://fake", Dialer: fake(t, func(c net.Conn) {
				r := accept(c)
				_, _ = c.Write(tt.bytes)
				_, _ = io.Copy(io.Discard, r)
			})})
			if err := ended(t, c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Err() = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestWholePackets publishes from many goroutines while acknowledgements go
// out too, and parses what arrives: no packet may be torn by another.
func TestWholePackets(t *testing.T) {
	const writers, each = 8, 300
	var seen [writers]int
	failed := make(chan error, 1)
	dialer := fake(t, func(c net.Conn) {
		r := accept(c)
		go func() { // makes the client acknowledge
			for id := range uint16(500) {
				p := []byte{0x32, 6, 0, 1, 'x', 0, 0, 0}
				binary.BigEndian.PutUint16(p[5:], id+1)
				if _, err := c.Write(p); err != nil {
					return
				}
			}
		}()
		failed <- func() error {
			for n := 0; n < writers*each; {
				head, body, err := packet(r)
				if err != nil {
					return err
				}
				if head != 0x30 {
					continue
				}
				n++
				w := int(body[2] - 'a')
				want := payload(w, seen[w])
				if !bytes.Equal(body[4:], want) {
					return fmt.Errorf("writer %d, message %d is torn", w, seen[w])
				}
				seen[w]++
			}
			return nil
		}()
		_, _ = io.Copy(io.Discard, r)
	})
	c := dial(t, mqtt.Config{Server: "mqtt://fake", Dialer: dialer})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := c.Publish(t.Context(), mqtt.Message{Topic: string(rune('a' + w)), Payload: payload(w, i)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	ok(t, <-failed)
}

// payload is one that tells whose it is, of 1 byte to 40 kB.
func payload(w, i int) []byte {
	return bytes.Repeat([]byte{byte(w), byte(i)}, 1+(i*i*7+w)%20000)
}

// FuzzServer: whatever a broker sends, the connection ends and nothing panics.
func FuzzServer(f *testing.F) {
	f.Add([]byte{0x30, 5, 0, 1, 't', 0, 'x'})
	f.Add([]byte{0x90, 4, 0, 1, 0, 0})
	f.Add([]byte{0x50, 2, 0, 9})
	f.Add([]byte{0x62, 2, 0, 9})
	f.Add([]byte{0xE0, 2, 0x8E, 0})
	f.Add([]byte{0xF0, 2, 0x18, 0})
	f.Add([]byte{0x34, 8, 0, 1, 't', 0, 1, 0, 'x', 'y'})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := mqtt.Dial(t.Context(), mqtt.Config{Server: "mqtt://fake", MaxPacket: 1 << 16, Dialer: fake(t, func(c net.Conn) {
			r := accept(c)
			go io.Copy(io.Discard, r)
			_, _ = c.Write(b)
		})})
		if err != nil {
			return
		}
		ended(t, c)
		c.Close()
	})
}
