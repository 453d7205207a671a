package session

// stop ends the session by itself.
//
// Spec: tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath.
func (e *Edge) stop(fx []EdgeEffect) []EdgeEffect {
	switch {
	case e.phase == Stopping:
		return fx
	case e.phase == Connecting:
		e.phase = Stopping
		return append(fx, EdgeEffect{Do: EdgeCancel, Session: e.session})
	case e.linked():
		fx = e.leave(fx)
	}
	return e.stopped(fx)
}

func (e *Edge) stopped(fx []EdgeEffect) []EdgeEffect {
	e.phase, e.deadline = Idle, 0
	e.said.clear()
	return append(fx, EdgeEffect{Do: EdgeStopped})
}

// leave ends the present connection with a death.
//
// Spec: tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt311,
// tck-id-payloads-ndeath-will-message-publisher-disconnect-mqtt50.
func (e *Edge) leave(fx []EdgeEffect) []EdgeEffect {
	if e.phase == Online && !e.cfg.NoDeviceDeaths {
		for _, d := range e.devices {
			if d.born {
				fx = e.message(fx, EdgeDDeath, d.name)
			}
		}
	}
	e.end()
	if e.cfg.MQTT5 {
		return append(fx, EdgeEffect{Do: EdgeAbandon, BdSeq: e.bdSeq, Session: e.session})
	}
	return append(fx,
		EdgeEffect{Do: EdgeNDeath, BdSeq: e.bdSeq},
		EdgeEffect{Do: EdgeDisconnect, Session: e.session})
}

// end forgets what was true of the connection only.
func (e *Edge) end() {
	e.owed, e.asked, e.deadline = 0, 0, 0
	for _, d := range e.devices {
		d.born = false
	}
}

// walk goes on to the next server, at once but for a small pause that spreads
// a fleet, and slower with each round that found the host nowhere.
//
// Spec: tck-id-operational-behavior-primary-application-state-with-multiple-servers-walk.
func (e *Edge) walk(at int64, fx []EdgeEffect) []EdgeEffect {
	const longest = 5000 // ms: a host that came back is found soon
	n := e.walks / e.cfg.Servers
	e.walks++
	e.server = (e.server + 1) % e.cfg.Servers
	e.backoff(at, n, max(min(longest, e.cfg.BackoffMax), e.cfg.BackoffMin))
	return fx
}

func (e *Edge) backoff(at int64, n int, longest int64) {
	e.phase = Backoff
	e.deadline = at + pause(e.seed+uint64(e.session), n, e.cfg.BackoffMin, longest)
}
