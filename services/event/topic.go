package event

import (
	"fmt"
	"strings"
)

// Root is where the topics of asset services begin.
const Root = "ams/v1"

// Kinds of topics.
const (
	kindFact    = "evt"
	kindCommand = "cmd"
	kindState   = "state"
)

// Topic is where e is published.
func (e *Event) Topic() string {
	kind := kindFact
	if c, ok := e.Type.Entry(); ok && c.Command {
		kind = kindCommand
	}
	return strings.Join([]string{Root, e.Site, kind, e.Type.Domain(), e.Type.Name(), e.Subject}, "/")
}

// StateTopic is where e is kept, retained, as the state of its aggregate; empty
// for an event that is none.
func (e *Event) StateTopic() string {
	c, ok := e.Type.Entry()
	if !ok || c.State == "" {
		return ""
	}
	return strings.Join([]string{Root, e.Site, kindState, e.Type.Domain(), c.State, e.Subject}, "/")
}

// Filter is the MQTT topic filter for all events of a type, at one site or, when
// site is empty, at all.
func (t Type) Filter(site string) string {
	e := Event{Site: site, Type: t, Subject: "+"}
	if site == "" {
		e.Site = "+"
	}
	return e.Topic()
}

// CheckTopic returns an *Error unless topic is one of those that e is published
// at: what is said at another topic than it belongs to is not to be believed.
func (e *Event) CheckTopic(topic string) error {
	if topic != e.Topic() && topic != e.StateTopic() {
		return &Error{"", fmt.Sprintf("%q is not where a %s of %s at %s belongs", topic, e.Type, e.Subject, e.Site)}
	}
	return nil
}
