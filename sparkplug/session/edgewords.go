package session

import (
	"fmt"
	"time"
)

// say tells the operator something that was not said since all was well.
func (e *Edge) say(fx []EdgeEffect, words string) []EdgeEffect {
	if !e.said.first(words) {
		return fx
	}
	return append(fx, EdgeEffect{Do: EdgeSay, Words: words})
}

// Words says in one line what the session is doing or waiting for.
func (e *Edge) Words() string {
	switch e.phase {
	case Idle:
		return "stopped"
	case Backoff:
		return "waiting to dial the MQTT server again" + e.where()
	case Connecting:
		return "dialing the MQTT server" + e.where()
	case Subscribing:
		return "subscribing" + e.where()
	case Waiting:
		return "waiting for primary host " + e.cfg.PrimaryHost + e.where() + ": " + e.hostWords()
	case Online:
		return "online" + e.where()
	}
	return "stopping"
}

// where names the server if there are several.
func (e *Edge) where() string {
	if e.cfg.Servers == 1 {
		return ""
	}
	return fmt.Sprintf(" on server %d of %d", e.server+1, e.cfg.Servers)
}

func (e *Edge) hostWords() string {
	if !e.known {
		return "no STATE of it yet"
	}
	return "offline since " + time.UnixMilli(e.hosts[e.server].since).UTC().Format(time.RFC3339)
}
