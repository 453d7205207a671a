package conform

import (
	"fmt"

	"github.com/magneto-iiot/magneto/sparkplug"
)

// hostFirst are the assertions that the birth is what a host publishes first.
var hostFirst = []string{
	"host-topic-phid-birth-message", "host-topic-phid-birth-required", "operational-behavior-host-application-connect-birth",
	"message-flow-phid-sparkplug-state-publish", "principles-birth-certificates-order",
	"operational-behavior-primary-application-state-with-multiple-servers-state",
}

// hostConnect grades the CONNECT packet of a host.
func (w *Wire) hostConnect(c *client, e Event) {
	if e.Version < 5 {
		w.Judge(e.Clean, "clean session is not set", "message-flow-phid-sparkplug-clean-session-311")
	} else {
		w.Judge(e.Clean && e.Expiry == 0, fmt.Sprintf("clean start is %v, session expiry %d", e.Clean, e.Expiry), "message-flow-phid-sparkplug-clean-session-50")
	}
	w.Judge(true, "", "operational-behavior-host-application-connect-will", "operational-behavior-host-application-connect-will-topic",
		"host-topic-phid-death-required", "host-topic-phid-death-topic", "payloads-state-will-message")
	w.Judge(e.Will.QoS == 1, fmt.Sprintf("the will's QoS is %d", e.Will.QoS), "operational-behavior-host-application-connect-will-qos",
		"payloads-state-will-message-qos", "host-topic-phid-death-qos")
	w.Judge(e.Will.Retain, "the will is not retained", "operational-behavior-host-application-connect-will-retained",
		"payloads-state-will-message-retain", "host-topic-phid-death-retain")
	s, err := sparkplug.ParseState(e.Will.Payload)
	good := err == nil && !s.Online
	w.Judge(good, fmt.Sprintf("the will says %.80q", e.Will.Payload), "operational-behavior-host-application-connect-will-payload",
		"payloads-state-will-message-payload", "host-topic-phid-death-payload")
	if good {
		w.now(c, s, "host-topic-phid-death-payload-timestamp-connect")
	}
	c.willState = s
	other := w.others(c, func(o *client) bool {
		return o.host == c.host && o.at.server == c.at.server && o.at.id != c.at.id && o.alive
	})
	w.Judge(other == nil, "another client is host "+c.host, "operational-behavior-host-application-host-id")
}

// now grades that a timestamp is that of the event.
func (w *Wire) now(c *client, s sparkplug.State, id string) {
	off := w.watch.now.At.UnixMilli() - s.Timestamp
	near := w.watch.skew.Milliseconds()
	w.Judge(off <= near && off >= -near, fmt.Sprintf("the timestamp of %s is %d ms away", c.host, off), id)
}

// hostState grades a STATE message that a client published.
func (w *Wire) hostState(c *client, host string, m Message, first bool) {
	if c.host == "" {
		c.host = host
		w.Judge(false, "CONNECT has no will with STATE", "operational-behavior-host-application-connect-will",
			"host-topic-phid-death-required", "payloads-state-will-message")
	}
	s, err := sparkplug.ParseState(m.Payload)
	if first {
		w.Judge(err == nil && s.Online, "the first message is no STATE birth", hostFirst...)
		w.hostAsked(c, m.Topic)
	}
	if err != nil {
		return
	}
	if !s.Online {
		w.Judge(m.Retain, "the STATE death is not retained", "host-topic-phid-death-retain", "operational-behavior-host-application-death-retained")
		c.alive, c.died = false, true
		w.now(c, s, "host-topic-phid-death-payload-timestamp-disconnect-clean")
		return
	}
	c.alive, c.died = true, false
	w.Judge(m.Retain, "the STATE birth is not retained", "host-topic-phid-birth-retain", "operational-behavior-host-application-connect-birth-retained")
	w.Judge(m.Retain && m.QoS == 1, "the STATE birth is not retained at QoS 1", "payloads-state-birth")
	w.Judge(s.Timestamp == c.willState.Timestamp, fmt.Sprintf("the timestamp is %d, the will said %d", s.Timestamp, c.willState.Timestamp),
		"host-topic-phid-birth-payload-timestamp", "message-flow-phid-sparkplug-state-publish-payload-timestamp", "payloads-state-birth-payload")
}

// hostAsked grades what a host subscribed to before its first message.
func (w *Wire) hostAsked(c *client, own string) {
	w.Judge(covers(c.filters, own), "no subscription to "+own, "payloads-state-subscribe")
	more := false
	for _, f := range c.filters {
		more = more || Matches(f.Topic, sparkplug.Namespace+"/G/NBIRTH/N") || len(f.Topic) > len(sparkplug.Namespace) && !Matches(f.Topic, own)
	}
	w.Judge(more && covers(c.filters, own), "no subscription to the namespace and "+own+" before the birth",
		"host-topic-phid-birth-sub-required", "message-flow-phid-sparkplug-subscription")
}

// hostDisconnect grades how a host leaves.
func (w *Wire) hostDisconnect(c *client) {
	w.Judge(true, "", "operational-behavior-host-application-disconnect-intentional")
	if !c.alive && !c.died {
		return // it was never born
	}
	w.Judge(c.died, "no STATE death before DISCONNECT", "operational-behavior-host-application-termination",
		"host-topic-phid-death-payload-timestamp-disconnect-clean")
}
