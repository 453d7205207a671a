package conform_test

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// TestSession checks that a conversation without a fault is not blamed, and
// proves all that can be proved by looking on.
func TestSession(t *testing.T) {
	r, _ := grade(t, session())
	for _, v := range r.Verdicts {
		switch v.Outcome {
		case conform.Fail:
			t.Errorf("%s: %+v", v.ID, v.Failures)
		case conform.Unseen:
			// only a breach of these shows
			if !strings.Contains(v.ID, "retain") {
				t.Errorf("%s: no occasion in the session", v.ID)
			}
		case conform.Hidden:
			if v.Reason == "" {
				t.Errorf("%s: hidden without a reason", v.ID)
			}
		}
	}
	if got := len(r.Verdicts); got != 299 {
		t.Errorf("%d verdicts, want 299", got)
	}
	t.Logf("%d held, %d seen only when broken, %d hidden", r.Count(conform.Pass), r.Count(conform.Unseen), r.Count(conform.Hidden))
	if r.Failed() || r.Count(conform.Pass) < 180 {
		t.Errorf("failed %v, %d held", r.Failed(), r.Count(conform.Pass))
	}
}

// TestPlantedFaults plants one fault at a time into the session and wants it
// found at its ids.
func TestPlantedFaults(t *testing.T) {
	type faults = map[string]struct {
		plant func(s []said) []said
		ids   string // without tck-id-
	}
	at := func(i int, change func(*said)) func([]said) []said {
		return func(s []said) []said { change(&s[i]); return s }
	}
	in := func(i int, change func(*pb.Payload)) func([]said) []said {
		return at(i, func(s *said) { change(s.p) })
	}
	one := func(i int, name string, change func(*pb.Payload_Metric)) func([]said) []said {
		return in(i, func(p *pb.Payload) {
			for _, m := range p.Metrics {
				if m.GetName() == name {
					change(m)
				}
			}
		})
	}
	template := func(i int, name string, change func(*pb.Payload_Template)) func([]said) []said {
		return one(i, name, func(m *pb.Payload_Metric) { change(m.GetTemplateValue()) })
	}
	table := func(change func(*pb.Payload_DataSet)) func([]said) []said {
		return one(atNBirth, "Site/Table", func(m *pb.Payload_Metric) { change(m.GetDatasetValue()) })
	}
	property := func(change func(*pb.Payload_PropertySet)) func([]said) []said {
		return one(atNBirth, "Site/Flow", func(m *pb.Payload_Metric) { change(m.Properties) })
	}
	all := faults{
		"bdSeq frozen":           {one(atNBirth2, "bdSeq", func(m *pb.Payload_Metric) { m.Value = long(4) }), "topics-nbirth-bdseq-increment"},
		"bdSeq anew at rebirth":  {one(atReNBirth, "bdSeq", func(m *pb.Payload_Metric) { m.Value = long(9) }), "operational-behavior-data-commands-rebirth-action-3"},
		"bdSeq missing":          {in(atNBirth, func(p *pb.Payload) { p.Metrics = p.Metrics[1:] }), "topics-nbirth-bdseq-included payloads-nbirth-bdseq"},
		"bdSeq of another type":  {one(atNBirth, "bdSeq", func(m *pb.Payload_Metric) { m.Datatype = proto.Uint32(8) }), "message-flow-edge-node-birth-publish-nbirth-payload-bdSeq"},
		"will of another bdSeq":  {one(atNDeath, "bdSeq", func(m *pb.Payload_Metric) { m.Value = long(99) }), "payloads-ndeath-bdseq topics-nbirth-bdseq-matching"},
		"NDEATH with seq":        {in(atNDeath, func(p *pb.Payload) { p.Seq = proto.Uint64(4) }), "topics-ndeath-seq payloads-ndeath-seq"},
		"NDEATH with more":       {in(atNDeath, func(p *pb.Payload) { p.Metrics = append(p.Metrics, metric("x", 0, 4, 1)) }), "topics-ndeath-payload"},
		"NBIRTH retained":        {at(atNBirth, func(s *said) { s.retain = true }), "topics-nbirth-mqtt payloads-nbirth-retain message-flow-edge-node-birth-publish-nbirth-retained"},
		"DBIRTH retained":        {at(atDBirth, func(s *said) { s.retain = true }), "topics-dbirth-mqtt payloads-dbirth-retain message-flow-device-birth-publish-dbirth-retained"},
		"DDATA retained":         {at(atDData, func(s *said) { s.retain = true }), "topics-ddata-mqtt payloads-ddata-retain"},
		"NDATA retained":         {at(atNData, func(s *said) { s.retain = true }), "topics-ndata-mqtt payloads-ndata-retain"},
		"NCMD retained":          {at(atNCmd, func(s *said) { s.retain = true }), "topics-ncmd-mqtt payloads-ncmd-retain"},
		"DCMD retained":          {at(atDCmd, func(s *said) { s.retain = true }), "topics-dcmd-mqtt payloads-dcmd-retain"},
		"DDEATH retained":        {at(atDDeath, func(s *said) { s.retain = true }), "topics-ddeath-mqtt"},
		"NDEATH retained":        {at(atNDeath, func(s *said) { s.retain = true }), "payloads-ndeath-will-message-retain message-flow-edge-node-birth-publish-will-message-will-retained"},
		"NBIRTH at QoS 1":        {at(atNBirth, func(s *said) { s.qos = 1 }), "topics-nbirth-mqtt payloads-nbirth-qos message-flow-edge-node-birth-publish-nbirth-qos"},
		"DDATA at QoS 1":         {at(atDData, func(s *said) { s.qos = 1 }), "topics-ddata-mqtt payloads-ddata-qos"},
		"STATE at QoS 0":         {at(atOnline, func(s *said) { s.qos = 0 }), "host-topic-phid-birth-qos"},
		"STATE death at QoS 0":   {at(atOffline, func(s *said) { s.qos = 0 }), "host-topic-phid-death-qos"},
		"STATE as text":          {at(atOnline, func(s *said) { s.raw = "ONLINE" }), "host-topic-phid-birth-payload conformance-primary-host"},
		"NBIRTH seq 1":           {in(atNBirth, func(p *pb.Payload) { p.Seq = proto.Uint64(1) }), "topics-nbirth-seq-num"},
		"seq skipped on DBIRTH":  {in(atDBirth, func(p *pb.Payload) { p.Seq = proto.Uint64(0) }), "topics-dbirth-seq payloads-dbirth-seq-inc message-flow-device-birth-publish-dbirth-payload-seq"},
		"seq over 255":           {in(atNData, func(p *pb.Payload) { p.Seq = proto.Uint64(258) }), "payloads-ndata-seq payloads-sequence-num-always-included"},
		"no seq":                 {in(atDData, func(p *pb.Payload) { p.Seq = nil }), "payloads-ddata-seq payloads-sequence-num-always-included"},
		"DDEATH without seq":     {in(atDDeath, func(p *pb.Payload) { p.Seq = nil }), "payloads-ddeath-seq payloads-ddeath-seq-number"},
		"NCMD with seq":          {in(atNCmd, func(p *pb.Payload) { p.Seq = proto.Uint64(0) }), "payloads-ncmd-seq"},
		"DCMD with seq":          {in(atDCmd, func(p *pb.Payload) { p.Seq = proto.Uint64(0) }), "payloads-dcmd-seq"},
		"message lost":           {func(s []said) []said { return slices.Delete(s, atNData, atNData+1) }, "topics-ddata-seq-num payloads-ddata-seq-inc payloads-sequence-num-incrementing"},
		"data before DBIRTH":     {func(s []said) []said { return slices.Delete(s, atDBirth, atDBirth+1) }, "payloads-ddata-order"},
		"birth of device first":  {func(s []said) []said { return append(slices.Clone(s[:atNBirth2]), s[atDBirth]) }, "payloads-dbirth-order message-flow-device-birth-publish-nbirth-wait"},
		"data after death":       {func(s []said) []said { return append(slices.Clone(s[:atNBirth2]), s[atNData]) }, "payloads-ndata-order"},
		"no payload timestamp":   {in(atNData, func(p *pb.Payload) { p.Timestamp = nil }), "topics-ndata-timestamp payloads-ndata-timestamp"},
		"local time":             {in(atDData, func(p *pb.Payload) { p.Timestamp = proto.Uint64(start + 3_600_000) }), "payloads-timestamp-in-UTC"},
		"metric to come":         {one(atNBirth, "Site/Flow", func(m *pb.Payload_Metric) { m.Timestamp = proto.Uint64(start + 3_600_000) }), "payloads-metric-timestamp-in-UTC"},
		"metric without time":    {one(atNBirth, "bdSeq", func(m *pb.Payload_Metric) { m.Timestamp = nil }), "payloads-name-birth-data-requirement"},
		"not in order of time":   {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Timestamp = proto.Uint64(start - 1) }), "operational-behavior-data-publish-dbirth-order"},
		"alias on Rebirth":       {one(atNBirth, "Node Control/Rebirth", func(m *pb.Payload_Metric) { m.Alias = proto.Uint64(77) }), "operational-behavior-data-commands-rebirth-name-aliases"},
		"Rebirth true":           {one(atNBirth, "Node Control/Rebirth", func(m *pb.Payload_Metric) { m.Value = &pb.Payload_Metric_BooleanValue{BooleanValue: true} }), "operational-behavior-data-commands-rebirth-value topics-nbirth-rebirth-metric"},
		"Rebirth no Boolean":     {one(atNBirth, "Node Control/Rebirth", func(m *pb.Payload_Metric) { m.Datatype = proto.Uint32(4) }), "operational-behavior-data-commands-rebirth-datatype"},
		"Rebirth missing":        {one(atNBirth, "Node Control/Rebirth", func(m *pb.Payload_Metric) { m.Name = new("Rebirth") }), "operational-behavior-data-commands-rebirth-name payloads-nbirth-rebirth-req"},
		"rebirth asked as false": {one(atNCmd, "Node Control/Rebirth", func(m *pb.Payload_Metric) { m.Value = &pb.Payload_Metric_BooleanValue{} }), "operational-behavior-data-commands-ncmd-rebirth-value"},
		"alias twice":            {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Alias = proto.Uint64(1) }), "payloads-alias-uniqueness"},
		"alias without name":     {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Name = nil }), "payloads-alias-birth-requirement topics-dbirth-metrics"},
		"alias and name":         {in(atNData, func(p *pb.Payload) { p.Metrics[0].Name = new("Site/Flow") }), "payloads-alias-data-cmd-requirement"},
		"neither":                {in(atNData, func(p *pb.Payload) { p.Metrics[0].Alias = nil }), "payloads-name-requirement"},
		"undeclared":             {in(atNData, func(p *pb.Payload) { p.Metrics[0].Alias = proto.Uint64(55) }), "topics-nbirth-metric-reqs operational-behavior-data-publish-nbirth"},
		"alias of the node":      {in(atDData2, func(p *pb.Payload) { p.Metrics[0].Alias = proto.Uint64(1) }), "topics-dbirth-metric-reqs operational-behavior-data-publish-dbirth"},
		"null with a value":      {one(atNBirth, "Site/Flow", func(m *pb.Payload_Metric) { m.IsNull = new(true) }), "operational-behavior-data-publish-nbirth-values"},
		"no value":               {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Value = nil }), "topics-dbirth-metrics operational-behavior-data-publish-dbirth-values"},
		"no datatype":            {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Datatype = nil }), "payloads-metric-datatype-req"},
		"datatype 99":            {one(atDBirth, "Level", func(m *pb.Payload_Metric) { m.Datatype = proto.Uint32(99) }), "payloads-metric-datatype-value"},
		"datatype in data":       {in(atNData, func(p *pb.Payload) { p.Metrics[0].Datatype = proto.Uint32(4) }), "payloads-metric-datatype-not-req"},
		"names differ in case":   {one(atNBirth, "Site/Empty", func(m *pb.Payload_Metric) { m.Name = new("site/flow") }), "case-sensitivity-metric-names"},
		"command of a stranger":  {in(atDCmd, func(p *pb.Payload) { p.Metrics[0].Alias = proto.Uint64(55) }), "operational-behavior-data-commands-dcmd-metric-name"},
		"command of nothing":     {in(atDCmd, func(p *pb.Payload) { p.Metrics = nil }), "topics-dcmd-payload"},
		"keys without values":    {property(func(s *pb.Payload_PropertySet) { s.Keys = append(s.Keys, "unit") }), "payloads-propertyset-keys-array-size"},
		"Quality 42":             {property(func(s *pb.Payload_PropertySet) { s.Values[0].Value = &pb.Payload_PropertyValue_IntValue{IntValue: 42} }), "payloads-propertyset-quality-value-value"},
		"Quality as Int64":       {property(func(s *pb.Payload_PropertySet) { s.Values[0].Type = proto.Uint32(4) }), "payloads-propertyset-quality-value-type"},
		"property without type":  {property(func(s *pb.Payload_PropertySet) { s.Values[0].Type = nil }), "payloads-metric-propertyvalue-type-req"},
		"property of type 99":    {property(func(s *pb.Payload_PropertySet) { s.Values[0].Type = proto.Uint32(99) }), "payloads-metric-propertyvalue-type-value"},
		"columns miscounted":     {table(func(d *pb.Payload_DataSet) { d.NumOfColumns = proto.Uint64(2) }), "payloads-dataset-column-size"},
		"types missing":          {table(func(d *pb.Payload_DataSet) { d.Types = nil }), "payloads-dataset-types-num payloads-dataset-parameter-type-req"},
		"column of type 99":      {table(func(d *pb.Payload_DataSet) { d.Types[0] = 99 }), "payloads-dataset-types-value"},
		"row too long":           {table(func(d *pb.Payload_DataSet) { d.Rows[0].Elements = append(d.Rows[0].Elements, d.Rows[0].Elements[0]) }), "payloads-template-dataset-value"},
		"definition with ref":    {template(atNBirth, "motor", func(t *pb.Payload_Template) { t.TemplateRef = new("motor") }), "payloads-template-definition-ref"},
		"definition in DBIRTH":   {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.IsDefinition = new(true) }), "payloads-template-definition-nbirth-only"},
		"is_definition left out": {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.IsDefinition = nil }), "payloads-template-is-definition"},
		"instance without ref":   {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.TemplateRef = nil }), "payloads-template-instance-ref"},
		"no definition":          {one(atNBirth, "motor", func(m *pb.Payload_Metric) { m.Name = new("pump") }), "payloads-template-definition-nbirth topics-nbirth-templates"},
		"member left out":        {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.Metrics = t.Metrics[1:] }), "payloads-template-instance-members-birth"},
		"member made up":         {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.Metrics[0].Name = new("x") }), "payloads-template-instance-members payloads-template-definition-members"},
		"parameter made up":      {template(atDBirth, "Motor", func(t *pb.Payload_Template) { t.Parameters[0].Name = new("x") }), "payloads-template-definition-parameters"},
		"parameter untyped":      {template(atNBirth, "motor", func(t *pb.Payload_Template) { t.Parameters[0].Type = nil }), "payloads-template-parameter-type-req"},
		"parameter nameless":     {template(atNBirth, "motor", func(t *pb.Payload_Template) { t.Parameters[0].Name = nil }), "payloads-template-parameter-name-required"},
		"parameter of type 99":   {template(atNBirth, "motor", func(t *pb.Payload_Template) { t.Parameters[0].Type = proto.Uint32(99) }), "payloads-template-parameter-type-value"},
		"garbage for NBIRTH":     {at(atNBirth, func(s *said) { s.p, s.raw = nil, "\x0a\xff" }), "message-flow-edge-node-birth-publish-nbirth-payload"},
		"device in NDATA":        {at(atNData, func(s *said) { s.topic += "/press" }), "topic-structure topic-structure-namespace-device-id-non-associated-message-types"},
		"no device in DDATA":     {at(atDData, func(s *said) { s.topic = strings.TrimSuffix(s.topic, "/press") }), "topic-structure topic-structure-namespace-device-id-associated-message-types"},
		"group with a plus":      {at(atNData, func(s *said) { s.topic = "spBv1.0/Pl+ant/NDATA/line1" }), "topic-structure-namespace-valid-group-id"},
		"empty node":             {at(atNData, func(s *said) { s.topic = "spBv1.0/Plant/NDATA/" }), "topic-structure-namespace-valid-edge-node-id"},
	}
	for name, f := range all {
		t.Run(name, func(t *testing.T) {
			r, by := grade(t, f.plant(session()))
			for id := range strings.FieldsSeq(f.ids) {
				if v, ok := by["tck-id-"+id]; !ok || v.Outcome != conform.Fail {
					t.Errorf("%s: %s, want fail", id, v.Outcome)
				}
			}
			if n := r.Count(conform.Fail); n > 16 {
				t.Errorf("one fault breaks %d assertions", n)
			}
		})
	}
	if len(all) < 30 {
		t.Errorf("%d planted faults, want at least 30", len(all))
	}
}

func long(v uint64) *pb.Payload_Metric_LongValue { return &pb.Payload_Metric_LongValue{LongValue: v} }

// TestLost checks that a node is not blamed for what the grader did not get.
func TestLost(t *testing.T) {
	w := conform.NewWatch()
	feed := func(s said) {
		b, err := proto.Marshal(s.p)
		if err != nil {
			t.Fatal(err)
		}
		w.Observe(conform.Message{At: sparkplug.DateTime(start).Time(), Topic: s.topic, QoS: s.qos, Payload: b})
	}
	all := session()
	feed(all[atNBirth])
	w.Lost()
	feed(all[atDData2])
	feed(all[atNDeath])
	if r := w.Report(); r.Failed() {
		_ = r.WriteText(t.Output(), false)
		t.Error("blamed for messages that the grader missed")
	}
}

func TestWriteJUnit(t *testing.T) {
	s := session()
	s[atNBirth].p.Seq = proto.Uint64(1)
	r, _ := grade(t, s)
	b := new(strings.Builder)
	if err := r.WriteJUnit(b); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &suite); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, c := range suite.Cases {
		if c.Failure != nil {
			failed++
		}
	}
	if suite.Tests != 299 || suite.Failures != failed || failed == 0 {
		t.Errorf("%d tests, %d failures said, %d there", suite.Tests, suite.Failures, failed)
	}
}

// FuzzWatch checks that no message makes a Watch panic, and that a report
// always has every assertion.
func FuzzWatch(f *testing.F) {
	for _, s := range session() {
		b := []byte(s.raw)
		if s.p != nil {
			b, _ = proto.Marshal(s.p)
		}
		f.Add(s.topic, b, false)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, retain bool) {
		w := conform.NewWatch()
		for range 2 {
			w.Observe(conform.Message{Topic: topic, Payload: payload, Retain: retain})
		}
		if r := w.Report(); len(r.Verdicts) != 299 {
			t.Errorf("%d verdicts", len(r.Verdicts))
		}
	})
}

func TestMatches(t *testing.T) {
	tests := []struct {
		filter, topic string
		want          bool
	}{
		{"#", "a/b", true},
		{"a/#", "a/b/c", true},
		{"a/+/c", "a/b/c", true},
		{"a/+", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/b/#", "a/b", true},
		{"spBv1.0/+/DDATA/#", "spBv1.0/Demo/DDATA/N/D", true},
		{"spBv1.0/+/DDATA/#", "spBv1.0/Demo/NDATA/N", false},
	}
	for _, tt := range tests {
		if got := conform.Matches(tt.filter, tt.topic); got != tt.want {
			t.Errorf("Matches(%q, %q) = %t", tt.filter, tt.topic, got)
		}
	}
}
