package sparkplug

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// State is what a host application publishes about itself.
type State struct {
	Online    bool
	Timestamp int64 // ms since the Unix epoch, UTC; 0 in the form of version 2.2
}

// MaxState is the longest STATE payload that ParseState reads, in bytes.
const MaxState = 4096

const (
	stateTopic   = Namespace + "/STATE/"
	stateTopicV2 = "STATE/"
)

// StateTopic returns the topic of a host's STATE, spBv1.0/STATE/host.
//
// Spec: tck-id-host-topic-phid-birth-topic.
func StateTopic(host string) string { return stateTopic + host }

// ParseStateTopic is the inverse of StateTopic; ok is false for any other
// topic. The result is a part of topic.
func ParseStateTopic(topic string) (host string, ok bool) {
	return parseStateTopic(topic, stateTopic)
}

// StateTopicV2 returns the topic of a host's STATE in Sparkplug 2.2, STATE/host.
func StateTopicV2(host string) string { return stateTopicV2 + host }

// ParseStateTopicV2 is the inverse of StateTopicV2.
func ParseStateTopicV2(topic string) (host string, ok bool) {
	return parseStateTopic(topic, stateTopicV2)
}

func parseStateTopic(topic, prefix string) (host string, ok bool) {
	host, ok = strings.CutPrefix(topic, prefix)
	if !ok || !ValidID(host) {
		return "", false
	}
	return host, true
}

// Append appends the JSON payload of a STATE message to dst.
//
// Spec: tck-id-host-topic-phid-birth-payload.
func (s State) Append(dst []byte) []byte {
	dst = append(dst, `{"online":`...)
	dst = strconv.AppendBool(dst, s.Online)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, s.Timestamp, 10)
	return append(dst, '}')
}

// AppendV2 appends the payload of Sparkplug 2.2, ONLINE or OFFLINE.
func (s State) AppendV2(dst []byte) []byte {
	if s.Online {
		return append(dst, "ONLINE"...)
	}
	return append(dst, "OFFLINE"...)
}

// ParseState parses the JSON payload of a STATE message: an object with the
// boolean "online" and the integer "timestamp", not negative. Other keys are
// ignored; of a key given twice the last counts.
//
// Spec: tck-id-host-topic-phid-birth-payload, tck-id-host-topic-phid-death-payload.
func ParseState(b []byte) (State, error) {
	if len(b) > MaxState {
		return State{}, fmt.Errorf("sparkplug: state: %d bytes, the limit is %d", len(b), MaxState)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return State{}, fmt.Errorf("sparkplug: state: %w", err)
	}
	var s State
	switch string(keys["online"]) {
	case "true":
		s.Online = true
	case "false":
	case "":
		return State{}, errors.New(`sparkplug: state: key "online" is missing`)
	default:
		return State{}, errors.New(`sparkplug: state: key "online" is not a boolean`)
	}
	ts, err := strconv.ParseUint(string(keys["timestamp"]), 10, 63)
	if err != nil {
		return State{}, fmt.Errorf("sparkplug: state: key \"timestamp\": %q is not a whole number of milliseconds", keys["timestamp"])
	}
	s.Timestamp = int64(ts)
	return s, nil
}

// ParseStateV2 parses the payload of Sparkplug 2.2, ONLINE or OFFLINE.
func ParseStateV2(b []byte) (State, error) {
	switch string(b) {
	case "ONLINE":
		return State{Online: true}, nil
	case "OFFLINE":
		return State{}, nil
	}
	return State{}, fmt.Errorf("sparkplug: state: %.32q is neither ONLINE nor OFFLINE", b)
}
