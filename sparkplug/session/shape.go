package session

import (
	"hash/maphash"
	"strings"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// NoSlot stands for a metric that has no place in a Shape.
const NoSlot = ^uint32(0)

// Def is what a birth says of one metric once and for all: everything but its
// value, its time and its Quality property.
type Def struct {
	Name       string
	Alias      uint64
	Properties *sparkplug.PropertySet // without PropQuality; nil if there is no other
	Type       sparkplug.DataType
	HasAlias   bool
	Transient  bool
}

// Shape is the list of metrics of one NBIRTH or DBIRTH. It never changes, so
// any goroutine may read it, and nodes with the same birth share it.
//
// A metric's place in the Shape is its slot: who keeps values (hostapp/watch)
// keeps a slice of Len() values a node or device, indexed by
// NodeEffect.Slots, and looks up names, types and properties here. When a
// birth comes whose Shape is the same pointer as before, the slice can stay;
// when it is another, values move over by name.
type Shape struct {
	defs   []Def
	types  []sparkplug.DataType // of defs
	first  uint64               // lowest alias
	last   uint64               // highest alias
	dense  []uint32             // slot of first+i; nil when aliases lie too far apart
	sparse map[uint64]uint32    // slot of an alias, then
	names  []uint32             // hash table of slots, a power of two long, at most 3/4 full
	seed   maphash.Seed         // of names

	hash uint64 // these two belong to Shapes
	refs int
}

// Len is the number of metrics.
func (s *Shape) Len() int { return len(s.defs) }

// Def returns the metric of a slot, which must be below Len. The caller must
// not change it.
func (s *Shape) Def(slot uint32) *Def { return &s.defs[slot] }

// ByAlias returns the slot of an alias, or NoSlot.
func (s *Shape) ByAlias(alias uint64) uint32 {
	if i := alias - s.first; i < uint64(len(s.dense)) {
		return s.dense[i]
	}
	if slot, ok := s.sparse[alias]; ok {
		return slot
	}
	return NoSlot
}

// ByName returns the slot of a name, or NoSlot.
func (s *Shape) ByName(name string) uint32 {
	mask := uint64(len(s.names) - 1)
	for i := maphash.String(s.seed, name) & mask; ; i = (i + 1) & mask {
		slot := s.names[i]
		if slot == NoSlot || s.defs[slot].Name == name {
			return slot
		}
	}
}

// HasAliases says whether any metric has an alias.
func (s *Shape) HasAliases() bool { return s.dense != nil || s.sparse != nil }

// slot resolves a metric of a DATA message: its name where there is one.
func (s *Shape) slot(m *sparkplug.Metric) uint32 {
	if m.Name == "" {
		if !m.HasAlias {
			return NoSlot
		}
		return s.ByAlias(m.Alias)
	}
	if m.HasAlias {
		if slot := s.ByAlias(m.Alias); slot != NoSlot && s.defs[slot].Name == m.Name {
			return slot
		}
	}
	return s.ByName(m.Name)
}

// birthFaults counts what was wrong with the metrics of a birth.
type birthFaults struct{ noName, sameName, sameAlias int }

func (f birthFaults) any() bool { return f != birthFaults{} }

// newShape builds the Shape of a birth, which shares no memory with metrics.
// A metric without a name is left out; one whose name was had already shares
// its slot; an alias that was had already belongs to the first.
func newShape(metrics []sparkplug.Metric, seed maphash.Seed) (*Shape, birthFaults) {
	s := &Shape{defs: make([]Def, 0, len(metrics)), seed: seed}
	size := 4
	for size*3/4 < len(metrics) {
		size *= 2
	}
	s.names = make([]uint32, size)
	for i := range s.names {
		s.names[i] = NoSlot
	}
	var faults birthFaults
	text := copyNames(metrics)
	for i := range metrics {
		m := &metrics[i]
		if m.Name == "" {
			faults.noName++
			continue
		}
		name := text[:len(m.Name)]
		text = text[len(m.Name):]
		if !s.enter(name, uint32(len(s.defs))) {
			faults.sameName++
			continue
		}
		s.defs = append(s.defs, Def{
			Name: name, Alias: m.Alias, HasAlias: m.HasAlias, Type: m.Value.Type(),
			Transient: m.Transient, Properties: s.properties(m.Properties),
		})
	}
	s.types = make([]sparkplug.DataType, len(s.defs))
	for i := range s.defs {
		s.types[i] = s.defs[i].Type
	}
	faults.sameAlias = s.enterAliases(metrics, faults.sameName > 0)
	return s, faults
}

// copyNames copies all names into one string.
func copyNames(metrics []sparkplug.Metric) string {
	n := 0
	for i := range metrics {
		n += len(metrics[i].Name)
	}
	var b strings.Builder
	b.Grow(n)
	for i := range metrics {
		b.WriteString(metrics[i].Name)
	}
	return b.String()
}

// enter puts a name into the table; it is false when the name is there.
func (s *Shape) enter(name string, slot uint32) bool {
	mask := uint64(len(s.names) - 1)
	i := maphash.String(s.seed, name) & mask
	for ; s.names[i] != NoSlot; i = (i + 1) & mask {
		if s.defs[s.names[i]].Name == name {
			return false
		}
	}
	s.names[i] = slot
	return true
}

// properties copies a set, or shares that of the metric before if it is the same.
func (s *Shape) properties(p *sparkplug.PropertySet) *sparkplug.PropertySet {
	if p == nil {
		return nil
	}
	if n := len(s.defs); n > 0 && s.defs[n-1].Properties != nil && sameProperties(s.defs[n-1].Properties, p) {
		return s.defs[n-1].Properties
	}
	var kept sparkplug.PropertySet
	for i, k := range p.Keys {
		if k != sparkplug.PropQuality {
			kept.Keys = append(kept.Keys, k)
			kept.Values = append(kept.Values, p.Values[i])
		}
	}
	if len(kept.Keys) == 0 {
		return nil
	}
	return kept.Clone()
}

// enterAliases builds the table of aliases, and returns how many were had
// already. It is dense unless aliases lie so far apart that most of it would
// be empty. repeats says that some metrics share a slot by their name.
func (s *Shape) enterAliases(metrics []sparkplug.Metric, repeats bool) (same int) {
	n := uint64(0)
	for i := range metrics {
		if m := &metrics[i]; m.HasAlias && m.Name != "" {
			if n == 0 {
				s.first, s.last = m.Alias, m.Alias
			}
			s.first, s.last = min(s.first, m.Alias), max(s.last, m.Alias)
			n++
		}
	}
	switch {
	case n == 0:
		return 0
	case s.last-s.first < 4*n+64:
		s.dense = make([]uint32, s.last-s.first+1)
		for i := range s.dense {
			s.dense[i] = NoSlot
		}
	default:
		s.sparse = make(map[uint64]uint32, n)
	}
	slot := uint32(0)
	for i := range metrics {
		m := &metrics[i]
		if m.Name == "" {
			continue
		}
		at := slot
		if repeats {
			at = s.ByName(m.Name)
		}
		if m.HasAlias && !s.enterAlias(m.Alias, at) {
			same++
		}
		slot++
	}
	return same
}

func (s *Shape) enterAlias(alias uint64, slot uint32) bool {
	if had := s.ByAlias(alias); had != NoSlot {
		return had == slot
	}
	if s.dense != nil {
		s.dense[alias-s.first] = slot
	} else {
		s.sparse[alias] = slot
	}
	return true
}

// shared counts the aliases that both shapes use. Aliases are unique in a
// node, so that of two shapes of one node there should be none.
//
// Spec: tck-id-payloads-alias-uniqueness.
func (s *Shape) shared(o *Shape) (n int) {
	if s == o || !s.HasAliases() || !o.HasAliases() || s.last < o.first || o.last < s.first {
		return 0
	}
	for i := range s.defs {
		if d := &s.defs[i]; d.HasAlias && o.ByAlias(d.Alias) != NoSlot {
			n++
		}
	}
	return n
}
