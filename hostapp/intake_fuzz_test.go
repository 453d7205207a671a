package hostapp

import (
	"errors"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

func testForm() *form {
	return &form{defs: []session.Def{
		{Name: "Speed", Type: sparkplug.TypeDouble, Properties: &sparkplug.PropertySet{
			Keys: []string{"engUnit"}, Values: []sparkplug.Property{{Value: sparkplug.String("rpm")}},
		}},
		{Name: "Table", Type: sparkplug.TypeDataSet, Transient: true},
	}}
}

// testLoad has a part of each kind, and entities that come back.
func testLoad() *load {
	f := testForm()
	l := &load{at: 1000, marks: []mark{
		{kind: markStarted, at: 900},
		{kind: markBorn, entity: 3, place: place{"G", "N", ""}, form: f, at: 910, sent: 905, event: history.Event{At: 910, Kind: history.NBIRTH, Group: "G", Node: "N", BdSeq: 4}},
		{before: 2, kind: markBorn, entity: 4, place: place{"G", "N", "D"}, form: f, at: 911, sent: 906},
		{before: 5, kind: markAway, entity: 4, at: 920, sent: 915},
		{before: 5, event: history.Event{At: 920, Kind: history.STATE, Node: "plant", Detail: "online"}},
		{before: 20000, kind: markGone, entity: 3, at: 930, sent: 925},
	}}
	for i := range 20000 {
		l.rows = append(l.rows, row{
			entity: uint32(3 + i/3%2), time: 800 + int64(i), value: sparkplug.Double(float64(i)), quality: uint16(192 * (i % 2)),
			historical: i%5 == 0, birth: i%7 == 0,
		})
	}
	for i := range 2 { // entity 4 is not born yet
		l.rows[i].entity = 3
	}
	return l
}

func must(t *testing.T, f *form) string {
	text, err := f.text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestIntakeRoundTrip checks that what goes into the journal comes out of it.
func TestIntakeRoundTrip(t *testing.T) {
	c := Config{ID: "plant", Journal: t.TempDir(), Servers: []Server{{Name: "x"}}}
	c, _ = c.ready()
	in, err := openIntake(c)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	want := testLoad()
	d := decoder{names: in.names.Text, forms: map[uint32]*form{}, told: map[uint32]uint32{}}
	var got load
	records := 0
	for want.rowsDone < len(want.rows) || want.marksDone < len(want.marks) {
		rows, marks, err := in.encode(want)
		if err != nil {
			t.Fatal(err)
		}
		want.rowsDone, want.marksDone = rows, marks
		if err := d.decode(&got, in.buf); err != nil {
			t.Fatal(err)
		}
		records++
	}
	if records < 3 || got.at != want.at || len(got.rows) != len(want.rows) || len(got.marks) != len(want.marks) {
		t.Fatalf("%d records, %d rows of %d, %d marks of %d", records, len(got.rows), len(want.rows), len(got.marks), len(want.marks))
	}
	entities := map[uint32]uint32{}
	for i := range want.marks {
		g, w := &got.marks[i], &want.marks[i]
		if g.kind == markBorn {
			entities[w.entity] = g.entity
			if a, b := must(t, g.form), must(t, w.form); a != b {
				t.Errorf("mark %d: form %q, want %q", i, a, b)
			}
		}
		if g.before != w.before || g.kind != w.kind || g.place != w.place || g.at != w.at || g.sent != w.sent || g.event != w.event || g.entity != entities[w.entity] {
			t.Errorf("mark %d: %+v, want %+v", i, g, w)
		}
	}
	for i := range want.rows {
		g, w := got.rows[i], want.rows[i]
		w.entity = entities[w.entity]
		if g != w {
			t.Fatalf("row %d: %+v, want %+v", i, g, w)
		}
	}
	// One who begins in the middle is told what the rows belong to.
	late := decoder{names: in.names.Text, forms: map[uint32]*form{}, told: map[uint32]uint32{}}
	var rest load
	if err := late.decode(&rest, in.buf); err != nil {
		t.Fatal(err)
	}
	if len(rest.marks) < 2 || rest.marks[0].kind != markKnown || rest.marks[0].before != 0 || rest.marks[0].place.group != "G" {
		t.Errorf("marks %+v", rest.marks)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	names := map[uint32]string{1: nameEntity + `["G","N",""]`}
	text, err := testForm().text()
	if err != nil {
		f.Fatal(err)
	}
	names[2] = nameForm + text
	list, _ := samples.Append(nil, []samples.Sample{{Time: 1, Quality: 192, Value: sparkplug.Double(1), Flags: flagBirth}})
	head := make([]byte, 8)
	f.Add(append(append(head, partRows, 1, 2), list...))
	f.Add(append(head, append([]byte{partMark, 22}, `{"k":1,"e":1,"f":2,"at":5}`...)...))
	f.Add(append(head, append([]byte{partMark, 27}, `{"k":1,"e":1,"f":2,"at":5}`...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{names: func(id uint32) (string, bool) { s, ok := names[id]; return s, ok }, forms: map[uint32]*form{}, told: map[uint32]uint32{}}
		var l load
		if err := d.decode(&l, b); err != nil && !errors.Is(err, errRecord) {
			t.Errorf("error %v of no known kind", err)
		}
		for i := range l.marks {
			if m := &l.marks[i]; m.before > len(l.rows) || (m.kind == markBorn || m.kind == markKnown) && m.form == nil {
				t.Errorf("mark %+v", m)
			}
		}
	})
}
