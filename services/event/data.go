package event

import "time"

// Descriptor says which Sparkplug node, or device of it, an asset is.
type Descriptor struct {
	Group  string `json:"group"`
	Node   string `json:"node"`
	Device string `json:"device,omitempty"`
}

// Asset is the data of AssetRegistered, AssetUpdated and AssetRetired.
type Asset struct {
	Path          string      `json:"path"` // ISA-95: enterprise/site/area/line/cell
	Name          string      `json:"name"`
	Class         string      `json:"class"`
	Criticality   string      `json:"criticality"` // A to D
	Location      string      `json:"location"`
	Sparkplug     *Descriptor `json:"sparkplug,omitempty"`
	TaskTemplates []string    `json:"task_templates,omitempty"`
}

// AssetState is the data of AssetStateChanged.
type AssetState struct {
	State string    `json:"state"` // ONLINE, STALE, OFFLINE, UNKNOWN
	Cause string    `json:"cause"` // NBIRTH, NDEATH, DDEATH, timeout ...
	BdSeq uint64    `json:"bdseq,omitempty"`
	Since time.Time `json:"since"`
}

// Alarm is the data of the alarms' events.
type Alarm struct {
	Asset    string     `json:"asset"`
	Rule     string     `json:"rule"`
	Priority string     `json:"priority"` // critical, high, medium, low
	State    string     `json:"state"`    // ISA-18.2: NORM, UNACK, ACKED, RTNUN, SHLVD, OOSRV
	Metric   string     `json:"metric,omitempty"`
	Value    *float64   `json:"value,omitempty"`
	Limit    *float64   `json:"limit,omitempty"`
	Quality  int        `json:"quality"`
	By       string     `json:"by,omitempty"`    // of what a person did
	Until    *time.Time `json:"until,omitempty"` // of AlarmShelved
}

// Meter is the data of MeterAdvanced.
type Meter struct {
	Asset    string    `json:"asset"`
	Meter    string    `json:"meter"` // runtime-h, cycles ...
	Value    float64   `json:"value"`
	Previous float64   `json:"previous"`
	ReadAt   time.Time `json:"read_at"`
}

// Contribution is how much a metric has to do with an anomaly.
type Contribution struct {
	Metric string  `json:"metric"`
	Share  float64 `json:"share"` // 0 to 1
}

// Anomaly is the data of AnomalyDetected, AnomalyUpdated and AnomalyCleared.
type Anomaly struct {
	Asset       string         `json:"asset"`
	Metrics     []Contribution `json:"metrics,omitempty"`
	Detector    string         `json:"detector"`
	Model       string         `json:"model,omitempty"`
	Score       float64        `json:"score"`
	Threshold   float64        `json:"threshold"`
	Severity    string         `json:"severity"`       // critical, high, medium, low
	Confidence  float64        `json:"confidence"`     // 0 to 1
	Zone        string         `json:"zone,omitempty"` // of vibration: A to D
	Onset       time.Time      `json:"onset"`
	End         *time.Time     `json:"end,omitempty"` // of AnomalyCleared
	FailureMode string         `json:"failure_mode,omitempty"`
	Evidence    string         `json:"evidence,omitempty"` // URL
	Reason      string         `json:"reason,omitempty"`
}
