// Package event is what the asset services say to one another: facts and commands
// as CloudEvents 1.0, each with a type from the catalogue, a topic and the data
// that goes with it.
//
// A fact is about one aggregate (an asset, an anomaly, a work order ...), which is
// its Subject; the facts of one aggregate are numbered by Sequence, from 1. A
// command asks for something and is answered by facts. Within a version data only
// gains fields: readers leave alone what they do not know.
//
// On the wire an event is structured JSON with the content type ContentType, at
//
//	ams/v1/{site}/evt/{domain}/{event}/{aggregate}    facts
//	ams/v1/{site}/cmd/{domain}/{event}/{aggregate}    commands
//	ams/v1/{site}/state/{domain}/{state}/{aggregate}  the newest fact of that kind, retained
//
// Source: CloudEvents 1.0.2 and its bindings for JSON and MQTT.
package event
