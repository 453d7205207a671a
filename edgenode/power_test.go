package edgenode

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/internal/journal/journaltest"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// powered is an agent's data on a disk that may lose power, and what is known of
// it from outside.
type powered struct {
	t       *testing.T
	disk    *journaltest.Disk
	next    uint8             // bdSeq that was made durable
	births  uint64            // NBIRTHs that were
	durable map[uint32]bool   // values that were, and have not arrived
	arrived map[uint32]bool   // values that have
	kept    map[uint64]uint32 // values by position, of this life
	value   uint32
	tick    int64
}

func (p *powered) open() (*disk, *spool) {
	p.t.Helper()
	k, err := openDisk(p.disk.Sub("."))
	if err != nil {
		return nil, nil
	}
	s, err := openSpool(spoolFiles{p.disk.Sub("spool"), p.disk.Sub("log"), p.disk.Sub("names")}, Spool{MaxBytes: 256 << 10},
		session.DeliveryConfig{Host: "plant", Acks: true}, slog.New(slog.DiscardHandler), func(n int) { p.t.Errorf("%d samples dropped", n) })
	if err != nil {
		return nil, nil
	}
	return k, s
}

var poweredDevice = &deviceDef{id: "D", metrics: []metricDef{{name: "a", scaling: scaling{pub: sparkplug.TypeUInt32}}, {name: "b", scaling: scaling{pub: sparkplug.TypeString}}}}

// live plays one life of an agent, until the power goes.
func (p *powered) live() error {
	k, s := p.open()
	if k == nil {
		return journaltest.ErrCrashed
	}
	p.kept = map[uint64]uint32{}
	if err := k.nextBirth(); err != nil {
		return err
	}
	p.births = k.data.Births
	s.delivery.Born(k.data.Births, false, p.tick)
	next := k.data.NextBdSeq + 1
	if err := k.setNext(next); err != nil {
		return err
	}
	p.next = next
	d := &device{def: poweredDevice, numbered: s.number(poweredDevice)}
	if err := s.names.Sync(); err != nil {
		return err
	}
	for i := range 48 {
		p.tick += 700
		p.value++
		at, err := s.keep(d, []report{
			{value: sparkplug.Uint(sparkplug.TypeUInt32, uint64(p.value)), time: p.tick, slot: 0, quality: 192},
			{value: sparkplug.String(strings.Repeat("x", 1000)), time: p.tick, slot: 1, quality: 192},
		})
		if err != nil {
			return err
		}
		p.kept[at.From] = p.value
		if i%4 == 3 {
			if err := s.sync(); err != nil {
				return err
			}
			for pos, v := range p.kept {
				if !s.delivery.Covered(pos) {
					p.durable[v] = true
				}
			}
		}
		if i%2 == 1 { // also of what is not durable here
			for pos, v := range p.kept {
				if v%5 != 0 || i == 47 {
					s.delivery.Gone(session.Span{From: pos, To: pos + 1})
					p.arrived[v] = true
					delete(p.durable, v)
				}
			}
		}
		s.save(time.UnixMilli(p.tick), false)
	}
	return s.close()
}

// look wants what was promised.
func (p *powered) look(when string) {
	p.t.Helper()
	k, s := p.open()
	require.NotNil(p.t, k, "%s: it does not open", when)
	require.GreaterOrEqual(p.t, k.data.NextBdSeq, p.next, when)
	require.GreaterOrEqual(p.t, k.data.Births, p.births, when)
	p.next, p.births = k.data.NextBdSeq, k.data.Births
	d := &device{def: poweredDevice, numbered: s.number(poweredDevice)}
	there := map[uint32]bool{}
	_, err := s.read(session.Span{From: 1, To: s.journal.Load().Next()}, func(pos uint64, _ time.Time, device uint32, list []byte) bool {
		if s.delivery.Covered(pos) {
			return true
		}
		reports, lost, err := s.reports(nil, d, list)
		require.NoError(p.t, err)
		require.Equal(p.t, d.numbered.device, device)
		require.Zero(p.t, lost)
		require.Len(p.t, reports, 2)
		there[uint32(reports[0].value.Uint())] = true
		return true
	})
	require.NoError(p.t, err, when)
	for v := range p.durable {
		require.True(p.t, there[v], "%s: %d was durable, has not arrived, and is gone", when, v)
	}
	var at []session.Span
	for range 8 {
		span, err := s.keep(d, []report{{value: sparkplug.Uint(sparkplug.TypeUInt32, 0), time: p.tick, slot: 0}})
		require.NoError(p.t, err, when)
		at = append(at, span)
	}
	_, s = p.open() // killed
	for _, span := range at {
		require.False(p.t, s.delivery.Covered(span.From), "%s: what came after it is taken for delivered", when)
	}
	require.NoError(p.t, s.close(), when)
}

// Whenever the power goes: the spool and the session's file open, nothing that
// was durable and has not arrived is lost, bdSeq and the number of births do not
// go back, and what comes next is not taken for delivered.
func TestPowerLoss(t *testing.T) {
	play := func(cut int, share float64, seed uint64) (ops int) {
		p := &powered{t: t, disk: journaltest.NewDisk(seed), durable: map[uint32]bool{}, arrived: map[uint32]bool{}}
		require.NoError(t, p.live())
		before := p.disk.Ops()
		if cut > 0 {
			p.disk.CutPowerAfter(cut)
		}
		err := p.live()
		if cut == 0 {
			require.NoError(t, err)
			return p.disk.Ops() - before
		}
		require.ErrorIs(t, p.disk.Sub(".").Sync(), journaltest.ErrCrashed) // live need not have noticed at its end
		p.disk.Reboot(share)
		p.look(fmt.Sprintf("power cut at operation %d, %.0f %% of what was not synced is there", cut, 100*share))
		require.NoError(t, p.live())
		return 0
	}
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	ops := play(0, 0, 0)
	t.Logf("%d operations", ops)
	require.Greater(t, ops, 100)
	for cut := 1; cut <= ops; cut++ {
		for _, share := range []float64{0, 0.25, 0.5, 0.75, 1} {
			for seed := range seeds {
				play(cut, share, seed)
			}
		}
	}
}
