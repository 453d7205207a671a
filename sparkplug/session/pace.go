package session

// The window begins with firstWindow and is never less than leastWindow, in
// units of weight. A host acknowledges once a second at most, so an
// acknowledgement takes about a second when nothing waits: within brisk the
// window grows to four times, within good to twice its size. Longer than long
// means that messages wait somewhere on the way, live ones among them, or that
// the host does not keep up: it shrinks by half. Times are in ms, and not
// compared with the quickest so far: on a thin link that is never idle nobody
// knows how quick it could be.
const (
	firstWindow = 500
	leastWindow = 250
	mostWindow  = 1 << 24
	brisk       = 600
	good        = 1500
	long        = 3000
)

// pace adapts the window to how long the acknowledgement of a message took that
// was sent at stamp. Only what was sent after the last change tells of it.
//
// Source: the idea, delay instead of loss, is that of TCP Vegas: L. Brakmo, L.
// Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet",
// IEEE JSAC 13(8), 1995.
func (d *Delivery) pace(stamp, at int64) {
	if stamp < d.paced {
		return
	}
	took, used := at-stamp, 2*d.weight >= d.window
	switch {
	case took > long:
		d.window = max(d.window/2, leastWindow)
	case took < brisk && used:
		d.window = min(4*d.window, mostWindow)
	case took < good && used:
		d.window = min(2*d.window, mostWindow)
	default:
		return
	}
	d.paced = at
}

// Room is how much weight may be sent at once now, if at most so much may be in
// flight. It follows the acknowledgements, so that on a slow way little waits and
// what is live gets through soon; with a host that acknowledges nothing it is
// most.
func (d *Delivery) Room(most int, at int64) int {
	if d.presumes(at) {
		return most
	}
	w := min(d.window, most)
	return max(min(w-d.weight, (w+3)/4), 0)
}
