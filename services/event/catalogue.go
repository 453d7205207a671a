package event

import (
	"slices"
	"strings"
)

// Type names what an event is: magneto.{domain}.{Name}.v{version}.
type Type string

// The domains: what belongs to which service.
const (
	Monitoring = "monitoring" // Remote Asset Monitoring
	Health     = "health"     // Asset Health Analysis
	WorkOrder  = "workorder"  // Work Order Generation
	Scheduling = "scheduling" // Maintenance Checks Scheduling
)

// The types.
const (
	AssetRegistered   Type = "magneto.monitoring.AssetRegistered.v1"
	AssetUpdated      Type = "magneto.monitoring.AssetUpdated.v1"
	AssetRetired      Type = "magneto.monitoring.AssetRetired.v1"
	AssetStateChanged Type = "magneto.monitoring.AssetStateChanged.v1"
	AlarmRaised       Type = "magneto.monitoring.AlarmRaised.v1"
	AlarmAcknowledged Type = "magneto.monitoring.AlarmAcknowledged.v1"
	AlarmShelved      Type = "magneto.monitoring.AlarmShelved.v1"
	AlarmUnshelved    Type = "magneto.monitoring.AlarmUnshelved.v1"
	AlarmCleared      Type = "magneto.monitoring.AlarmCleared.v1"
	AlarmOutOfService Type = "magneto.monitoring.AlarmOutOfService.v1"
	MeterAdvanced     Type = "magneto.monitoring.MeterAdvanced.v1"

	AnomalyDetected    Type = "magneto.health.AnomalyDetected.v1"
	AnomalyUpdated     Type = "magneto.health.AnomalyUpdated.v1"
	AnomalyCleared     Type = "magneto.health.AnomalyCleared.v1"
	HealthIndexChanged Type = "magneto.health.HealthIndexChanged.v1"
	ModelTrained       Type = "magneto.health.ModelTrained.v1"
	ModelDrifted       Type = "magneto.health.ModelDrifted.v1"

	WorkOrderCreated      Type = "magneto.workorder.WorkOrderCreated.v1"
	WorkOrderStateChanged Type = "magneto.workorder.WorkOrderStateChanged.v1"
	WorkOrderCompleted    Type = "magneto.workorder.WorkOrderCompleted.v1"
	WorkOrderCancelled    Type = "magneto.workorder.WorkOrderCancelled.v1"
	ReserveResources      Type = "magneto.workorder.ReserveResources.v1"
	ReserveParts          Type = "magneto.workorder.ReserveParts.v1"
	ConfirmReservation    Type = "magneto.workorder.ConfirmReservation.v1"
	ReleaseReservation    Type = "magneto.workorder.ReleaseReservation.v1"

	ResourcesReserved    Type = "magneto.scheduling.ResourcesReserved.v1"
	ReservationRejected  Type = "magneto.scheduling.ReservationRejected.v1"
	PartsReserved        Type = "magneto.scheduling.PartsReserved.v1"
	PartsRejected        Type = "magneto.scheduling.PartsRejected.v1"
	ReservationConfirmed Type = "magneto.scheduling.ReservationConfirmed.v1"
	ReservationReleased  Type = "magneto.scheduling.ReservationReleased.v1"
	ReservationExpired   Type = "magneto.scheduling.ReservationExpired.v1"
	CheckDue             Type = "magneto.scheduling.CheckDue.v1"
	CheckScheduled       Type = "magneto.scheduling.CheckScheduled.v1"
	CheckOverdue         Type = "magneto.scheduling.CheckOverdue.v1"
	CheckSkipped         Type = "magneto.scheduling.CheckSkipped.v1"
	SlotMoved            Type = "magneto.scheduling.SlotMoved.v1"
)

// Entry is what the catalogue says of a type.
type Entry struct {
	Type    Type
	Command bool   // it asks for something; else it is a fact
	QoS     byte   // of MQTT
	State   string // the newest of an aggregate is kept, retained, as its state of this name; empty: it is none
	Says    string // in words
}

// Catalogue returns all types, by domain and as they are told in it.
func Catalogue() []Entry { return slices.Clone(catalogue) }

var catalogue = []Entry{
	{AssetRegistered, false, 2, "Asset", "an asset is known now"},
	{AssetUpdated, false, 2, "Asset", "what is known of an asset has changed"},
	{AssetRetired, false, 2, "Asset", "an asset is not looked after any more"},
	{AssetStateChanged, false, 1, "AssetState", "an asset is online, stale, offline or unknown now"},
	{AlarmRaised, false, 2, "Alarm", "an alarm's condition holds"},
	{AlarmAcknowledged, false, 2, "Alarm", "somebody has seen an alarm"},
	{AlarmShelved, false, 2, "Alarm", "an alarm is silent for a time"},
	{AlarmUnshelved, false, 2, "Alarm", "an alarm is not silent any more"},
	{AlarmCleared, false, 2, "Alarm", "an alarm's condition does not hold any more"},
	{AlarmOutOfService, false, 2, "Alarm", "an alarm is taken out of service, or back"},
	{MeterAdvanced, false, 1, "Meter", "a meter, such as runtime hours, has a new reading"},
	{AnomalyDetected, false, 2, "", "an asset does not behave as it used to"},
	{AnomalyUpdated, false, 2, "Anomaly", "an anomaly has become worse or better"},
	{AnomalyCleared, false, 2, "Anomaly", "an anomaly is over"},
	{HealthIndexChanged, false, 1, "HealthIndex", "the health of an asset has changed"},
	{ModelTrained, false, 1, "Model", "a model of normal behaviour was learnt"},
	{ModelDrifted, false, 1, "Model", "a model does not fit any more"},
	{WorkOrderCreated, false, 2, "", "there is work to be done"},
	{WorkOrderStateChanged, false, 2, "WorkOrder", "a work order is at another point of its way"},
	{WorkOrderCompleted, false, 2, "", "the work is done, with what was found"},
	{WorkOrderCancelled, false, 2, "", "the work will not be done"},
	{ReserveResources, true, 2, "", "find technicians, tools and a time"},
	{ReserveParts, true, 2, "", "set parts aside"},
	{ConfirmReservation, true, 2, "", "the reservation is for good"},
	{ReleaseReservation, true, 2, "", "the reservation is not needed"},
	{ResourcesReserved, false, 2, "", "technicians, tools and a time are held until a time"},
	{ReservationRejected, false, 2, "", "there are none, and why"},
	{PartsReserved, false, 2, "", "parts are set aside"},
	{PartsRejected, false, 2, "", "parts are missing, and when they come"},
	{ReservationConfirmed, false, 2, "", "the reservation is for good"},
	{ReservationReleased, false, 2, "", "the reservation is given back"},
	{ReservationExpired, false, 2, "", "nobody has confirmed the reservation in time"},
	{CheckDue, false, 2, "", "a check of a plan is due"},
	{CheckScheduled, false, 2, "", "a check has a time"},
	{CheckOverdue, false, 2, "", "a check was not done in time"},
	{CheckSkipped, false, 2, "", "a check is left out, and why"},
	{SlotMoved, false, 2, "", "what was scheduled has another time"},
}

// Entry returns what the catalogue says of t; ok is false for a type that is not
// in it.
func (t Type) Entry() (e Entry, ok bool) {
	i := slices.IndexFunc(catalogue, func(e Entry) bool { return e.Type == t })
	if i < 0 {
		return Entry{}, false
	}
	return catalogue[i], true
}

// Domain is the part of t that says whose it is; empty for what is no type.
func (t Type) Domain() string {
	domain, _, _ := t.parts()
	return domain
}

// Name is t without domain and version; empty for what is no type.
func (t Type) Name() string {
	_, name, _ := t.parts()
	return name
}

// Schema is the URI of the JSON schema of t's data.
func (t Type) Schema() string { return "urn:magneto:schema:" + string(t) }

func (t Type) parts() (domain, name string, ok bool) {
	p := strings.Split(string(t), ".")
	if len(p) != 4 || p[0] != "magneto" || !ValidID(p[1]) || !ValidID(p[2]) || len(p[3]) < 2 || p[3][0] != 'v' {
		return "", "", false
	}
	return p[1], p[2], strings.Trim(p[3][1:], "0123456789") == ""
}
