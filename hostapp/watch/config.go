package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Message is one MQTT message: Topic, Payload, QoS, Retain.
type Message = mqtt.Message

// Filter is one MQTT subscription: Topic, QoS.
type Filter = mqtt.Filter

// Conn is what a watcher needs of an MQTT connection: write it over your own
// client. The module's own connection and its in-process broker's have it too.
type Conn interface {
	Publish(ctx context.Context, m Message) error
	Subscribe(ctx context.Context, filters ...Filter) error
	Done() <-chan struct{} // closed when the connection is gone
	Err() error            // why, once Done is closed
	Disconnect(ctx context.Context) error
}

// Dial opens one connection to one server, with a clean session. It calls
// onMessage in the order of arrival, from one goroutine; onMessage never
// blocks and keeps the payload. A will of nil is none.
type Dial func(ctx context.Context, will *Message, onMessage func(Message)) (Conn, error)

// Config says how a watcher behaves. Its zero value works.
type Config struct {
	// Handler is called for every Update, in order, from the goroutine of
	// Run. While it runs the watcher handles nothing else. Without one there is
	// the picture only, and data costs less: no Update is made of it.
	Handler func(*Update)

	// Passive forbids every publish: rebirths are then asked of AskRebirth.
	Passive bool
	// AskRebirth is called by a passive watcher that lacks a birth, at the
	// times at which an active one would publish. It must not block.
	AskRebirth func(group, node, reason string)

	// AckAs is the host id that nodes know this host by that want to be told
	// what is stored, see Watcher.Acknowledge; empty: none is told.
	AckAs string

	// ReorderTimeout is how long a message that came too early waits for
	// those before it; 2 s if zero.
	//
	// Spec: tck-id-operational-behavior-host-reordering-param.
	ReorderTimeout time.Duration
	// RebirthSpread is the time over which the first rebirth requests to nodes
	// that were never born are spread; at once if zero.
	RebirthSpread time.Duration
	// RebirthsPerSecond is the most rebirth requests a second over all nodes
	// (a restarted host needs one of each); 50 if zero.
	RebirthsPerSecond int

	// Limits bound what is decoded. Bytes is 2 MiB and Metrics 50,000 if zero;
	// the others have the defaults of sparkplug.Limits.
	Limits sparkplug.Limits

	// Queue bounds the messages waiting for Run; 32,768 if zero.
	Queue int
	// QueueBytes bounds their payloads; 64 MiB if zero.
	QueueBytes int64

	MaxNodes          int // 100,000 if zero; messages of further nodes are refused and counted
	MaxDevices        int // of a node; 4096 if zero
	MaxMetricsPerNode int // declared in its births; 1,000,000 if zero
	MaxMetrics        int // of all nodes; 20,000,000 if zero. Further births are refused and counted

	// Untyped leaves the datatype off commands, as data messages do. The
	// official TCK grades commands only with one.
	Untyped bool

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	c.ReorderTimeout = cmp.Or(c.ReorderTimeout, 2*time.Second)
	c.RebirthsPerSecond = cmp.Or(c.RebirthsPerSecond, 50)
	c.Queue = cmp.Or(c.Queue, 1<<15)
	c.QueueBytes = cmp.Or(c.QueueBytes, 64<<20)
	c.MaxNodes = cmp.Or(c.MaxNodes, 100_000)
	c.MaxDevices = cmp.Or(c.MaxDevices, 4096)
	c.MaxMetricsPerNode = cmp.Or(c.MaxMetricsPerNode, 1_000_000)
	c.MaxMetrics = cmp.Or(c.MaxMetrics, 20_000_000)
	c.Limits.Bytes = cmp.Or(c.Limits.Bytes, 2<<20)
	c.Limits.Metrics = cmp.Or(c.Limits.Metrics, 50_000)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, errors.Join(
		positive("reorder_timeout", int64(c.ReorderTimeout)),
		positive("rebirths_per_second", int64(c.RebirthsPerSecond)),
		positive("queue", int64(c.Queue)),
		positive("queue_bytes", c.QueueBytes),
		positive("max_nodes", int64(c.MaxNodes)),
		positive("max_devices", int64(c.MaxDevices)),
		positive("max_metrics_per_node", int64(c.MaxMetricsPerNode)),
		positive("max_metrics", int64(c.MaxMetrics)),
	)
}

func positive(key string, v int64) error {
	if v > 0 {
		return nil
	}
	return fmt.Errorf("watch: %s: %d is not positive", key, v)
}
