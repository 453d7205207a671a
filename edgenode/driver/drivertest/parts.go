package drivertest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
)

func testOptions(t *testing.T, b *bench) {
	cfg := b.Config
	cfg.Options = driver.Options{"no_such_option": 1}
	maps.Copy(cfg.Options, b.Config.Options)
	_, err := b.Open(cfg)
	bad, ok := errors.AsType[*driver.OptionError](err)
	if !ok || bad.Key != "no_such_option" {
		t.Errorf("Open with an unknown option: %v; want an OptionError that names it", err)
	}
	if b.d.Endpoint() == "" {
		t.Error("Endpoint is empty")
	}
}

func testCompile(t *testing.T, b *bench) {
	tags := append(b.tags(), b.Unknown)
	before := slices.Clone(tags)
	blocks, bad := b.d.Compile(tags)
	if !slices.Equal(tags, before) {
		t.Error("Compile changed the tags it was given")
	}
	if len(bad) != 1 || bad[0].ID != b.Unknown.ID || bad[0].Reason == "" || bad[0].Field == "" {
		t.Errorf("Compile: bad tags %+v; want only %q, with field and reason", bad, b.Unknown.Addr)
	}
	var got, want []uint32
	for _, bl := range blocks {
		got = append(got, bl.Tags...)
	}
	for _, p := range b.Points {
		want = append(want, p.Tag.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("blocks hold tags %v; want each of %v once", got, want)
	}
	if blocks, bad := b.d.Compile(nil); len(blocks) != 0 || len(bad) != 0 {
		t.Errorf("Compile of nothing: %v, %v", blocks, bad)
	}
}

// testStateless compiles halves apart: blocks of an earlier Compile stay good,
// and the tags that were passed in may be reused.
func testStateless(t *testing.T, b *bench) {
	tags := b.tags()
	blocks := compile(t, b.d, tags[:1])
	blocks = append(blocks, compile(t, b.d, tags[1:])...)
	clear(tags)
	b.connect(t)
	got, err := b.read(within(t, patience), blocks)
	if err != nil || len(got) != len(b.Points) {
		t.Errorf("Read of blocks of two Compiles: %d samples, %v; want %d", len(got), err, len(b.Points))
	}
}

func testRead(t *testing.T, b *bench) {
	b.connect(t)
	b.check(t)
}

// testValuesStay reads twice into different memory: the first values must not
// change.
func testValuesStay(t *testing.T, b *bench) {
	b.connect(t)
	blocks := compile(t, b.d, b.tags())
	first, err := b.read(within(t, patience), blocks)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	kept := map[uint32]sparkplug.Value{}
	for id, s := range first {
		kept[id] = s.Value.Clone()
	}
	for _, err := range b.d.Write(within(t, patience), []driver.Write{b.Write}) {
		if err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
	if _, err := b.read(within(t, patience), blocks); err != nil {
		t.Fatalf("Read: %v", err)
	}
	for id, s := range first {
		if !s.Value.Equal(kept[id]) {
			t.Errorf("tag %d: a later Read changed %v to %v", id, kept[id], s.Value)
		}
	}
}

func testWrite(t *testing.T, b *bench) {
	b.connect(t)
	if errs := b.d.Write(within(t, patience), nil); len(errs) != 0 {
		t.Errorf("Write of nothing: %v", errs)
	}
	errs := b.d.Write(within(t, patience), []driver.Write{b.ReadOnly, b.Write})
	if len(errs) != 2 {
		t.Fatalf("Write: %d errors for 2 writes", len(errs))
	}
	wantClass(t, "write to a read-only point", errs[0], driver.ErrReadOnly)
	if errs[1] != nil {
		t.Fatalf("Write behind a refused one: %v", errs[1])
	}
	got, err := b.read(within(t, patience), compile(t, b.d, []driver.Tag{b.Write.Tag}))
	if s := got[b.Write.Tag.ID]; err != nil || !s.Value.Equal(b.Write.Value) {
		t.Errorf("read back %v, %v; want %v", s.Value, err, b.Write.Value)
	}
}

// testCheckWrite checks that a driver.WriteChecker agrees with what Write does.
func testCheckWrite(t *testing.T, b *bench) {
	w, ok := b.d.(driver.WriteChecker)
	if !ok {
		return
	}
	if e := w.CheckWrite(b.Write.Tag); e != nil {
		t.Errorf("CheckWrite of a point that can be set: %v", e)
	}
	if e := w.CheckWrite(b.ReadOnly.Tag); e == nil || e.ID != b.ReadOnly.Tag.ID || e.Reason == "" {
		t.Errorf("CheckWrite of a read-only point: %v", e)
	}
}

func testWriteRefused(t *testing.T, b *bench) {
	b.connect(t)
	unknown := driver.Write{Tag: b.Unknown, Value: b.Write.Value}
	null := driver.Write{Tag: b.Write.Tag, Value: sparkplug.Null(b.Write.Tag.Type)}
	wrong := driver.Write{Tag: b.Write.Tag, Value: sparkplug.OfDataSet(&sparkplug.DataSet{})}
	errs := b.d.Write(within(t, patience), []driver.Write{b.Misfit, unknown, null, wrong})
	if len(errs) != 4 {
		t.Fatalf("Write: %d errors for 4 writes", len(errs))
	}
	wantClass(t, "write of a value that does not fit", errs[0], driver.ErrValue)
	wantClass(t, "write to an unknown address", errs[1], driver.ErrAddress)
	wantClass(t, "write of null", errs[2], driver.ErrValue)
	wantClass(t, "write of another type", errs[3], driver.ErrValue)
	b.check(t) // the connection is still good and nothing was changed
}

func testNotConnected(t *testing.T, b *bench) {
	blocks := compile(t, b.d, b.tags())
	_, err := b.read(within(t, patience), blocks)
	wantClass(t, "Read before Connect", err, driver.ErrOffline)
	for _, err := range b.d.Write(within(t, patience), []driver.Write{b.Write}) {
		wantClass(t, "Write before Connect", err, driver.ErrOffline)
	}
}

func testClose(t *testing.T, b *bench) {
	for _, when := range []string{"without Connect", "once more"} {
		if err := b.d.Close(); err != nil {
			t.Errorf("Close %s: %v", when, err)
		}
	}
	b.connect(t)
	for _, when := range []string{"after Connect", "twice"} {
		if err := b.d.Close(); err != nil {
			t.Errorf("Close %s: %v", when, err)
		}
	}
	_, err := b.read(within(t, patience), compile(t, b.d, b.tags()))
	wantClass(t, "Read after Close", err, driver.ErrOffline)
	b.connect(t)
	b.connect(t) // connecting when connected starts afresh
	b.check(t)
}

func testCanceled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantClass(t, "Connect with a canceled ctx", b.d.Connect(ctx), driver.ErrOffline)
	b.connect(t)
	_, err := b.read(ctx, compile(t, b.d, b.tags()))
	wantClass(t, "Read with a canceled ctx", err, driver.ErrOffline)
	b.connect(t)
	b.check(t)
}

func testReconnect(t *testing.T, b *bench) {
	if b.Cut == nil {
		t.Skip("this equipment cannot vanish")
	}
	b.connect(t)
	blocks := compile(t, b.d, b.tags())
	b.Cut()
	_, err := b.read(within(t, patience), blocks)
	wantClass(t, "Read of vanished equipment", err, driver.ErrOffline)
	for _, err := range b.d.Write(within(t, patience), []driver.Write{b.Write, b.Write}) {
		wantClass(t, "Write after that", err, driver.ErrOffline)
	}
	wantClass(t, "Connect to vanished equipment", b.d.Connect(within(t, patience)), driver.ErrOffline)

	b.Restore()
	_, err = b.read(within(t, patience), blocks)
	wantClass(t, "Read of returned equipment without Connect", err, driver.ErrOffline)
	b.connect(t)
	if got, err := b.read(within(t, patience), blocks); err != nil || len(got) != len(b.Points) {
		t.Errorf("Read of blocks compiled before: %d samples, %v", len(got), err)
	}
	b.check(t)
}

// testDeadline has the equipment fall silent: the call ends with its ctx, and
// what comes late is not taken for a later answer.
func testDeadline(t *testing.T, b *bench) {
	if b.Stall == nil {
		t.Skip("this equipment cannot fall silent")
	}
	b.connect(t)
	blocks := compile(t, b.d, b.tags())
	b.Stall(true)
	const short = 100 * time.Millisecond
	start := time.Now()
	_, err := b.read(within(t, short), blocks)
	if took := time.Since(start); took > patience/2 {
		t.Errorf("Read with %v left took %v", short, took)
	}
	wantClass(t, "Read of silent equipment", err, driver.ErrOffline)
	if blocks[0].Unit != "" {
		wantClass(t, "Read of a silent unit", err, driver.ErrUnit)
	}
	b.Stall(false)
	b.connect(t)
	b.check(t)
}

// testBisection does what the engine does with a block that holds one illegal
// address.
func testBisection(t *testing.T, b *bench) {
	if b.Illegal == nil {
		t.Skip("this protocol has no illegal addresses beyond what Compile finds")
	}
	split, ok := b.d.(driver.Splitter)
	if !ok {
		t.Fatal("a driver with illegal addresses must be a driver.Splitter")
	}
	b.connect(t)
	queue := compile(t, b.d, append(b.tags(), *b.Illegal))
	good := map[uint32]bool{}
	var bad []uint32
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		got, err := b.read(within(t, patience), []driver.Block{next})
		if err == nil {
			for id := range got {
				good[id] = true
			}
			continue
		}
		wantClass(t, "Read of a block with an illegal address", err, driver.ErrAddress)
		left, right, ok := split.Split(&next)
		if !ok {
			bad = append(bad, next.Tags...)
			continue
		}
		if got := len(left.Tags) + len(right.Tags); got != len(next.Tags) || len(left.Tags) == 0 || len(right.Tags) == 0 {
			t.Fatalf("Split of %d tags gave %d and %d", len(next.Tags), len(left.Tags), len(right.Tags))
		}
		queue = append(queue, left, right)
	}
	if !slices.Equal(bad, []uint32{b.Illegal.ID}) || len(good) != len(b.Points) {
		t.Errorf("bisection blamed %v and kept %d tags; want %d and %d", bad, len(good), b.Illegal.ID, len(b.Points))
	}
}
