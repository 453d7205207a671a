package monitor

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// The states of an asset.
const (
	Online  = "ONLINE"  // born, and heard of
	Stale   = "STALE"   // born, and not heard of any more
	Offline = "OFFLINE" // dead
	Unknown = "UNKNOWN" // not heard of since this began
)

// Cause is what happened to an asset.
type Cause string

// The causes. Those of a device are its own births and deaths, and the deaths of its
// node; a birth of the node says nothing of a device.
const (
	NBirth  Cause = "NBIRTH"
	DBirth  Cause = "DBIRTH"
	NDeath  Cause = "NDEATH"
	DDeath  Cause = "DDEATH"
	Lost    Cause = "lost"    // the host can not tell any more: its connection, or a sequence number, is lost
	Data    Cause = "data"    // it was heard of
	Silence Cause = "timeout" // it was not, for too long; not an input
	Passed  Cause = "tick"    // time has passed; never told
)

// Signal is one thing that happened.
type Signal struct {
	At    time.Time
	Cause Cause
	BdSeq uint64 // of births and NDeath: that of the node's session
}

// PresenceRule says how an asset's state is made. Its zero value works.
type PresenceRule struct {
	Silence  Duration `json:"silence,omitempty"`  // an online asset not heard of for this long is stale; 0: never
	Debounce Duration `json:"debounce,omitempty"` // a state other than the one told is told once this has passed
}

// Check finds everything that is wrong with r, as Rule.Check does.
func (r PresenceRule) Check() error {
	var f faults
	f.within("silence", r.Silence, 0, MaxAfter)
	f.within("debounce", r.Debounce, 0, MaxDelay)
	return f.err()
}

// Presence is whether an asset is online, to be kept as JSON. See NewPresence.
type Presence struct {
	State string    `json:"state"` // as it is
	Cause Cause     `json:"cause"`
	BdSeq uint64    `json:"bdseq"`
	Since time.Time `json:"since,omitzero"`
	Told  string    `json:"told"`            // the state told last
	Apart time.Time `json:"apart,omitzero"`  // since when State is not Told; zero: it is
	Heard time.Time `json:"heard,omitzero"`  // of the asset, last
	At    time.Time `json:"at,omitzero"`     // the latest time seen
	Flaps uint64    `json:"flaps,omitempty"` // changes that were undone before they were told
	Older uint64    `json:"older,omitempty"` // deaths of earlier sessions, left alone
}

// NewPresence is that of an asset that nothing is known of.
func NewPresence() Presence { return Presence{State: Unknown, Told: Unknown} }

// Deadline is when a Passed signal is due under r; zero: never.
func (p Presence) Deadline(r PresenceRule) time.Time {
	var d time.Time
	if !p.Apart.IsZero() {
		d = p.Apart.Add(time.Duration(r.Debounce))
	}
	if r.Silence > 0 && p.State == Online {
		if s := p.Heard.Add(time.Duration(r.Silence)); d.IsZero() || s.Before(d) {
			d = s
		}
	}
	return d
}

// Step applies one signal, and returns the next state and what is to be told by
// AssetStateChanged, in order. An unknown cause, or no time, is an error that changes
// nothing.
func (p Presence) Step(r PresenceRule, s Signal) (Presence, []event.AssetState, error) {
	if s.At.IsZero() {
		return p, nil, &Fault{"signal.at", "is missing"}
	}
	next := p
	next.At = later(p.At, s.At)
	fx := next.advance(r, nil)
	switch s.Cause {
	case Passed:
	case NBirth, DBirth:
		next.BdSeq = s.BdSeq
		fx = next.hear(r, s.Cause, fx)
	case Data:
		if next.State == Online || next.State == Stale && next.Cause == Silence {
			fx = next.hear(r, s.Cause, fx)
		}
	case NDeath, DDeath:
		if s.Cause == NDeath && s.BdSeq != next.BdSeq && (next.State == Online || next.State == Stale) {
			next.Older++
			break
		}
		fx = next.become(r, Offline, s.Cause, next.At, fx)
	case Lost:
		if next.State == Online || next.State == Stale {
			fx = next.become(r, Stale, s.Cause, next.At, fx)
		}
	default:
		return p, nil, &Fault{"signal.cause", fmt.Sprintf("%q is none", s.Cause)}
	}
	return next, fx, nil
}

// advance brings p to its time.
func (p *Presence) advance(r PresenceRule, fx []event.AssetState) []event.AssetState {
	if r.Silence > 0 && p.State == Online {
		if due := p.Heard.Add(time.Duration(r.Silence)); !p.At.Before(due) {
			fx = p.settle(r, due, fx)
			fx = p.become(r, Stale, Silence, due, fx)
		}
	}
	return p.settle(r, p.At, fx)
}

func (p *Presence) hear(r PresenceRule, c Cause, fx []event.AssetState) []event.AssetState {
	p.Heard = p.At
	if p.State == Online && c == Data {
		return fx
	}
	return p.become(r, Online, c, p.At, fx)
}

func (p *Presence) become(r PresenceRule, state string, c Cause, at time.Time, fx []event.AssetState) []event.AssetState {
	p.Cause = c
	if state == p.State {
		return fx
	}
	p.State, p.Since = state, at
	switch {
	case state == p.Told:
		p.Apart = time.Time{}
		p.Flaps++
	case p.Apart.IsZero():
		p.Apart = at
	}
	return p.settle(r, at, fx)
}

func (p *Presence) settle(r PresenceRule, at time.Time, fx []event.AssetState) []event.AssetState {
	if p.Apart.IsZero() || at.Before(p.Apart.Add(time.Duration(r.Debounce))) {
		return fx
	}
	p.Told, p.Apart = p.State, time.Time{}
	return append(fx, event.AssetState{State: p.State, Cause: string(p.Cause), BdSeq: p.BdSeq, Since: p.Since})
}
