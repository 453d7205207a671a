package modbus

import (
	"fmt"
	"slices"
	"testing"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/sparkplug"
	"pgregory.net/rapid"
)

// TestPlans compares plans written as unit/table:start+count.
func TestPlans(t *testing.T) {
	tests := map[string]struct {
		addrs []string // Int16, Float when it ends in f
		want  []string
	}{
		"one":              {[]string{"hr:5"}, []string{"1/hr:5+1"}},
		"out of order":     {[]string{"hr:7", "hr:5", "hr:6"}, []string{"1/hr:5+3"}},
		"gap bridged":      {[]string{"hr:0", "hr:5"}, []string{"1/hr:0+6"}},
		"gap too wide":     {[]string{"hr:0", "hr:6"}, []string{"1/hr:0+1", "1/hr:6+1"}},
		"block full":       {[]string{"hr:0", "hr:4", "hr:8", "hr:9"}, []string{"1/hr:0+10"}},
		"block overfull":   {[]string{"hr:0", "hr:4", "hr:8", "hr:10"}, []string{"1/hr:0+9", "1/hr:10+1"}},
		"tag never split":  {[]string{"hr:0", "hr:4", "hr:8", "hr:9f"}, []string{"1/hr:0+9", "1/hr:9+2"}},
		"tables apart":     {[]string{"ir:1", "hr:0"}, []string{"1/hr:0+1", "1/ir:1+1"}},
		"bits of register": {[]string{"hr:3.1", "hr:3.0", "hr:3.15"}, []string{"1/hr:3+1"}},
		"overlap":          {[]string{"hr:0f", "hr:1", "hr:0"}, []string{"1/hr:0+2"}},
		"coils are bits":   {[]string{"co:0", "co:65", "co:200"}, []string{"1/co:0+66", "1/co:200+1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := Open(driver.Config{Name: "x", Options: driver.Options{"url": "tcp://h", "max_block": 10, "max_gap": 4}})
			if err != nil {
				t.Fatal(err)
			}
			var tags []driver.Tag
			for i, a := range tt.addrs {
				tag := driver.Tag{ID: uint32(i), Addr: a, Type: sparkplug.TypeInt16}
				switch {
				case a[len(a)-1] == 'f':
					tag.Addr, tag.Type = a[:len(a)-1], sparkplug.TypeFloat
				case a[0] == 'c' || slices.Contains([]byte(a), '.'):
					tag.Type = sparkplug.TypeBoolean
				}
				tags = append(tags, tag)
			}
			blocks, bad := d.Compile(tags)
			if len(bad) > 0 {
				t.Fatal(bad)
			}
			var got []string
			for _, b := range blocks {
				p := b.Plan.(*plan)
				got = append(got, fmt.Sprintf("%d/%s:%d+%d", p.unit, p.table, p.start, p.count))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("plans %v; want %v", got, tt.want)
			}
		})
	}
}

// TestPlanLaw: whatever the tags, every one is in exactly one block and whole,
// no block is over its limit or starts or ends unwanted, and no run of addresses
// in it that no tag wants is over the limit of gaps. Split keeps all that.
func TestPlanLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := limits{block: rapid.IntRange(4, 125).Draw(t, "block"), gap: rapid.IntRange(0, 125).Draw(t, "gap")}
		draw := rapid.Custom(func(t *rapid.T) item {
			tab := rapid.SampledFrom([]table{holding, input, coil, discrete}).Draw(t, "table")
			block, _ := lim.of(tab)
			w := rapid.IntRange(1, block).Draw(t, "width")
			if rapid.Bool().Draw(t, "small") {
				w = min(w, 4)
			}
			span := rapid.SampledFrom([]int{50, 500, 1 << 16}).Draw(t, "span")
			start := rapid.IntRange(0, max(0, span-w)).Draw(t, "start")
			return item{
				layout: layout{address: address{table: tab, start: uint16(start)}, width: w},
				unit:   byte(rapid.IntRange(0, 2).Draw(t, "unit")),
			}
		})
		items := rapid.SliceOfN(draw, 0, 60).Draw(t, "items")
		for i := range items {
			items[i].id = uint32(i)
		}
		given := slices.Clone(items)

		plans := makePlans(items, lim)
		checkPlans(t, plans, given, lim)
		var halves []*plan
		for _, p := range plans {
			l, r, ok := p.split()
			if ok != (len(p.items) > 1) {
				t.Fatalf("split of %d items: %v", len(p.items), ok)
			}
			if ok {
				halves = append(halves, l, r)
			} else {
				halves = append(halves, p)
			}
		}
		checkPlans(t, halves, given, lim)
	})
}

func checkPlans(t *rapid.T, plans []*plan, given []item, lim limits) {
	type place struct {
		unit  byte
		table table
		at    int
	}
	anybody := map[place]bool{}
	for _, it := range given {
		for at := int(it.start); at < it.end(); at++ {
			anybody[place{it.unit, it.table, at}] = true
		}
	}
	seen := map[uint32]bool{}
	for _, p := range plans {
		block, gap := lim.of(p.table)
		if p.count < 1 || p.count > block || p.start+p.count > 1<<16 {
			t.Fatalf("plan %s:%d+%d is over the limit of %d", p.table, p.start, p.count, block)
		}
		wanted := make([]bool, p.count)
		for _, it := range p.items {
			if seen[it.id] || it != given[it.id] {
				t.Fatalf("item %d is in two plans, or changed", it.id)
			}
			seen[it.id] = true
			if it.unit != p.unit || it.table != p.table || int(it.start) < p.start || it.end() > p.start+p.count {
				t.Fatalf("item %+v is not inside its plan %s:%d+%d", it, p.table, p.start, p.count)
			}
			for i := int(it.start); i < it.end(); i++ {
				wanted[i-p.start] = true
			}
		}
		unwanted := 0
		for i := range wanted {
			if anybody[place{p.unit, p.table, p.start + i}] {
				unwanted = 0
			} else if unwanted++; unwanted > gap {
				t.Fatalf("plan %s:%d+%d has a gap over %d", p.table, p.start, p.count, gap)
			}
		}
		if !wanted[0] || !wanted[p.count-1] {
			t.Fatalf("plan %s:%d+%d starts or ends with what nobody wants", p.table, p.start, p.count)
		}
	}
	if len(seen) != len(given) {
		t.Fatalf("%d of %d items are planned", len(seen), len(given))
	}
}

func TestCheckWrite(t *testing.T) {
	d, err := Open(driver.Config{Options: driver.Options{"url": "tcp://127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	w := d.(driver.WriteChecker)
	for addr, want := range map[string]string{
		"hr:1": "", "co:1": "", "ir:1": "ir is a table that takes no writes", "di:1": "di is a table that takes no writes",
	} {
		typ := sparkplug.TypeBoolean
		if addr[1] == 'r' {
			typ = sparkplug.TypeUInt16
		}
		got := w.CheckWrite(driver.Tag{ID: 7, Addr: addr, Type: typ})
		if (got == nil) != (want == "") || got != nil && (got.Reason != want || got.ID != 7 || got.Addr != addr) {
			t.Errorf("%s: %v, want %q", addr, got, want)
		}
	}
}
