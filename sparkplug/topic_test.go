package sparkplug_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
)

func TestParseTopic(t *testing.T) {
	tests := map[string]struct {
		in    string
		want  sparkplug.Topic
		level int // of the *TopicError; -1 when the topic is good
	}{
		"node":           {"spBv1.0/line1/NBIRTH/press", sparkplug.Topic{Group: "line1", Type: sparkplug.NBIRTH, Node: "press"}, -1},
		"device":         {"spBv1.0/line1/DCMD/press/pump", sparkplug.Topic{Group: "line1", Type: sparkplug.DCMD, Node: "press", Device: "pump"}, -1},
		"namespace":      {"spAv1.0/line1/NBIRTH/press", sparkplug.Topic{}, 0},
		"wildcard":       {"spBv1.0/+/NBIRTH/press", sparkplug.Topic{}, 1},
		"type":           {"spBv1.0/line1/NBORN/press", sparkplug.Topic{}, 2},
		"state":          {"spBv1.0/STATE/plant", sparkplug.Topic{}, 2},
		"no node":        {"spBv1.0/line1/NDATA", sparkplug.Topic{}, 3},
		"empty node":     {"spBv1.0/line1/NDATA/", sparkplug.Topic{}, 3},
		"extra device":   {"spBv1.0/line1/NDATA/press/pump", sparkplug.Topic{}, 4},
		"missing device": {"spBv1.0/line1/DDATA/press", sparkplug.Topic{}, 4},
		"a level more":   {"spBv1.0/line1/DDATA/press/pump/x", sparkplug.Topic{}, 5},
		"not UTF-8":      {"spBv1.0/\xff/NDATA/press", sparkplug.Topic{}, 1},
		"long":           {"spBv1.0/" + strings.Repeat("x", 257) + "/NDATA/press", sparkplug.Topic{}, 1},
		"empty":          {"", sparkplug.Topic{}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sparkplug.ParseTopic(tt.in)
			level := -1
			if bad, ok := errors.AsType[*sparkplug.TopicError](err); ok {
				level = bad.Level
			}
			if got != tt.want || level != tt.level {
				t.Errorf("ParseTopic(%q) = %+v, %v; want %+v, level %d", tt.in, got, err, tt.want, tt.level)
			}
			if err == nil && got.String() != tt.in {
				t.Errorf("prints as %q", got)
			}
		})
	}
}

func TestDataType(t *testing.T) {
	for typ := range sparkplug.DataType(35) {
		got, ok := sparkplug.ParseDataType(typ.String())
		if !ok || got != typ || !typ.Known() {
			t.Errorf("%d is %s, which parses to %d, %v", typ, typ, got, ok)
		}
		if typ.Array() != (typ.Element() != sparkplug.TypeUnknown) {
			t.Errorf("%s: Array and Element disagree", typ)
		}
	}
	if _, ok := sparkplug.ParseDataType("int8"); ok {
		t.Error("int8 parses")
	}
	if got := sparkplug.DataType(35).String(); got != "DataType(35)" {
		t.Errorf("35 prints as %s", got)
	}
}

func TestState(t *testing.T) {
	tests := map[string]struct {
		in   string
		want sparkplug.State
		err  string
	}{
		"online":    {`{"online":true,"timestamp":1700000000000}`, sparkplug.State{Online: true, Timestamp: 1_700_000_000_000}, ""},
		"offline":   {` {"timestamp": 5, "online": false, "more": [1]} `, sparkplug.State{Timestamp: 5}, ""},
		"v2":        {`ONLINE`, sparkplug.State{}, "invalid character"},
		"array":     {`[]`, sparkplug.State{}, "cannot unmarshal"},
		"null":      {`null`, sparkplug.State{}, `"online" is missing`},
		"text":      {`{"online":"true","timestamp":5}`, sparkplug.State{}, "not a boolean"},
		"case":      {`{"Online":true,"timestamp":5}`, sparkplug.State{}, `"online" is missing`},
		"no time":   {`{"online":true}`, sparkplug.State{}, `"timestamp"`},
		"fraction":  {`{"online":true,"timestamp":5.5}`, sparkplug.State{}, "not a whole number"},
		"negative":  {`{"online":true,"timestamp":-5}`, sparkplug.State{}, "not a whole number"},
		"time text": {`{"online":true,"timestamp":"5"}`, sparkplug.State{}, "not a whole number"},
		"long":      {strings.Repeat(" ", sparkplug.MaxState+1), sparkplug.State{}, "the limit is"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sparkplug.ParseState([]byte(tt.in))
			if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, tt.want, tt.err)
			}
		})
	}
	for _, online := range []bool{true, false} {
		s := sparkplug.State{Online: online}
		if got, err := sparkplug.ParseStateV2(s.AppendV2(nil)); got != s || err != nil {
			t.Errorf("version 2.2: %+v, %v", got, err)
		}
	}
	if _, err := sparkplug.ParseStateV2([]byte("online")); err == nil {
		t.Error("version 2.2 accepts lower case")
	}
}

func TestStateTopic(t *testing.T) {
	if host, ok := sparkplug.ParseStateTopic(sparkplug.StateTopic("plant")); host != "plant" || !ok {
		t.Errorf("got %q, %v", host, ok)
	}
	if host, ok := sparkplug.ParseStateTopicV2(sparkplug.StateTopicV2("plant")); host != "plant" || !ok {
		t.Errorf("version 2.2: got %q, %v", host, ok)
	}
	for _, topic := range []string{"", "STATE/plant", "spBv1.0/STATE/", "spBv1.0/STATE/a/b", "spBv1.0/STATE/+"} {
		if host, ok := sparkplug.ParseStateTopic(topic); ok {
			t.Errorf("ParseStateTopic(%q) = %q", topic, host)
		}
	}
}
