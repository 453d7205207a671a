package event_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/services/event"
)

// A fact as it is published.
func Example() {
	data, err := json.Marshal(event.AssetState{State: "OFFLINE", Cause: "NDEATH", Since: time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := event.Event{
		ID: event.NewID(), Source: "/services/monitor", Type: event.AssetStateChanged, Site: "plant1", Subject: "pump-1",
		Time: time.Now(), Sequence: 12, Data: data,
	}
	b, err := e.Append(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := event.Parse(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	var state event.AssetState
	if err := got.Into(&state); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got.Topic())
	fmt.Println(got.StateTopic())
	fmt.Println(got.Subject, got.Sequence, state.State, state.Cause)
	// Output:
	// ams/v1/plant1/evt/monitoring/AssetStateChanged/pump-1
	// ams/v1/plant1/state/monitoring/AssetState/pump-1
	// pump-1 12 OFFLINE NDEATH
}
