package edgenode

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/edgenode/driver"
	"github.com/magneto-iiot/magneto/internal/config"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// links opens a driver for each connection; that does no I/O.
func (k *compiler) links() {
	for _, name := range slices.Sorted(maps.Keys(k.cfg.Connections)) {
		c := k.cfg.Connections[name]
		path := config.Key("connections", name)
		l := &linkDef{name: name, driver: c.Driver, timeout: requestTimeout(c.Options)}
		if b, err := json.Marshal(c); err == nil {
			l.signature = string(b)
		}
		k.plan.links = append(k.plan.links, l)
		if c.Driver == "" {
			k.check.Faultf(config.Key(path, "driver"), "driver is missing: name one")
		} else if k.drivers != nil {
			k.open(path, l, c.Options)
		}
	}
}

func (k *compiler) open(path string, l *linkDef, options map[string]any) {
	open, ok := k.drivers[l.driver]
	if !ok {
		names := slices.Sorted(maps.Keys(k.drivers))
		k.check.Faultf(config.Key(path, "driver"), "unknown driver %q%s", l.driver, orText(suggest(l.driver, names), ": "+among(k.drivers)))
		return
	}
	drv, err := open(driver.Config{Name: l.name, Options: options})
	for _, e := range flatten(err) {
		if o, ok := errors.AsType[*driver.OptionError](e); ok {
			k.check.Faultf(config.Key(path, o.Key), "%s: %s", o.Key, o.Reason)
			continue
		}
		k.check.Faultf(path, "%v", e)
	}
	if err == nil {
		l.drv, l.endpoint = drv, drv.Endpoint()
	}
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// requestTimeout is how long one request may take before the engine stops
// waiting: twice the driver's own timeout and a second, since the driver
// should notice first.
func requestTimeout(options map[string]any) time.Duration {
	own := time.Second // what drivers take by default
	if s, ok := options["timeout"].(string); ok {
		if d, err := config.ParseDuration(s); err == nil {
			own = d.Std()
		}
	}
	return 2*own + time.Second
}

// tags lets the drivers check the addresses of all metrics.
func (k *compiler) tags() {
	for _, l := range k.plan.links {
		if l.drv == nil {
			continue
		}
		var tags []driver.Tag
		var metrics []*metricDef
		for _, d := range k.plan.devices {
			for i := range d.metrics {
				if m := &d.metrics[i]; d.link == l.name && !m.inMemory() {
					t := m.tag
					t.ID = uint32(len(tags))
					tags, metrics = append(tags, t), append(metrics, m)
				}
			}
		}
		_, bad := l.drv.Compile(tags)
		refused := make(map[uint32]bool, len(bad))
		for _, e := range bad {
			refused[e.ID] = true
			if e.Field == "type" && tags[e.ID].Type == sparkplug.TypeUnknown {
				continue // it is why the type is unknown that is wrong
			}
			metrics[e.ID].origin.fault(k.check, orText(e.Field, "addr"), "%q: %s", e.Addr, e.Reason)
		}
		if w, ok := l.drv.(driver.WriteChecker); ok {
			k.writes(w, tags, metrics, refused)
		}
	}
}

// writes lets a driver check the tags that may be commanded.
func (k *compiler) writes(w driver.WriteChecker, tags []driver.Tag, metrics []*metricDef, refused map[uint32]bool) {
	for i, m := range metrics {
		if m.write == nil || refused[tags[i].ID] {
			continue
		}
		if e := w.CheckWrite(tags[i]); e != nil {
			m.origin.fault(k.check, "write", "%q: %s: leave out write", e.Addr, e.Reason)
		}
	}
}
