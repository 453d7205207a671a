package session_test

import (
	"fmt"
	"slices"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// pair is two views of one node with the same events: one by Step alone, one
// by Data where that takes the message.
type pair struct {
	stepped, quick *session.Node
	slots          []uint32
	fx             []session.NodeEffect
	taken          int // by Data
}

func newPair(cfg session.HostConfig) *pair {
	return &pair{
		stepped: session.NewHost(cfg).NewNode("g", "n"),
		quick:   session.NewHost(cfg).NewNode("g", "n"),
	}
}

// step gives ev to both and returns the effects of Step. It is an error if they
// differ afterwards, or if Data took what Step does more for.
func (p *pair) step(ev session.NodeEvent, fx []session.NodeEffect) ([]session.NodeEffect, error) {
	var took bool
	var copied sparkplug.Payload
	if ev.Payload != nil {
		copied = ev.Payload.Clone()
		took = p.data(ev, &copied)
	}
	if !took {
		again := ev
		if ev.Payload != nil {
			untouched := ev.Payload.Clone()
			again.Payload = &untouched
		}
		p.fx = p.quick.Step(again, p.fx[:0])
	}
	fx = p.stepped.Step(ev, fx)
	if took {
		p.taken++
		if len(fx) != 1 || fx[0].Do != session.NodeDoData || !slices.Equal(fx[0].Slots, p.slots) || !copied.Equal(ev.Payload) {
			return fx, fmt.Errorf("Data took %+v into slots %v, Step says %+v", copied, p.slots, fx)
		}
	}
	if a, b := view(p.stepped), view(p.quick); a != b {
		return fx, fmt.Errorf("after %+v: by Step %s, by Data %s", ev, a, b)
	}
	return fx, nil
}

func (p *pair) data(ev session.NodeEvent, m *sparkplug.Payload) bool {
	shape := p.quick.Shape()
	if ev.Device != "" {
		shape, _ = p.quick.Device(ev.Device)
	}
	if ev.Kind != session.NodeMessage || shape == nil ||
		!(ev.Type == sparkplug.NDATA && ev.Device == "" || ev.Type == sparkplug.DDATA && ev.Device != "") {
		return false
	}
	p.slots = make([]uint32, len(m.Metrics))
	return shape.Resolve(m.Metrics, p.slots) && p.quick.Data(ev.At, ev.Device, m, shape)
}

func view(n *session.Node) string {
	return fmt.Sprint(n.State(), n.InOrder(), n.BdSeq(), n.Count(), n.Deadline())
}
