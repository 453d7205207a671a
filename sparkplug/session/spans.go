package session

import (
	"slices"
	"sort"
)

// Span is a run of positions in a spool: From and what follows, before To.
type Span struct{ From, To uint64 }

// Len is how many positions s has.
func (s Span) Len() uint64 { return s.To - s.From }

// Spans is a set of positions: runs in order that do not touch.
type Spans []Span

// Add returns the set with the positions of one more run. It changes s.
func (s Spans) Add(a Span) Spans {
	if a.From >= a.To {
		return s
	}
	if n := len(s); n > 0 && s[n-1].To == a.From { // the next one, as a rule
		s[n-1].To = a.To
		return s
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].To >= a.From })
	j := i
	for ; j < len(s) && s[j].From <= a.To; j++ {
		a.From, a.To = min(a.From, s[j].From), max(a.To, s[j].To)
	}
	return slices.Replace(s, i, j, a)
}

// Remove returns the set without the positions of a run. It changes s.
func (s Spans) Remove(a Span) Spans {
	if a.From >= a.To {
		return s
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].To > a.From })
	j := i
	var rest []Span
	for ; j < len(s) && s[j].From < a.To; j++ {
		if s[j].From < a.From {
			rest = append(rest, Span{s[j].From, a.From})
		}
		if s[j].To > a.To {
			rest = append(rest, Span{a.To, s[j].To})
		}
	}
	return slices.Replace(s, i, j, rest...)
}

// Has says whether a position is in the set.
func (s Spans) Has(pos uint64) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].To > pos })
	return i < len(s) && s[i].From <= pos
}

// gap returns the first run at or after a position that is not in the set; its
// end is at most limit.
func (s Spans) gap(from, limit uint64) Span {
	i := sort.Search(len(s), func(i int) bool { return s[i].To > from })
	if i < len(s) && s[i].From <= from {
		from = s[i].To
		i++
	}
	if i < len(s) {
		limit = min(limit, s[i].From)
	}
	return Span{from, max(from, limit)}
}

// bound forgets the shortest runs of a set that has more than most.
func (s Spans) bound(most int) Spans {
	for len(s) > most {
		shortest := 0
		for i := range s {
			if s[i].Len() < s[shortest].Len() {
				shortest = i
			}
		}
		s = slices.Delete(s, shortest, shortest+1)
	}
	return s
}
