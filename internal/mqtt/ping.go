package mqtt

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"
)

// pinger tells within 1.25 keepalives that the other end is gone: it pings
// after 0.75 of one without a packet in either direction, and waits 0.5 for
// the answer. (The library's own needs 2 keepalives.)
type pinger struct {
	keepAlive time.Duration
	fail      func(error)
	start     time.Time
	sent      atomic.Int64 // ns since start, of the last packet
	received  atomic.Int64 // likewise
	pong      chan struct{}
}

func newPinger(keepAlive time.Duration, fail func(error)) *pinger {
	return &pinger{keepAlive: keepAlive, fail: fail, start: time.Now(), pong: make(chan struct{}, 1)}
}

// Run pings until ctx ends. A broker may ask for pings more often than
// configured, but not for fewer.
func (p *pinger) Run(ctx context.Context, conn net.Conn, serverSeconds uint16) error {
	keepAlive := p.keepAlive
	if s := time.Duration(serverSeconds) * time.Second; s > 0 {
		keepAlive = min(keepAlive, s)
	}
	p.PacketSent()
	p.PacketReceived()
	for {
		idle := time.Since(p.start) - time.Duration(min(p.sent.Load(), p.received.Load()))
		if wait := keepAlive*3/4 - idle; wait > 0 {
			if !sleep(ctx, wait) {
				return nil
			}
			continue
		}
		if err := p.ping(ctx, conn, keepAlive/2); err != nil {
			p.fail(err)
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (p *pinger) ping(ctx context.Context, conn net.Conn, wait time.Duration) error {
	select {
	case <-p.pong:
	default:
	}
	if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err != nil {
		return fmt.Errorf("mqtt: ping: %w", err)
	}
	p.PacketSent()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-p.pong:
	case <-t.C:
		return fmt.Errorf("%w within %s", ErrSilent, wait)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// PacketSent is called by the library.
func (p *pinger) PacketSent() { p.sent.Store(int64(time.Since(p.start))) }

// PacketReceived is called by the library.
func (p *pinger) PacketReceived() { p.received.Store(int64(time.Since(p.start))) }

// PingResp is called by the library.
func (p *pinger) PingResp() {
	select {
	case p.pong <- struct{}{}:
	default:
	}
}

// SetDebug is called by the library.
func (p *pinger) SetDebug(log.Logger) {}
