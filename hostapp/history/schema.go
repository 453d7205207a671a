package history

// The names under which the Prometheus-shaped stores keep a sample. Dashboards
// are built from these constants and nowhere spell them.
const (
	// MetricValue holds every numeric and boolean value, LabelGroup, LabelNode,
	// LabelDevice and LabelMetric telling the series apart. LabelDevice is
	// absent, as an empty label is, for metrics of the node.
	MetricValue = "sparkplug_value"
	// MetricQuality holds the quality of a metric where it changes. A series
	// that was never anything but good (192) has none.
	MetricQuality = "sparkplug_quality"
	// MetricInfo is 1, with the labels of the birth: LabelType, LabelUnit,
	// LabelTemplate. Join it with group_left for units.
	MetricInfo = "sparkplug_metric_info"
	// MetricOnline is 1 or 0 for a node, or with LabelDevice for a device.
	MetricOnline = "sparkplug_online"
	// MetricHostOnline is 1 or 0 for a primary host, by LabelHost.
	MetricHostOnline = "sparkplug_host_online"
	// MetricBirths counts births of a node or device.
	MetricBirths = "sparkplug_births_total"
	// MetricDeaths counts deaths of a node or device.
	MetricDeaths = "sparkplug_deaths_total"
	// MetricRebirths counts rebirth requests to a node, by LabelReason.
	MetricRebirths = "sparkplug_rebirth_requests_total"
	// MetricLatency is the age of a node's newest data when it came in, seconds.
	MetricLatency = "sparkplug_data_latency_seconds"
)

// The labels of the metrics above. Never labels: alias, seq, bdSeq,
// is_historical, timestamps, values, message types.
const (
	LabelGroup    = "group"
	LabelNode     = "edge_node"
	LabelDevice   = "device"
	LabelMetric   = "metric"
	LabelType     = "datatype"
	LabelUnit     = "unit"
	LabelTemplate = "template"
	LabelHost     = "host"
	LabelReason   = "reason"
	LabelKind     = "kind"
)

// The names of the line protocol. The tags are LabelGroup, LabelNode,
// LabelDevice and LabelMetric; there is one field per kind of value, so that a
// metric that changes its datatype at a rebirth conflicts with nothing.
const (
	Measurement   = "sparkplug"
	FieldFloat    = "f" // Float, Double
	FieldInt      = "i" // Int8 to Int64, DateTime in ms
	FieldUint     = "u" // UInt8 to UInt64
	FieldBool     = "b" // Boolean
	FieldString   = "s" // String, Text, UUID, and JSON of all else
	FieldQuality  = "q" // integer, see Point.Quality
	FieldTemplate = "t" // name of the template definition

	// MeasurementEvent has the events, with the tags LabelGroup, LabelNode (of
	// STATE: LabelHost), LabelDevice and LabelKind.
	MeasurementEvent = "sparkplug_event"
	FieldBdSeq       = "bdseq"  // Event.BdSeq, an integer
	FieldDetail      = "detail" // Event.Detail, a string
)

// MetricHelp says what each Prometheus metric is: its type as the Prometheus
// metadata API names it, and a sentence.
func MetricHelp() map[string][2]string {
	return map[string][2]string{
		MetricValue:      {"gauge", "Value of a Sparkplug metric; booleans are 0 and 1."},
		MetricQuality:    {"gauge", "Quality of a Sparkplug metric where it changed: 192 good, 0 bad, 500 stale."},
		MetricInfo:       {"gauge", "Always 1: datatype, unit and template of a Sparkplug metric."},
		MetricOnline:     {"gauge", "Whether an edge node or device is online."},
		MetricHostOnline: {"gauge", "Whether a primary host is online."},
		MetricBirths:     {"counter", "Births of an edge node or device."},
		MetricDeaths:     {"counter", "Deaths of an edge node or device."},
		MetricRebirths:   {"counter", "Rebirth requests sent to an edge node, by reason."},
		MetricLatency:    {"gauge", "Age of an edge node's newest data when it was received, in seconds."},
	}
}
