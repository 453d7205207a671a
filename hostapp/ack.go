package hostapp

import (
	"context"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// acknowledger tells edge nodes what is stored for good. It belongs to the
// goroutine of ingest.run.
type acknowledger struct {
	watch *watch.Watcher
	nodes map[int]*owed
	owing []*owed
}

// owed is what a node is to be told.
type owed struct {
	group, node string
	receipt     session.Receipt
	queued      bool // in owing
}

// stored notes how far the nodes are stored, and tells those whose turn it is.
func (a *acknowledger) stored(positions map[int]receivedAt, now int64) {
	for entity, p := range positions {
		o := a.nodes[entity]
		if o == nil {
			if a.nodes == nil {
				a.nodes = map[int]*owed{}
			}
			o = &owed{group: p.group, node: p.node}
			a.nodes[entity] = o
		}
		o.receipt.Stored(p.position)
		if !o.queued {
			o.queued = true
			a.owing = append(a.owing, o)
		}
	}
	left := a.owing[:0]
	for _, o := range a.owing {
		before := o.receipt
		if p, ok := o.receipt.Due(now); ok && !a.watch.Acknowledge(o.group, o.node, p) {
			o.receipt = before // too many wait: next time
		}
		if o.queued = o.receipt.Owed(); o.queued {
			left = append(left, o)
		}
	}
	clear(a.owing[len(left):])
	a.owing = left
}

// again has nodes born anew of which samples were dropped: they send them again.
func (a *acknowledger) again(nodes []place) {
	for _, n := range nodes {
		_ = a.watch.Rebirth(context.Background(), n.group, n.node) // one that is away will be born when it is back
	}
}
