package edgenode

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/magneto-iiot/magneto/internal/samples"
	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/session"
)

// mostFormer bounds the metrics that are declared though they are not configured
// any more, so that births do not outgrow what hosts take.
const mostFormer = 10_000

// withFormer is the devices of a plan, the node first, and with them what is not
// configured any more but has reports in the spool: it stays declared, without a
// value, until they have arrived. A metric that is configured with another
// datatype now is not among them: a birth can declare it once only.
func (a *Agent) withFormer(p *plan) []*deviceDef {
	defs := append([]*deviceDef{p.node}, p.devices...)
	gone := a.spool.unconfigured(defs)
	if len(gone) == 0 {
		return defs
	}
	if len(gone) > mostFormer {
		a.log.Warn("spool: too much is not configured any more: reports of some of it are lost", "metrics", len(gone), "most", mostFormer)
		gone = gone[:mostFormer]
	}
	until := a.spool.journal.Load().Next()
	byID := map[string]*deviceDef{}
	for i, def := range defs {
		byID[def.id] = def
		if slices.ContainsFunc(gone, func(f former) bool { return f.device == def.id }) {
			more := *def
			more.metrics = slices.Clone(def.metrics)
			defs[i], byID[def.id] = &more, &more
		}
	}
	for _, f := range gone {
		def := byID[f.device]
		if def == nil {
			def = &deviceDef{id: f.device, former: true}
			byID[f.device] = def
			defs = append(defs, def)
		}
		def.formerUntil = until
		def.metrics = append(def.metrics, metricDef{name: f.metric, scaling: scaling{pub: f.typ}, props: qualityOnly(stale), former: true})
	}
	a.log.Info("not configured any more, but declared until its reports have arrived", "metrics", len(gone))
	return defs
}

// former is a metric that is not configured.
type former struct {
	device, metric string
	typ            sparkplug.DataType
}

// unconfigured finds the metrics of records that wait which are not among defs.
func (s *spool) unconfigured(defs []*deviceDef) (gone []former) {
	if s.waiting() == 0 {
		return nil
	}
	known := map[[2]string]bool{}
	for _, def := range defs {
		for i := range def.metrics {
			known[[2]string{def.id, def.metrics[i].name}] = true
		}
	}
	byID := map[uint32]former{}
	s.names.All(func(id uint32, text string) {
		var parts []string
		if json.Unmarshal([]byte(text), &parts) != nil || len(parts) != 4 || parts[0] != nameMetric || known[[2]string{parts[1], parts[2]}] {
			return
		}
		if t, ok := sparkplug.ParseDataType(parts[3]); ok {
			byID[id] = former{parts[1], parts[2], t}
		}
	})
	seen := map[[2]string]bool{}
	for next, end := s.delivery.Low(), s.journal.Load().Next(); next < end && len(byID) > 0; {
		passed, err := s.read(session.Span{From: next, To: end}, func(pos uint64, _ time.Time, _ uint32, list []byte) bool {
			if s.delivery.Sure(pos) {
				return true
			}
			s.list, _, _ = samples.Read(s.list[:0], list) // what cannot be read is told when it is sent
			for i := range s.list {
				f, ok := byID[s.list[i].ID]
				if !ok {
					continue
				}
				delete(byID, s.list[i].ID)
				if at := [2]string{f.device, f.metric}; !seen[at] { // the first of its types
					seen[at] = true
					gone = append(gone, f)
				}
			}
			clear(s.list)
			return len(byID) > 0
		})
		if err != nil || passed <= next {
			break
		}
		next = passed
	}
	return gone
}

// retire takes back what was declared for the sake of its reports, once these
// have arrived: devices at once, metrics with the next birth.
func (a *Agent) retire() {
	low := a.spool.delivery.Low()
	for _, d := range append([]*device{a.node}, a.devices...) {
		if d.def.formerUntil == 0 || d.retired || low < d.def.formerUntil {
			continue
		}
		d.retired = true
		if !d.def.former {
			continue
		}
		a.log.Info("reports of a device that is not configured any more have arrived", "device", d.def.id)
		a.step(session.EdgeEvent{Kind: session.EdgeDeviceGone, Device: d.def.id})
		delete(a.byID, d.def.id)
		delete(a.numbers, d.numbered.device)
		a.devices = slices.DeleteFunc(a.devices, func(o *device) bool { return o == d })
	}
}
