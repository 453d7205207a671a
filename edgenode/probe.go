package edgenode

import (
	"context"
	"errors"
	"strconv"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Reading is what Probe found out about one metric.
type Reading struct {
	Device, Metric, Connection, Addr string
	Unit                             string          // engineering unit, if it has one
	Value                            sparkplug.Value // scaled, as it would be published
	Err                              error           // why there is no value; nil if there is one
}

// ErrUnreachable is wrapped by the error of Probe when a connection could not
// be made.
var ErrUnreachable = errors.New("edgenode: unreachable")

// Probe connects to all equipment of cfg, reads every tag once and closes. It
// gives a reading for each metric with an address, also with an error.
func Probe(ctx context.Context, cfg Config, drivers Drivers) ([]Reading, error) {
	check := config.NewChecker()
	p := compile(cfg, orDrivers(drivers), check)
	if err := check.Err(); err != nil {
		return nil, err
	}
	var out []Reading
	var errs []error
	for _, l := range p.links {
		got, err := probeLink(ctx, p, l)
		out = append(out, got...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

// unread is a reading before it is read, with its metric.
type unread struct {
	*Reading
	def *metricDef
}

func probeLink(ctx context.Context, p *plan, l *linkDef) ([]Reading, error) {
	out, tags, metrics := probeTags(p, l)
	if len(tags) == 0 {
		return nil, nil
	}
	defer func() { _ = guard(l.drv.Close) }() // all was read, or failed with a better reason
	if err := probeConnect(ctx, l); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out, errors.Join(ErrUnreachable, err)
	}
	blocks, _ := l.drv.Compile(tags)
	for i := range blocks {
		probeBlock(ctx, l, &blocks[i], metrics)
	}
	return out, nil
}

func probeTags(p *plan, l *linkDef) (out []Reading, tags []driver.Tag, metrics []unread) {
	for _, d := range p.devices {
		for i := range d.metrics {
			m := &d.metrics[i]
			if d.link != l.name || m.inMemory() {
				continue
			}
			t := m.tag
			t.ID = uint32(len(tags))
			tags = append(tags, t)
			r := Reading{Device: d.id, Metric: m.name, Connection: l.name, Addr: m.tag.Addr, Err: errNotRead}
			if u, ok := m.props.Get("engUnit"); ok {
				r.Unit = u.Value.Str()
			}
			out = append(out, r)
			metrics = append(metrics, unread{def: m})
		}
	}
	for i := range metrics {
		metrics[i].Reading = &out[i]
	}
	return out, tags, metrics
}

var errNotRead = errors.New("not read")

func probeConnect(ctx context.Context, l *linkDef) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return guard(func() error { return l.drv.Connect(ctx) })
}

// probeBlock reads a block; one that is refused it halves, and after a lost
// connection it dials once more.
func probeBlock(ctx context.Context, l *linkDef, b *driver.Block, metrics []unread) {
	samples := make([]driver.Sample, len(b.Tags))
	err := guard(func() error {
		ctx, cancel := context.WithTimeout(ctx, l.timeout)
		defer cancel()
		return l.drv.Read(ctx, b, samples)
	})
	if errors.Is(err, driver.ErrAddress) {
		if left, right, ok := split(l.drv, b); ok {
			probeBlock(ctx, l, &left, metrics)
			probeBlock(ctx, l, &right, metrics)
			return
		}
	}
	if errors.Is(err, driver.ErrOffline) {
		_ = probeConnect(ctx, l) // for the next block; this one has its error
	}
	for i, id := range b.Tags {
		m := metrics[id]
		m.Err = err
		if err != nil {
			continue
		}
		v, ok := m.def.scaling.publish(samples[i].Value)
		switch {
		case samples[i].Quality != driver.Good:
			m.Err = errors.New("quality " + strconv.Itoa(int(samples[i].Quality)))
		case !ok:
			m.Err = errors.New("the value does not fit " + m.def.scaling.pub.String())
		}
		m.Value = v
	}
}
