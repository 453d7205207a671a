package world

import "container/heap"

// event is something that happens at a time; those of one time in the order
// they were planned.
type event struct {
	at    int64
	order uint64
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}

// clock is virtual time, ms.
type clock struct {
	now    int64
	order  uint64
	events events
}

// at plans something; what lies in the past happens now.
func (c *clock) at(when int64, do func()) {
	c.order++
	heap.Push(&c.events, event{max(when, c.now), c.order, do})
}

func (c *clock) after(ms int64, do func()) { c.at(c.now+ms, do) }

// run lets everything happen up to a time.
func (c *clock) run(until int64) {
	for len(c.events) > 0 && c.events[0].at <= until {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		e.do()
	}
	c.now = until
}
