package scenario_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/exam"
	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// planted is a fault in a running part, and an assertion that must be found
// broken by it.
type planted struct {
	fault
	id    string // without tck-id-
	hands string // what the examination needs besides a start: stop, kill, unplug, second
}

func up(f tamper) fault   { return fault{up: f} }
func down(f tamper) fault { return fault{down: f} }

func long(v uint64) *pb.Payload_Metric_LongValue { return &pb.Payload_Metric_LongValue{LongValue: v} }

// state reads a STATE message.
func state(p *packets.Publish) sparkplug.State {
	s, _ := sparkplug.ParseState(p.Payload)
	return s
}

// edgeFaults are protocol faults of an edge node.
func edgeFaults() map[string]planted {
	frozen := uint64(0)
	var held *packets.ControlPacket
	var lastState int64
	online := false
	return map[string]planted{
		"will retained":        {up(connecting(func(c *packets.Connect) { c.WillRetain = true })), "payloads-ndeath-will-message-retain", ""},
		"will at QoS 0":        {up(connecting(func(c *packets.Connect) { c.WillQOS = 0 })), "payloads-ndeath-will-message-qos", ""},
		"no will":              {up(connecting(func(c *packets.Connect) { c.WillFlag, c.WillQOS, c.WillTopic = false, 0, "" })), "payloads-ndeath-will-message", ""},
		"session kept":         {up(connecting(func(c *packets.Connect) { c.CleanStart = false })), "principles-persistence-clean-session-50", ""},
		"session expires late": {up(connecting(func(c *packets.Connect) { c.Properties.SessionExpiryInterval = new(uint32(60)) })), "principles-persistence-clean-session-50", ""},
		"will with seq": {up(connecting(func(c *packets.Connect) {
			c.WillMessage = rewritten(c.WillMessage, func(p *pb.Payload) { p.Seq = new(uint64(1)) })
		})), "payloads-ndeath-seq", ""},
		"will of another bdSeq": {up(connecting(func(c *packets.Connect) {
			c.WillMessage = rewritten(c.WillMessage, func(p *pb.Payload) { p.Metrics[0].Value = long(77) })
		})), "topics-nbirth-bdseq-matching", ""},
		"will with more than bdSeq": {up(connecting(func(c *packets.Connect) {
			c.WillMessage = rewritten(c.WillMessage, func(p *pb.Payload) { p.Metrics = append(p.Metrics, p.Metrics[0]) })
		})), "topics-ndeath-payload", ""},
		"bdSeq frozen": {up(both(
			connecting(func(c *packets.Connect) {
				c.WillMessage = rewritten(c.WillMessage, func(p *pb.Payload) { p.Metrics[0].Value = long(frozen) })
			}),
			metrics("NBIRTH", "bdSeq", func(m *pb.Payload_Metric) { m.Value = long(frozen) }),
		)), "topics-nbirth-bdseq-increment", "stop kill"},
		"commands at QoS 0":       {up(subscribing(func(s *packets.SubOptions) { s.QoS *= 1 - b2u(strings.Contains(s.Topic, "NCMD")) })), "message-flow-edge-node-ncmd-subscribe", ""},
		"no device commands":      {up(subscribing(func(s *packets.SubOptions) { s.Topic = strings.Replace(s.Topic, "/DCMD/", "/XCMD/", 1) })), "message-flow-device-dcmd-subscribe", ""},
		"births retained":         {up(changing("NBIRTH DBIRTH", func(p *packets.Publish) { p.Retain = true })), "payloads-nbirth-retain", ""},
		"data retained":           {up(changing("DDATA", func(p *packets.Publish) { p.Retain = true })), "payloads-ddata-retain", ""},
		"birth at QoS 1":          {up(changing("NBIRTH", func(p *packets.Publish) { p.QoS, p.PacketID = 1, 900 })), "payloads-nbirth-qos", ""},
		"data at QoS 1":           {up(changing("DDATA", func(p *packets.Publish) { p.QoS, p.PacketID = 1, 900 })), "payloads-ddata-qos", ""},
		"seq begins at 5":         {up(payloads("NBIRTH", func(p *pb.Payload) { p.Seq = new(uint64(5)) })), "topics-nbirth-seq-num", ""},
		"seq skipped on DBIRTH":   {up(payloads("DBIRTH", func(p *pb.Payload) { *p.Seq++ })), "payloads-dbirth-seq-inc", ""},
		"seq missing":             {up(payloads("DDATA", func(p *pb.Payload) { p.Seq = nil })), "payloads-ddata-seq", ""},
		"seq frozen":              {up(payloads("DDATA", func(p *pb.Payload) { p.Seq = new(uint64(1)) })), "payloads-ddata-seq-inc", ""},
		"seq on NDATA beyond 255": {up(payloads("NDATA", func(p *pb.Payload) { *p.Seq += 256 })), "payloads-ndata-seq", ""},
		"no Rebirth":              {up(metrics("NBIRTH", sparkplug.MetricRebirth, func(m *pb.Payload_Metric) { m.Name = new("Node Control/Other") })), "payloads-nbirth-rebirth-req", ""},
		"alias on Rebirth":        {up(metrics("NBIRTH", sparkplug.MetricRebirth, func(m *pb.Payload_Metric) { m.Alias = new(uint64(99)) })), "operational-behavior-data-commands-rebirth-name-aliases", ""},
		"Rebirth is true": {up(metrics("NBIRTH", sparkplug.MetricRebirth, func(m *pb.Payload_Metric) {
			m.Value = &pb.Payload_Metric_BooleanValue{BooleanValue: true}
		})), "operational-behavior-data-commands-rebirth-value", ""},
		"no bdSeq":             {up(metrics("NBIRTH", "bdSeq", func(m *pb.Payload_Metric) { m.Name = new("bdseq") })), "payloads-nbirth-bdseq", ""},
		"metrics without time": {up(metrics("NBIRTH DBIRTH DDATA", "", func(m *pb.Payload_Metric) { m.Timestamp = nil })), "payloads-name-birth-data-requirement", ""},
		"metrics without type": {up(metrics("DBIRTH", "", func(m *pb.Payload_Metric) { m.Datatype = nil })), "payloads-metric-datatype-req", ""},
		"type that is none":    {up(metrics("DBIRTH", "Speed", func(m *pb.Payload_Metric) { m.Datatype = new(uint32(99)) })), "payloads-metric-datatype-value", ""},
		"birth without values": {up(metrics("DBIRTH", "Speed", func(m *pb.Payload_Metric) { m.Value = nil })), "topics-dbirth-metrics", ""},
		"alias twice": {up(payloads("DBIRTH", func(p *pb.Payload) {
			p.Metrics[1].Alias = p.Metrics[0].Alias
		})), "payloads-alias-uniqueness", ""},
		"name beside alias":      {up(metrics("DDATA", "", func(m *pb.Payload_Metric) { m.Name = new("Speed") })), "payloads-alias-data-cmd-requirement", ""},
		"undeclared metric":      {up(metrics("DDATA", "", func(m *pb.Payload_Metric) { m.Alias = new(uint64(12345)) })), "topics-dbirth-metric-reqs", ""},
		"payload without time":   {up(payloads("NBIRTH", func(p *pb.Payload) { p.Timestamp = nil })), "payloads-nbirth-timestamp", ""},
		"payload of another day": {up(payloads("DDATA", func(p *pb.Payload) { *p.Timestamp -= 86_400_000 })), "payloads-timestamp-in-UTC", ""},
		"metrics out of order":   {up(payloads("DBIRTH", func(p *pb.Payload) { *p.Metrics[0].Timestamp += 5000 })), "operational-behavior-data-publish-dbirth-order", ""},
		"device born first": {up(publishing("NBIRTH DBIRTH", func(to passage, cp *packets.ControlPacket, p *packets.Publish) {
			if kind(p.Topic) == "NBIRTH" {
				held = cp
				return
			}
			to.on(cp)
			if held != nil {
				to.on(held)
				held = nil
			}
		})), "principles-birth-certificates-order", "stop kill"},
		"rebirth ignored": {down(losing("NCMD", nil)), "operational-behavior-data-commands-rebirth-action-2", ""},
		"rebirth with a new bdSeq": {up(func() tamper {
			n := uint64(0)
			return metrics("NBIRTH", "bdSeq", func(m *pb.Payload_Metric) { n++; m.Value = long(n - 1) })
		}()), "operational-behavior-data-commands-rebirth-action-3", ""},
		"equal STATE refused": {down(losing("STATE", func(p *packets.Publish) bool {
			s := state(p)
			same := s.Online && s.Timestamp == lastState
			if !strings.HasSuffix(p.Topic, "-other") {
				lastState = s.Timestamp
			}
			return same
		})), "message-flow-edge-node-birth-publish-phid-wait-timestamp", ""},
		"old STATE followed": {down(changing("STATE", func(p *packets.Publish) {
			if s := state(p); !s.Online && online {
				s.Timestamp = time.Now().UnixMilli() + 1000
				p.Payload = s.Append(nil)
			} else if s.Online {
				online = true
			}
		})), "operational-behavior-edge-node-termination-host-offline-timestamp", ""},
		"offline STATE ignored": {down(losing("STATE", func(p *packets.Publish) bool { return !state(p).Online })), "operational-behavior-edge-node-termination-host-offline", ""},
		"any host will do": {fault{
			up:   subscribing(func(s *packets.SubOptions) { s.Topic = strings.Replace(s.Topic, "STATE/plant", "STATE/#", 1) }),
			down: changing("STATE", func(p *packets.Publish) { p.Topic = strings.TrimSuffix(p.Topic, "-other") }),
		}, "message-flow-edge-node-birth-publish-phid-wait-id", ""},
		"leaves without a will": {up(func(to passage, cp *packets.ControlPacket) {
			if d, ok := cp.Content.(*packets.Disconnect); ok {
				d.ReasonCode = 0
			}
			to.on(cp)
		}), "payloads-ndeath-will-message-publisher-disconnect-mqtt50", "stop"},
		"silent about a dead device": {up(losing("DDEATH", nil)), "operational-behavior-device-ddeath", "unplug"},
		"DDEATH without seq":         {up(payloads("DDEATH", func(p *pb.Payload) { p.Seq = nil })), "payloads-ddeath-seq", "unplug"},
		"definition with a reference": {up(metrics("NBIRTH", "motor", func(m *pb.Payload_Metric) {
			m.GetTemplateValue().TemplateRef = new("motor")
		})), "payloads-template-definition-ref", ""},
		"instance of nothing": {up(metrics("DBIRTH", "MainMotor", func(m *pb.Payload_Metric) { m.GetTemplateValue().TemplateRef = new("none") })), "payloads-template-definition-nbirth", ""},
		"half an instance": {up(metrics("DBIRTH", "MainMotor", func(m *pb.Payload_Metric) {
			t := m.GetTemplateValue()
			t.Metrics = t.Metrics[1:]
		})), "payloads-template-instance-members-birth", ""},
		"unclear template":         {up(metrics("DBIRTH", "MainMotor", func(m *pb.Payload_Metric) { m.GetTemplateValue().IsDefinition = nil })), "payloads-template-is-definition", ""},
		"columns miscounted":       {up(metrics("NBIRTH", "Recipe", func(m *pb.Payload_Metric) { m.GetDatasetValue().NumOfColumns = new(uint64(9)) })), "payloads-dataset-column-size", ""},
		"column without type":      {up(metrics("NBIRTH", "Recipe", func(m *pb.Payload_Metric) { d := m.GetDatasetValue(); d.Types = d.Types[1:] })), "payloads-dataset-types-num", ""},
		"Quality that is a Double": {up(metrics("DBIRTH", "Speed", func(m *pb.Payload_Metric) { s := m.Properties; s.Values[len(s.Values)-1].Type = new(uint32(10)) })), "payloads-propertyset-quality-value-type", ""},
		"property without value":   {up(metrics("DBIRTH", "Speed", func(m *pb.Payload_Metric) { s := m.Properties; s.Values = s.Values[1:] })), "payloads-propertyset-keys-array-size", ""},
		"not born on the second server": {up(publishing("NBIRTH", func(to passage, cp *packets.ControlPacket, _ *packets.Publish) {
			if to.server == 0 {
				to.on(cp)
			}
		})), "operational-behavior-primary-application-state-with-multiple-servers-walk", "stop second"},
	}
}

// hostFaults are protocol faults of a host application.
func hostFaults() map[string]planted {
	first := true
	value := func(f func(*pb.Payload_Metric)) tamper { return metrics("NCMD DCMD", "", f) }
	return map[string]planted{
		"STATE will not retained": {up(connecting(func(c *packets.Connect) { c.WillRetain = false })), "payloads-state-will-message-retain", ""},
		"STATE will at QoS 0":     {up(connecting(func(c *packets.Connect) { c.WillQOS = 0 })), "payloads-state-will-message-qos", ""},
		"will says online": {up(connecting(func(c *packets.Connect) {
			c.WillMessage = []byte(strings.Replace(string(c.WillMessage), "false", "true", 1))
		})), "payloads-state-will-message-payload", ""},
		"will of another time": {up(connecting(func(c *packets.Connect) {
			c.WillMessage = sparkplug.State{Timestamp: time.Now().UnixMilli() - 3_600_000}.Append(nil)
		})), "host-topic-phid-death-payload-timestamp-connect", ""},
		"session kept":       {up(connecting(func(c *packets.Connect) { c.CleanStart = false })), "message-flow-phid-sparkplug-clean-session-50", ""},
		"STATE not retained": {up(changing("STATE", func(p *packets.Publish) { p.Retain = false })), "host-topic-phid-birth-retain", ""},
		"STATE at QoS 0": {up(publishing("STATE", func(to passage, cp *packets.ControlPacket, p *packets.Publish) {
			acknowledge(to, p)
			p.QoS = 0
			to.on(cp)
		})), "host-topic-phid-birth-qos", ""},
		"STATE of version 2.2":  {up(changing("STATE", func(p *packets.Publish) { p.Payload = []byte("ONLINE") })), "host-topic-phid-birth-payload", ""},
		"STATE of another time": {up(changing("STATE", func(p *packets.Publish) { s := state(p); s.Timestamp++; p.Payload = s.Append(nil) })), "host-topic-phid-birth-payload-timestamp", ""},
		"own STATE not followed": {up(subscribing(func(s *packets.SubOptions) {
			s.Topic = strings.Replace(s.Topic, "STATE/", "ETATS/", 1)
			s.Topic = strings.Replace(s.Topic, "spBv1.0/#", "spBv1.0/Exam/#", 1)
		})), "payloads-state-subscribe", ""},
		"command before STATE": {up(publishing("STATE", func(to passage, cp *packets.ControlPacket, _ *packets.Publish) {
			if first {
				first = false
				ncmd := packets.NewControlPacket(packets.PUBLISH)
				ncmd.Content.(*packets.Publish).Topic = "spBv1.0/Exam/NCMD/Played"
				to.on(ncmd)
			}
			to.on(cp)
		})), "host-topic-phid-birth-message", ""},
		"offline STATE left standing": {down(losing("STATE", func(p *packets.Publish) bool { return !state(p).Online })), "message-flow-hid-sparkplug-state-message-delivered", ""},
		"goodbye without STATE":       {up(losing("STATE", func(p *packets.Publish) bool { return !state(p).Online })), "operational-behavior-host-application-termination", "stop"},
		"death not retained":          {up(changing("STATE", func(p *packets.Publish) { p.Retain = state(p).Online })), "operational-behavior-host-application-death-retained", "stop"},
		"command with seq":            {up(payloads("NCMD", func(p *pb.Payload) { p.Seq = new(uint64(1)) })), "payloads-ncmd-seq", ""},
		"command at QoS 1":            {up(changing("NCMD", func(p *packets.Publish) { p.QoS, p.PacketID = 1, 900 })), "payloads-ncmd-qos", ""},
		"command retained":            {up(changing("DCMD", func(p *packets.Publish) { p.Retain = true })), "payloads-dcmd-retain", ""},
		"command without time":        {up(payloads("NCMD", func(p *pb.Payload) { p.Timestamp = nil })), "payloads-ncmd-timestamp", ""},
		"command without metrics":     {up(payloads("DCMD", func(p *pb.Payload) { p.Metrics = nil })), "topics-dcmd-payload", ""},
		"command of another type":     {up(value(func(m *pb.Payload_Metric) { m.Value = &pb.Payload_Metric_StringValue{StringValue: "33.5"} })), "operational-behavior-data-commands-dcmd-metric-value", ""},
		"command to nobody":           {up(value(func(m *pb.Payload_Metric) { m.Name = new("Nobody") })), "operational-behavior-data-commands-dcmd-metric-name", ""},
		"rebirth request of false":    {up(metrics("NCMD", sparkplug.MetricRebirth, func(m *pb.Payload_Metric) { m.Value = &pb.Payload_Metric_BooleanValue{} })), "operational-behavior-data-commands-ncmd-rebirth-value", ""},
		"no rebirth request": {up(publishing("NCMD", func(to passage, cp *packets.ControlPacket, p *packets.Publish) {
			if !strings.Contains(string(p.Payload), sparkplug.MetricRebirth) {
				to.on(cp)
			}
		})), "operational-behavior-host-reordering-rebirth", ""},
		"death of a node not seen":   {down(losing("NDEATH", nil)), "operational-behavior-edge-node-termination-host-action-ndeath-node-offline", ""},
		"metrics of it not stale":    {down(losing("NDEATH", nil)), "operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale", ""},
		"death of a device not seen": {down(losing("DDEATH", nil)), "operational-behavior-edge-node-termination-host-action-ddeath-devices-offline", ""},
		"templates not read":         {down(metrics("NDATA", "", func(m *pb.Payload_Metric) { m.Value = nil })), "payloads-template-instance-members-data", ""},
		"one of two servers": {up(publishing("STATE", func(to passage, cp *packets.ControlPacket, p *packets.Publish) {
			if to.server == 0 {
				to.on(cp)
				return
			}
			acknowledge(to, p)
		})), "operational-behavior-primary-application-state-with-multiple-servers-state", "stop second"},
	}
}

func b2u(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// TestRealMutationHost plants faults into the running host.
func TestRealMutationHost(t *testing.T) {
	faults := hostFaults()
	mutate(t, len(faults), func(t *testing.T, name string) (conform.Report, error) {
		f := faults[name]
		h := newHostHands(t)
		h.via = newTamperer(t, f.fault).via
		c := exam.HostConfig{Hands: h.hands()}
		c.Hands.Stop, c.Hands.Kill = pick(f, "stop", c.Hands.Stop), pick(f, "kill", c.Hands.Kill)
		if strings.Contains(f.hands, "second") {
			c.Second = "127.0.0.1:0"
		}
		return exam.Host(t.Context(), c)
	}, func(yield func(string, string) bool) {
		for name, f := range faults {
			if !yield(name, f.id) {
				return
			}
		}
	})
}

// TestRealMutationEdge plants faults into the running agent, one at a time, and
// wants each found by the examination.
func TestRealMutationEdge(t *testing.T) {
	faults := edgeFaults()
	mutate(t, len(faults), func(t *testing.T, name string) (conform.Report, error) {
		f := faults[name]
		h := newEdgeHands(t)
		x := newTamperer(t, f.fault)
		h.via = x.via
		c := exam.EdgeConfig{Host: "plant", Write: exam.Write{Metric: "Setpoint", Value: json.RawMessage("30")}, Hands: h.hands()}
		c.Hands.Stop, c.Hands.Kill = pick(f, "stop", c.Hands.Stop), pick(f, "kill", c.Hands.Kill)
		c.Hands.Unplug, c.Hands.Plug = pick(f, "unplug", c.Hands.Unplug), pick(f, "unplug", c.Hands.Plug)
		if strings.Contains(f.hands, "second") {
			c.Second = "127.0.0.1:0"
		}
		return exam.Edge(t.Context(), c)
	}, func(yield func(string, string) bool) {
		for name, f := range faults {
			if !yield(name, f.id) {
				return
			}
		}
	})
}

func pick[F any](f planted, word string, hand F) (none F) {
	if strings.Contains(f.hands, word) {
		return hand
	}
	return none
}

// mutate runs the examinations of all faults, eight at a time: they mostly wait.
func mutate(t *testing.T, n int, run func(*testing.T, string) (conform.Report, error), faults func(func(name, id string) bool)) {
	program(t, "magneto") // or skip
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	found := 0
	var mu sync.Mutex
	t.Run("faults", func(t *testing.T) {
		for name, id := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				r, err := run(t, name)
				var broken []string
				for _, v := range r.Verdicts {
					if v.Outcome == conform.Fail {
						broken = append(broken, strings.TrimPrefix(v.ID, "tck-id-"))
					}
				}
				require.True(t, slices.Contains(broken, id), "want %s broken; broken are %v; %v", id, broken, err)
				mu.Lock()
				found++
				mu.Unlock()
			})
		}
	})
	t.Logf("%d of %d planted faults found", found, n)
}
