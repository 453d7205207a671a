package watch

import (
	"strings"
	"sync/atomic"

	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Link is one server's way into a watcher. Its methods may be called from any
// goroutine; what one goroutine calls is handled in that order.
type Link struct {
	watcher *Watcher
	server  string
	lossy   atomic.Bool // a birth or death was dropped
	conn    Conn        // nil: down; guarded by the watcher's lock
}

// item is what waits in the queue.
type item struct {
	kind itemKind
	link *Link
	conn Conn
	node *node
	msg  mqtt.Message
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemUp
	itemDown
	itemRebirth // an operator asks for one
	itemExpect  // a node is known of old; node says which and is not that of the watcher
)

// Server is the name the link was asked for with.
func (l *Link) Server() string { return l.server }

// Deliver takes one message, whose payload is the watcher's from then on. It
// never blocks: see the package comment for what happens when the queue is
// full. Messages that are not of edge nodes are ignored.
func (l *Link) Deliver(m mqtt.Message) {
	w := l.watcher
	if size := int64(len(m.Payload)); w.queued.Add(size) <= w.cfg.QueueBytes {
		select {
		case w.queue <- item{kind: itemMessage, link: l, msg: m}:
			return
		default:
		}
	}
	w.queued.Add(-int64(len(m.Payload)))
	w.dropped.Add(1)
	if carriesState(m.Topic) {
		l.lossy.Store(true)
		w.anyLossy.Store(true)
	}
}

// carriesState says whether a lost message of this topic leaves a wrong state
// that nothing after it puts right.
func carriesState(topic string) bool {
	rest, ok := strings.CutPrefix(topic, sparkplug.Namespace+"/")
	if !ok {
		return false
	}
	_, rest, _ = strings.Cut(rest, "/")
	kind, _, _ := strings.Cut(rest, "/")
	switch sparkplug.Type(kind) {
	case sparkplug.NBIRTH, sparkplug.NDEATH, sparkplug.DBIRTH, sparkplug.DDEATH:
		return true
	}
	return false
}

// Up tells that conn is subscribed: commands and rebirth requests to nodes of
// this server go over it. It waits for room in the queue.
func (l *Link) Up(conn Conn) { l.push(item{kind: itemUp, link: l, conn: conn}) }

// Down tells that the connection is gone: the nodes of this server are Lost.
// It waits for room in the queue.
func (l *Link) Down() { l.push(item{kind: itemDown, link: l}) }

func (l *Link) push(it item) {
	select {
	case l.watcher.queue <- it:
	case <-l.watcher.ended:
	}
}
