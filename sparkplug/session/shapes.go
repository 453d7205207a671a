package session

import (
	"hash/maphash"
	"math/bits"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// Shapes shares one Shape among all births that are alike, so that a thousand
// nodes of one make cost the names of one. It belongs to one goroutine at a
// time; the Shapes it gives out may be read by all.
type Shapes struct {
	seed maphash.Seed
	rows map[uint64][]*Shape // by hash of the content
	n    int
}

// NewShapes returns an empty table.
func NewShapes() *Shapes {
	return &Shapes{seed: maphash.MakeSeed(), rows: make(map[uint64][]*Shape)}
}

// Len is the number of different shapes in use.
func (t *Shapes) Len() int { return t.n }

// take returns the Shape of a birth, to be given back with drop. A birth with
// faults gets one of its own. Metrics are not kept.
func (t *Shapes) take(metrics []sparkplug.Metric) (*Shape, birthFaults) {
	h := t.hash(metrics)
	for _, s := range t.rows[h] {
		if s.describes(metrics) {
			s.refs++
			return s, birthFaults{}
		}
	}
	s, faults := newShape(metrics, t.seed)
	s.hash, s.refs = h, 1
	if !faults.any() {
		t.rows[h] = append(t.rows[h], s)
		t.n++
	}
	return s, faults
}

// drop gives back what take returned; nil is nothing.
func (t *Shapes) drop(s *Shape) {
	if s == nil {
		return
	}
	if s.refs--; s.refs > 0 {
		return
	}
	row := t.rows[s.hash]
	for i := range row {
		if row[i] == s {
			row[i] = row[len(row)-1]
			row[len(row)-1] = nil
			row = row[:len(row)-1]
			t.n--
			break
		}
	}
	if len(row) == 0 {
		delete(t.rows, s.hash)
	} else {
		t.rows[s.hash] = row
	}
}

// hash is over all that describes compares; equal births have equal hashes.
func (t *Shapes) hash(metrics []sparkplug.Metric) uint64 {
	h := uint64(len(metrics))
	for i := range metrics {
		m := &metrics[i]
		h = mix(h ^ maphash.String(t.seed, m.Name))
		if m.HasAlias {
			h = mix(h ^ m.Alias)
		}
		h = bits.RotateLeft64(h, 8) ^ uint64(m.Value.Type())
		if m.Properties != nil {
			h ^= t.hashProperties(m.Properties)
		}
	}
	return h
}

func (t *Shapes) hashProperties(p *sparkplug.PropertySet) uint64 {
	h := uint64(1)
	for i, k := range p.Keys {
		if k == sparkplug.PropQuality {
			continue
		}
		h = mix(h ^ maphash.String(t.seed, k))
		if v := p.Values[i].Value; v.Type().Textual() {
			h = mix(h ^ maphash.String(t.seed, v.Str()))
		} else if v.Type().Numeric() || v.Type() == sparkplug.TypeBoolean {
			h = mix(h ^ v.Uint())
		}
	}
	if h == 1 {
		return 0 // nothing but its quality: as if it had none
	}
	return h
}

// describes says whether s, which has no faults, is the Shape of metrics.
func (s *Shape) describes(metrics []sparkplug.Metric) bool {
	if len(s.defs) != len(metrics) {
		return false
	}
	for i := range metrics {
		m, d := &metrics[i], &s.defs[i]
		if m.Name != d.Name || m.HasAlias != d.HasAlias || m.HasAlias && m.Alias != d.Alias ||
			m.Value.Type() != d.Type || m.Transient != d.Transient ||
			!sameProperties(d.Properties, m.Properties) {
			return false
		}
	}
	return true
}

// sameProperties compares a set without quality to one with or without.
func sameProperties(kept, p *sparkplug.PropertySet) bool {
	n := 0
	if p != nil {
		for i, k := range p.Keys {
			if k == sparkplug.PropQuality {
				continue
			}
			if kept == nil || n == len(kept.Keys) || kept.Keys[n] != k || !sameProperty(&kept.Values[n], &p.Values[i]) {
				return false
			}
			n++
		}
	}
	return kept == nil || n == len(kept.Keys)
}

func sameProperty(a, b *sparkplug.Property) bool {
	if !a.Value.Equal(b.Value) || !a.Set.Equal(b.Set) || len(a.List) != len(b.List) {
		return false
	}
	for i := range a.List {
		if !a.List[i].Equal(b.List[i]) {
			return false
		}
	}
	return true
}
