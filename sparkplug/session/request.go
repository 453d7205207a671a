package session

// request is a host's request for a rebirth. One is in flight at a time; it is
// an NCMD of QoS 0, so it is repeated until an NBIRTH comes.
type request struct {
	heard    bool // anything came since
	answered bool // an NBIRTH came since
	cause    Cause
	tries    int   // how often in a row
	at       int64 // when to ask, or ask again; 0: there is nothing to ask
	last     int64 // when it was last asked; 0: never
}

// want asks for a rebirth: now, or when the pause after the last request is
// over, or spread over the nodes when many are wanted at once. While a request
// is in flight there is nothing to do.
func (n *Node) want(at int64, cause Cause, fx []NodeEffect) []NodeEffect {
	r := &n.ask
	if r.at != 0 {
		return fx
	}
	r.cause = cause
	r.at = at
	quiet := at - r.last
	switch longest := n.longestPause(); {
	case r.last == 0 || quiet >= 4*longest && r.answered || quiet >= 4*n.host.cfg.RebirthMax:
		// A node that was well for a while starts anew; one that needs a rebirth
		// right after each does not, or the two would never come to rest.
		r.tries = 0
	case quiet < longest:
		r.at = r.last + longest
	}
	if cause == CauseNoBirth || cause == CauseHostLost {
		r.at += n.spread()
	}
	if r.at > at {
		return fx
	}
	return n.askNow(at, fx)
}

// wantLater has a rebirth asked for unless one comes by itself: nodes that wait
// for their primary host are born as soon as it is there.
func (n *Node) wantLater(at int64, cause Cause) {
	if n.ask.at == 0 {
		n.ask.cause, n.ask.tries = cause, 0
		n.ask.at = at + n.host.cfg.RebirthMin + n.spread()
	}
}

// wantNow asks for a rebirth whatever was asked before.
func (n *Node) wantNow(at int64, cause Cause, fx []NodeEffect) []NodeEffect {
	n.ask.cause = cause
	if n.ask.at == 0 {
		n.ask.tries = 0
	}
	n.ask.heard = true
	return n.askNow(at, fx)
}

// askAgain is due when no NBIRTH came. A node that has been silent since is
// not asked for ever: the next message from it starts anew.
func (n *Node) askAgain(at int64, fx []NodeEffect) []NodeEffect {
	if n.ask.tries >= n.host.cfg.RebirthTries && !n.ask.heard {
		n.ask.at = 0
		return fx
	}
	return n.askNow(at, fx)
}

func (n *Node) askNow(at int64, fx []NodeEffect) []NodeEffect {
	r := &n.ask
	r.tries++
	r.last, r.answered, r.heard = at, false, false
	r.at = at + pause(n.seed+uint64(r.tries), r.tries-1, n.host.cfg.RebirthMin, n.host.cfg.RebirthMax)
	return append(fx, NodeEffect{Do: NodeDoAskRebirth, Cause: r.cause, At: at, Tries: r.tries})
}

// reborn says that an NBIRTH came.
func (r *request) reborn() { r.at, r.answered = 0, true }

// longestPause is the pause after the last request, without jitter.
func (n *Node) longestPause() int64 {
	p := n.host.cfg.RebirthMin
	for i := 1; i < n.ask.tries && p < n.host.cfg.RebirthMax; i++ {
		p *= 2
	}
	return min(p, n.host.cfg.RebirthMax)
}

func (n *Node) spread() int64 {
	if n.host.cfg.RebirthSpread <= 0 {
		return 0
	}
	return int64(mix(n.seed) % uint64(n.host.cfg.RebirthSpread))
}
