package watch_test

import (
	"context"
	"fmt"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// A watcher is fed over a Link and tells its handler what came.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	w, err := watch.New(watch.Config{
		Passive: true,
		Handler: func(u *watch.Update) {
			for _, s := range u.Samples {
				fmt.Println(u.Kind, u.Node, u.Shape.Def(uint32(s.Index)).Name, s.Value)
			}
			if u.Kind == watch.Data {
				stop()
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	birth := sparkplug.Payload{HasSeq: true, Metrics: []sparkplug.Metric{
		{Name: "bdSeq", Value: sparkplug.Int(sparkplug.TypeInt64, 0)},
		{Name: "Level", Alias: 7, HasAlias: true, Value: sparkplug.Double(0.25)},
	}}
	data := sparkplug.Payload{Seq: 1, HasSeq: true, Metrics: []sparkplug.Metric{
		{Alias: 7, HasAlias: true, Value: sparkplug.Double(0.5), OmitType: true},
	}}
	link := w.Link("broker") // what a connection's OnMessage is given: link.Deliver
	b, _ := birth.Append(nil)
	link.Deliver(mqtt.Message{Topic: "spBv1.0/Plant/NBIRTH/tank", Payload: b})
	b, _ = data.Append(nil)
	link.Deliver(mqtt.Message{Topic: "spBv1.0/Plant/NDATA/tank", Payload: b})

	_ = w.Run(ctx)
	// Output:
	// birth tank bdSeq 0
	// birth tank Level 0.25
	// data tank Level 0.5
}
