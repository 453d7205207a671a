package sparkplug

// Names that the specification gives to metrics and properties.
const (
	MetricBdSeq   = "bdSeq"                // birth/death sequence number, Int64
	MetricRebirth = "Node Control/Rebirth" // write true to ask for a new birth
	PropQuality   = "Quality"              // property of a metric, Int32
)

// Values of the property PropQuality. A metric without it is good.
//
// Spec: tck-id-payloads-propertyset-quality-value-value.
const (
	QualityBad   = 0
	QualityGood  = 192
	QualityStale = 500
)
