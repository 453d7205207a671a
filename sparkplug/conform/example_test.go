package conform_test

import (
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

func ExampleWatch() {
	now := time.UnixMilli(1_790_000_000_000)
	// An NBIRTH without the metric Node Control/Rebirth, and with seq 5.
	birth := sparkplug.Payload{Timestamp: now.UnixMilli(), HasTimestamp: true, Seq: 5, HasSeq: true, Metrics: []sparkplug.Metric{{
		Name: "bdSeq", Timestamp: now.UnixMilli(), HasTimestamp: true, Value: sparkplug.Int(sparkplug.TypeInt64, 0),
	}}}
	payload, err := birth.Append(nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	w := conform.NewWatch()
	w.Observe(conform.Message{At: now, Topic: "spBv1.0/Plant/NBIRTH/line1", Payload: payload})
	report := w.Report()
	for _, v := range report.Verdicts {
		if v.Outcome == conform.Fail {
			fmt.Println(v.ID, v.Failures[0].Why)
		}
	}
	// Output:
	// tck-id-topics-nbirth-seq-num seq is 5
	// tck-id-topics-nbirth-rebirth-metric no metric Node Control/Rebirth
	// tck-id-operational-behavior-data-commands-rebirth-name no metric Node Control/Rebirth
	// tck-id-payloads-nbirth-rebirth-req no metric Node Control/Rebirth
}
