package watch

import "container/heap"

// timers are the nodes that wait for a tick, the soonest first.
type timers []*node

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due < t[j].due }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i, j
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	n := x.(*node)
	n.place = len(*t)
	*t = append(*t, n)
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	old := *t
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	n.place = -1
	return n
}

// schedule puts n where its deadline belongs.
func (t *timers) schedule(n *node, due int64) {
	if due == n.due {
		return
	}
	n.due = due
	switch {
	case due == 0:
		heap.Remove(t, n.place)
	case n.place < 0:
		heap.Push(t, n)
	default:
		heap.Fix(t, n.place)
	}
}
