package session

import "hash/fnv"

// pause is an exponential backoff without a random source: the nth pause, n
// from 0, is lo doubled n times, at most hi, less up to half of it as the seed
// says. Nodes with different seeds spread; the same arguments give the same.
func pause(seed uint64, n int, lo, hi int64) int64 {
	p := lo
	for ; n > 0 && p < hi; n-- {
		p *= 2
	}
	p = min(p, hi)
	return p - int64(mix(seed)%uint64(p/2+1))
}

// tries counts what came to nothing, for pause. Dials that failed and sessions
// that were short are counted apart: a server that was away for long is found
// again at once when the first session with it breaks, and two clients that
// throw each other out slow down.
type tries struct {
	dials  int
	shorts int
	since  int64 // when the present session came up; 0: it is not up
	duels  int   // sessions that another client took over, without peace in between
	duelAt int64 // the last of them
}

// short is how long a session must last not to count as one, in ms.
const short = 10000

// failed counts a dial, and returns how many failed before it.
func (t *tries) failed() int {
	t.dials++
	return t.dials - 1
}

// peace is how long after a takeover the next one is not of the same duel, in ms.
const peace = 600000

// taken counts a session that another client of the same id took over, and
// returns how many were in this duel before. It is not a question of how long
// the session was: each has it as long as the other one waits.
func (t *tries) taken(at int64) int {
	if t.duelAt == 0 || at-t.duelAt >= peace {
		t.duels = 0
	}
	t.since, t.duelAt = 0, at
	t.duels++
	return t.duels - 1
}

// up says that a session came up.
func (t *tries) up(at int64) { t.dials, t.since = 0, at }

// lost counts a session that ended, and returns how many short ones went before.
func (t *tries) lost(at int64) int {
	if t.since == 0 {
		return t.failed()
	}
	if at-t.since >= short {
		t.shorts = 0
	}
	t.since = 0
	t.shorts++
	return t.shorts - 1
}

// mix is the finalizer of SplitMix64: it spreads seeds that differ in few bits.
//
// Source: S. Vigna, splitmix64.c, 2015, after G. Steele, D. Lea, C. Flood,
// "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// seedOf makes a seed of a configured one and the names of whom it is for.
func seedOf(seed uint64, names ...string) uint64 {
	h := fnv.New64a()
	for _, n := range names {
		h.Write([]byte(n))
		h.Write([]byte{'/'})
	}
	return mix(seed) ^ h.Sum64()
}

// sooner is the earlier of two deadlines, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// clock notices a wall clock that was set back, so that what waits for a
// deadline does not wait for hours.
type clock struct{ last int64 }

// back returns by how much at is before the last one: deadlines move by that.
func (c *clock) back(at int64) int64 {
	d := at - c.last
	first := c.last == 0
	c.last = at
	if first || d >= 0 {
		return 0
	}
	return d
}

// shift moves deadlines that are set by d.
func shift(d int64, deadlines ...*int64) {
	for _, t := range deadlines {
		if *t != 0 {
			*t = max(*t+d, 1)
		}
	}
}
