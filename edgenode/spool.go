package edgenode

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// backlog is what a device could not tell yet, and what it told so recently
// that nobody knows whether it arrived. Both are oldest first. Its zero value
// is empty.
type backlog struct {
	waiting fifo
	sent    fifo
	marks   []mark
	mixed   bool // waiting is not in order
}

// mark says when the next n of the sent ones were sent, ms.
type mark struct {
	at int64
	n  int
}

// hold keeps a report until the next birth.
func (b *backlog) hold(r report) { b.waiting.push(r) }

// told keeps reports that were published at that time, and forgets those that
// were published before since.
func (b *backlog) told(reports []report, at, since int64) {
	for _, r := range reports {
		b.sent.push(r)
	}
	b.marks = append(b.marks, mark{at, len(reports)})
	drop := 0
	for ; drop < len(b.marks) && b.marks[drop].at < since; drop++ {
		for range b.marks[drop].n {
			b.sent.pop()
		}
	}
	b.marks = slices.Delete(b.marks, 0, drop)
}

// forget drops the oldest that was sent; there must be one.
func (b *backlog) forget() {
	b.sent.pop()
	if b.marks[0].n--; b.marks[0].n == 0 {
		b.marks = slices.Delete(b.marks, 0, 1)
	}
}

// rewind makes everything that was sent recently wait again. It returns how
// much that is.
func (b *backlog) rewind() int {
	n := b.sent.len()
	if n > 0 {
		all := b.sent.drain(nil)
		b.mixed = b.mixed || b.waiting.len() > 0
		for _, r := range b.waiting.drain(all) {
			b.waiting.push(r)
		}
		b.marks = b.marks[:0]
	}
	b.sort()
	return n
}

// sort brings what waits in order again.
func (b *backlog) sort() {
	if !b.mixed {
		return
	}
	all := b.waiting.drain(nil)
	slices.SortStableFunc(all, func(x, y report) int { return cmp.Compare(x.time, y.time) })
	for _, r := range all {
		b.waiting.push(r)
	}
	b.mixed = false
}

// inherit takes over what another holds; slot maps its slots to ours, -1 to
// none. It returns how many reports have no place any more.
func (b *backlog) inherit(old *backlog, slot []int64) (lost int) {
	old.rewind()
	for old.waiting.len() > 0 {
		r := old.waiting.pop()
		if slot[r.slot] < 0 {
			lost++
			continue
		}
		r.slot = uint32(slot[r.slot])
		b.hold(r)
	}
	return lost
}

// bytes is about what the backlog takes in memory.
func (b *backlog) bytes() int64 { return b.waiting.bytes + b.sent.bytes }

// fifo is a queue of reports in a ring that grows. Its zero value is empty.
type fifo struct {
	ring  []report
	head  int
	n     int
	bytes int64
}

func (f *fifo) len() int { return f.n }

func cost(r *report) int64 {
	return int64(unsafe.Sizeof(*r)) + int64(weight(r.value))
}

// weight is about how much a value takes beyond a number, in bytes.
func weight(v sparkplug.Value) int {
	n := len(v.Str()) + len(v.Raw())
	if d := v.DataSet(); d != nil {
		for _, c := range d.Columns {
			n += 40 + len(c)
		}
		for _, cell := range d.Rows {
			n += 24 + weight(cell)
		}
	}
	return n
}

func (f *fifo) push(r report) {
	if f.n == len(f.ring) {
		bigger := make([]report, max(64, 2*f.n))
		copy(bigger, f.ring[f.head:])
		copy(bigger[len(f.ring)-f.head:], f.ring[:f.head])
		f.ring, f.head = bigger, 0
	}
	f.ring[(f.head+f.n)%len(f.ring)] = r
	f.n++
	f.bytes += cost(&r)
}

// front is the oldest report; the queue must not be empty.
func (f *fifo) front() *report { return &f.ring[f.head] }

// pop removes the oldest report; the queue must not be empty.
func (f *fifo) pop() report {
	r := f.ring[f.head]
	f.ring[f.head] = report{}
	f.head = (f.head + 1) % len(f.ring)
	f.n--
	f.bytes -= cost(&r)
	if f.n == 0 && len(f.ring) > 4096 {
		f.ring, f.head = nil, 0 // give the memory back
	}
	return r
}

// drain moves everything to dst.
func (f *fifo) drain(dst []report) []report {
	for f.n > 0 {
		dst = append(dst, f.pop())
	}
	return dst
}
