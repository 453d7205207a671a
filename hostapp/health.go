package hostapp

import (
	"maps"
	"net/http"
	"slices"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/internal/metrics"
)

func getHealth(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// getReady says whether the host is of use: on every server, with its STATE
// published, and its history written.
func (h *Host) getReady(w http.ResponseWriter, _ *http.Request) error {
	out := struct {
		Ready   bool              `json:"ready"`
		Servers map[string]string `json:"servers"`
		History string            `json:"history"`
	}{h.Online(), map[string]string{}, "ok"}
	for _, p := range h.presences {
		out.Servers[p.server.Name] = p.standing()
	}
	if h.ingest == nil {
		out.History = "not kept"
	} else if why := h.ingest.behind(); why != "" {
		out.Ready, out.History = false, why
	}
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, out)
}

// gather adds the host's own counters to GET /metrics.
func (h *Host) gather(add func(metrics.Sample)) {
	s := h.watch.Stats()
	counter := func(name, help string, v uint64, labels ...metrics.Label) {
		add(metrics.Sample{Name: "magneto_host_" + name, Help: help, Value: float64(v), Labels: labels})
	}
	gauge := func(name, help string, v float64, labels ...metrics.Label) {
		add(metrics.Sample{Name: "magneto_host_" + name, Help: help, Kind: metrics.Gauge, Value: v, Labels: labels})
	}
	gauge("nodes", "Edge nodes heard of.", float64(s.Nodes))
	gauge("nodes_online", "Edge nodes online.", float64(s.Online))
	gauge("devices", "Devices heard of.", float64(s.Devices))
	gauge("metrics", "Metrics declared by births.", float64(s.Metrics))
	gauge("queue_messages", "Messages that wait to be handled.", float64(s.Queued))
	gauge("latency_seconds", "Age of the newest message when it came; clock differences included.", float64(s.LatencyMs)/1000)
	counter("messages_total", "Messages handled.", s.Messages)
	counter("samples_total", "Metric values handled.", s.Samples)
	counter("births_total", "Births of nodes and devices.", s.Births)
	counter("deaths_total", "Deaths of nodes.", s.Deaths)
	counter("gaps_total", "Runs of messages that never came.", s.Gaps)
	counter("duplicates_total", "Messages had before.", s.Duplicates)
	counter("late_total", "Messages of an earlier session.", s.Late)
	counter("muted_total", "Messages of nodes that are born too often.", s.Muted)
	counter("undelivered_total", "Messages that could not be applied.", s.Undelivered)
	counter("unknown_metrics_total", "Values that no birth declared, or of another type.", s.UnknownMetrics)
	counter("malformed_total", "Messages that are not Sparkplug.", s.Malformed)
	counter("compressed_total", "Messages that came compressed.", s.Compressed)
	counter("retained_total", "Messages ignored because the server kept them from an earlier time.", s.Retained)
	counter("refused_total", "Messages refused because of a limit.", s.Refused)
	counter("dropped_total", "Messages dropped because the queue was full.", s.Dropped)
	counter("stream_dropped_total", "Events that clients of the stream missed.", h.stream.missed.Load())
	for _, cause := range slices.Sorted(maps.Keys(s.Rebirths)) {
		counter("rebirth_requests_total", "Rebirth requests, by reason.", s.Rebirths[cause], metrics.Label{Name: "reason", Value: cause})
	}
	for _, cause := range slices.Sorted(maps.Keys(s.Faults)) {
		counter("faults_total", "Rules broken by nodes, by rule.", s.Faults[cause], metrics.Label{Name: "rule", Value: cause})
	}
	for _, p := range h.presences {
		on := 0.0
		if p.online.Load() {
			on = 1
		}
		gauge("server_online", "Whether the host is online on an MQTT server.", on, metrics.Label{Name: "server", Value: p.server.Name})
		counter("rivals_total", "Signs of another host with the same id.", p.rivals.Load(), metrics.Label{Name: "server", Value: p.server.Name})
	}
	h.gatherHistory(counter, gauge)
}

func (h *Host) gatherHistory(counter func(string, string, uint64, ...metrics.Label), gauge func(string, string, float64, ...metrics.Label)) {
	if h.ingest == nil {
		return
	}
	s := h.cfg.History.Stats()
	counter("history_written_total", "Samples stored.", uint64(s.Written))
	counter("history_markers_total", "Stale markers stored.", uint64(s.Markers))
	counter("history_duplicates_total", "Samples that were stored already.", uint64(s.Duplicates))
	counter("history_conflicts_total", "Samples of a time that has another value already.", uint64(s.Conflicts))
	counter("history_quarantined_total", "Samples put aside because they are in the future.", uint64(s.Quarantined))
	counter("history_quarantine_dropped_total", "Of these, how many went because there were too many.", uint64(s.QuarantineDropped))
	gauge("history_quarantine", "Samples that are put aside now.", float64(s.QuarantineSize))
	counter("history_expired_total", "Samples older than the retention.", uint64(s.Expired))
	counter("history_invalid_total", "Samples that cannot be stored.", uint64(s.Invalid))
	counter("history_dropped_total", "Samples dropped because the history was behind.", h.ingest.dropped.Load())
	counter("history_refused_series_total", "Series that the history refused.", h.ingest.refused())
	for _, s := range h.ingest.sinks {
		gauge("sink_behind_records", "Records of the journal that a store has not got yet.", float64(s.behind.Load()), metrics.Label{Name: "sink", Value: s.name})
	}
	for _, s := range h.cfg.Sinks {
		of, ok := s.Store.(interface{ Stats() history.Stats })
		if !ok {
			continue
		}
		st, label := of.Stats(), metrics.Label{Name: "sink", Value: s.Name}
		counter("sink_written_total", "Samples and markers that a store outside has taken.", uint64(st.Written+st.Markers), label)
		counter("sink_rejected_total", "Samples and events that a store outside has refused; they are in its dead-letter file.", uint64(st.Rejected), label)
		counter("sink_dead_letters_dropped_total", "Of these, how many its full dead-letter file had no room for.", uint64(st.DeadLettersDropped), label)
	}
	if j := h.ingest.journal; j != nil {
		gauge("journal_bytes", "Bytes of the journal.", float64(j.journal.Stats().Bytes))
	}
	gauge("history_series", "Series in the history.", float64(s.Series))
}
