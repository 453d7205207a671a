package modbus

import (
	"cmp"
	"slices"

	"github.com/magneto-iiot/magneto/edgenode/driver"
)

// Most items of one request.
//
// Source: MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.16.
const (
	maxRegisters      = 125
	maxBits           = 2000
	maxWriteRegisters = 123
	maxWriteBits      = 1968
)

// limits bound what one request may read.
type limits struct {
	block int // most registers
	gap   int // most unwanted registers between two wanted ones
}

// of gives the limits in the items of a table.
func (l limits) of(t table) (block, gap int) {
	if t.bits() {
		return min(16*l.block, maxBits), 16 * l.gap
	}
	return l.block, l.gap
}

// item is one tag in a plan.
type item struct {
	layout
	id   uint32
	unit byte
}

// end is the first address behind the item.
func (i item) end() int { return int(i.start) + i.width }

// plan is one request: the items that it reads, by address.
type plan struct {
	unit  byte
	table table
	start int
	count int // registers or bits
	items []item
}

// makePlan covers items, which are sorted and of one unit and table.
func makePlan(items []item) *plan {
	p := &plan{unit: items[0].unit, table: items[0].table, start: int(items[0].start), items: items}
	for _, it := range items {
		p.count = max(p.count, it.end()-p.start)
	}
	return p
}

// makePlans groups items, each no wider than a block, into requests. It sorts
// items, and the plans share its memory.
func makePlans(items []item, lim limits) []*plan {
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Or(
			cmp.Compare(a.unit, b.unit),
			cmp.Compare(a.table, b.table),
			cmp.Compare(a.start, b.start),
			cmp.Compare(a.end(), b.end()),
		)
	})
	var plans []*plan
	first, end := 0, 0
	for i, it := range items {
		if i == 0 {
			end = it.end()
			continue
		}
		head := items[first]
		block, gap := lim.of(it.table)
		if it.unit != head.unit || it.table != head.table ||
			int(it.start)-end > gap || max(end, it.end())-int(head.start) > block {
			plans = append(plans, makePlan(items[first:i:i]))
			first, end = i, it.end()
			continue
		}
		end = max(end, it.end())
	}
	if first < len(items) {
		plans = append(plans, makePlan(items[first:]))
	}
	return plans
}

// split cuts a plan in two; ok is false if it has one item only.
func (p *plan) split() (left, right *plan, ok bool) {
	mid := len(p.items) / 2
	if mid == 0 {
		return nil, nil, false
	}
	return makePlan(p.items[:mid:mid]), makePlan(p.items[mid:]), true
}

// block gives the plan to the engine.
func (p *plan) block() driver.Block {
	b := driver.Block{Unit: unitName(p.unit), Plan: p, Tags: make([]uint32, len(p.items))}
	for i, it := range p.items {
		b.Tags[i] = it.id
	}
	return b
}
