package watch

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// The births of a watcher on disk: a header, and a record for each node. A
// record is its length (4 bytes, little-endian, of what follows the checksum),
// the CRC-32C of that (4 bytes), a line of JSON and the payloads that it tells
// the lengths of: that of the node, then those of its devices.
const savedMagic = "magneto births 1\n"

// maxSaved bounds a record, in bytes.
const maxSaved = 256 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// savedNode is the line of JSON.
type savedNode struct {
	Group   string        `json:"group"`
	Node    string        `json:"node"`
	BdSeq   uint64        `json:"bdseq"`
	Next    uint8         `json:"next"`
	Stamp   int64         `json:"stamp"`
	Applied int64         `json:"applied"`
	Count   uint64        `json:"count"`
	BirthAt int64         `json:"birth_at"`
	StaleAt int64         `json:"stale_at"`
	Number  uint64        `json:"number,omitempty"`
	AckHost string        `json:"ack_host,omitempty"`
	Own     int           `json:"own"` // bytes
	Devices []savedDevice `json:"devices"`
}

type savedDevice struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Save writes the births of the nodes that were in order when their connection
// ended, with the values they have now, and says how many. Call it after Run.
func (w *Watcher) Save(out io.Writer) (nodes int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := bufio.NewWriterSize(out, 1<<16)
	if _, err := b.WriteString(savedMagic); err != nil {
		return 0, err
	}
	for _, n := range w.order {
		s, ok := n.machine.Save()
		if !ok || n.own.shape == nil {
			continue
		}
		record, err := n.saved(&s)
		if err != nil {
			return nodes, fmt.Errorf("watch: save %s/%s: %w", n.group, n.name, err)
		}
		head := binary.LittleEndian.AppendUint32(nil, uint32(len(record)))
		head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(record, castagnoli))
		if _, err := b.Write(append(head, record...)); err != nil {
			return nodes, err
		}
		nodes++
	}
	return nodes, b.Flush()
}

func (n *node) saved(s *session.Saved) ([]byte, error) {
	head := savedNode{
		Group: n.group, Node: n.name, BdSeq: s.BdSeq, Next: s.Next, Stamp: s.Stamp, Applied: s.Applied, Count: s.Count,
		BirthAt: n.birthAt, StaleAt: n.own.staleAt, Number: s.Number, AckHost: s.AckHost,
	}
	own, err := n.own.birth()
	if err != nil {
		return nil, err
	}
	head.Own = len(own)
	payloads := [][]byte{own}
	for _, d := range s.Devices {
		e := n.devices[d.Name]
		if e == nil || e.shape == nil {
			continue
		}
		b, err := e.birth()
		if err != nil {
			return nil, err
		}
		head.Devices = append(head.Devices, savedDevice{d.Name, len(b)})
		payloads = append(payloads, b)
	}
	line, err := json.Marshal(&head)
	if err != nil {
		return nil, err
	}
	return append(append(line, '\n'), bytes.Join(payloads, nil)...), nil
}

// birth is the payload of a birth that would tell what e has now.
func (e *entity) birth() ([]byte, error) {
	var p sparkplug.Payload
	for i := range e.slots {
		d, s := e.shape.Def(uint32(i)), &e.slots[i]
		m := sparkplug.Metric{
			Name: d.Name, Alias: d.Alias, HasAlias: d.HasAlias, Transient: d.Transient,
			Value: e.value(uint32(i)), Timestamp: e.time(s), HasTimestamp: true, Properties: e.properties(uint32(i)),
		}
		if q := s.quality(); s.meta&slotKnown != 0 && q != sparkplug.QualityGood {
			m.Properties = withQuality(m.Properties, q)
		}
		p.Metrics = append(p.Metrics, m)
	}
	return p.Append(nil)
}

func withQuality(s *sparkplug.PropertySet, q uint16) *sparkplug.PropertySet {
	out := &sparkplug.PropertySet{}
	if s != nil {
		out.Keys, out.Values = append(out.Keys, s.Keys...), append(out.Values, s.Values...)
	}
	out.Keys = append(out.Keys, sparkplug.PropQuality)
	out.Values = append(out.Values, sparkplug.Property{Value: sparkplug.Int(sparkplug.TypeInt32, int64(q))})
	return out
}

// errSaved says that what follows cannot be read.
var errSaved = errors.New("watch: the saved births are damaged or incomplete")

// Load makes the nodes known that Save wrote, and says how many. Their state is
// Unknown, with values that are stale, until they speak: one that goes on where
// it was comes back with a Birth of the values it had; one that does not, or is
// silent for half a minute, is asked for a rebirth. After damage the rest is
// left out, with an error. Call it before Run.
func (w *Watcher) Load(in io.Reader) (nodes int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := bufio.NewReaderSize(in, 1<<16)
	magic := make([]byte, len(savedMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != savedMagic {
		return 0, errSaved
	}
	head := make([]byte, 8)
	for {
		switch _, err := io.ReadFull(r, head); {
		case err == io.EOF:
			return nodes, nil
		case err != nil:
			return nodes, errSaved
		}
		n := binary.LittleEndian.Uint32(head)
		if n > maxSaved {
			return nodes, errSaved
		}
		record, err := io.ReadAll(io.LimitReader(r, int64(n)))
		if err != nil || len(record) != int(n) || crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return nodes, errSaved
		}
		ok, err := w.restore(record)
		if err != nil {
			return nodes, err
		}
		if ok {
			nodes++
		}
	}
}

// restore makes one node known; ok is false when a limit forbids it.
func (w *Watcher) restore(record []byte) (ok bool, err error) {
	line, rest, _ := bytes.Cut(record, []byte("\n"))
	var head savedNode
	if err := json.Unmarshal(line, &head); err != nil || !sparkplug.ValidID(head.Group) || !sparkplug.ValidID(head.Node) {
		return false, errSaved
	}
	own, rest, err := w.births(rest, head.Own)
	if err != nil {
		return false, err
	}
	s := session.Saved{BdSeq: head.BdSeq, Next: head.Next, Stamp: head.Stamp, Applied: head.Applied, Count: head.Count, Number: head.Number, AckHost: head.AckHost, Metrics: own.Metrics}
	payloads := make([]sparkplug.Payload, len(head.Devices))
	for i, d := range head.Devices {
		if payloads[i], rest, err = w.births(rest, d.Bytes); err != nil || !sparkplug.ValidID(d.Name) {
			return false, errSaved
		}
		s.Devices = append(s.Devices, session.SavedDevice{Name: d.Name, Metrics: payloads[i].Metrics})
	}
	t := sparkplug.Topic{Group: head.Group, Node: head.Node}
	if w.nodes[nodeID{t.Group, t.Node}] != nil {
		return false, nil // it is there already
	}
	r, ok := w.route(w.absent, t)
	if !ok {
		return false, nil
	}
	n := r.node
	n.machine.Restore(&s)
	n.birthAt = head.BirthAt
	w.declare(n, &n.own, &own, head.StaleAt)
	for i, d := range head.Devices {
		t.Device = d.Name
		if r, ok := w.route(w.absent, t); ok {
			w.declare(n, r.entity, &payloads[i], head.StaleAt)
		}
	}
	return true, nil
}

func (w *Watcher) births(b []byte, size int) (p sparkplug.Payload, rest []byte, err error) {
	if size < 0 || size > len(b) {
		return p, nil, errSaved
	}
	if err := p.DecodeLimits(b[:size], w.cfg.Limits); err != nil {
		return p, nil, errors.Join(errSaved, err)
	}
	return p, b[size:], nil
}

// declare gives an entity the stale values of a saved birth.
func (w *Watcher) declare(n *node, e *entity, p *sparkplug.Payload, staleAt int64) {
	shape := n.machine.Shape()
	if e != &n.own {
		shape, _ = n.machine.Device(e.device)
	}
	if shape == nil || !w.roomFor(n, e, len(p.Metrics), sparkplug.NBIRTH) {
		return
	}
	e.declare(shape)
	n.metrics += len(e.slots)
	w.stats.Metrics += len(e.slots)
	slots := make([]uint32, len(p.Metrics))
	for i := range slots {
		slots[i] = uint32(i)
	}
	samples := w.stats.Samples
	w.store(e, p.Metrics, slots, staleAt)
	w.stats.Samples = samples
	e.staleAt, e.changedAt = max(staleAt, 1), staleAt
}

// resume puts a restored node, and its devices that were, online with the
// values that they had.
func (w *Watcher) resume(n *node, now int64) {
	w.resumed(n, &n.own, now)
	for _, e := range n.sorted() {
		if _, online := n.machine.Device(e.device); online {
			w.resumed(n, e, now)
		}
	}
	w.cfg.Log.Debug("edge node goes on where it was", "group", n.group, "node", n.name)
}

func (w *Watcher) resumed(n *node, e *entity, now int64) {
	if e.shape == nil {
		return
	}
	w.turn(e, Online, now)
	e.staleAt = 0
	samples := make([]Sample, len(e.slots))
	for i := range e.slots {
		s := &e.slots[i]
		samples[i] = Sample{Index: i, Value: e.value(uint32(i)), Time: e.time(s), Quality: s.quality(), Transient: e.shape.Def(uint32(i)).Transient}
	}
	w.updates = append(w.updates, Update{
		Kind: Birth, Again: true, Group: n.group, Node: n.name, Device: e.device,
		Entity: int(e.id), NodeEntity: int(n.own.id), Shape: e.shape,
		Received: now, Sent: now - n.skew, BdSeq: n.machine.BdSeq(), Samples: samples,
	})
}
