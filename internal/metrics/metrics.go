// Package metrics shows counters and gauges of a program in the text format of
// Prometheus. It is the only package that knows client_golang; values are
// gathered when they are asked for, so that nothing is counted twice.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Kind is the type of a metric.
type Kind uint8

// The kinds: a Counter only grows, a Gauge goes both ways.
const (
	Counter Kind = iota
	Gauge
)

// Label is one dimension of a Sample.
type Label struct{ Name, Value string }

// Sample is one value. Samples of one name have the same kind, help and label
// names; a sample that breaks this, or has an invalid name, is left out and
// reported by Prometheus's own error counter.
type Sample struct {
	Name   string // such as magneto_host_messages_total
	Help   string // one sentence
	Kind   Kind
	Value  float64
	Labels []Label
}

// Source adds the present values. It is called for each request, at times from
// several goroutines at once.
type Source func(add func(Sample))

// Handler answers with the values of all sources, and those of the Go runtime
// and the process.
func Handler(sources ...Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector(sources),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// collector is an unchecked collector: it describes nothing beforehand.
type collector []Source

func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, source := range c {
		source(func(s Sample) { out <- s.metric() })
	}
}

func (s Sample) metric() prometheus.Metric {
	names, values := make([]string, len(s.Labels)), make([]string, len(s.Labels))
	for i, l := range s.Labels {
		names[i], values[i] = l.Name, l.Value
	}
	kind := prometheus.CounterValue
	if s.Kind == Gauge {
		kind = prometheus.GaugeValue
	}
	desc := prometheus.NewDesc(s.Name, s.Help, names, nil)
	m, err := prometheus.NewConstMetric(desc, kind, s.Value, values...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}
