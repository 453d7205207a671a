package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/magneto-iiot/magneto/services/event"
	"github.com/magneto-iiot/magneto/services/store"
)

// A service opens an order for an anomaly. The anomaly comes twice.
func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{
		Service: "workorder", Site: "plant1", DSN: "sqlite:" + filepath.Join(dir, "workorder.db"),
		Migrations: []string{"CREATE TABLE work_order (id TEXT PRIMARY KEY, asset TEXT NOT NULL)"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	anomaly := event.Event{ID: event.NewID(), Source: "/services/health", Type: event.AnomalyDetected, Site: "plant1", Subject: "A-7", Time: noon}
	for range 2 {
		outcome, err := s.Handle(ctx, anomaly, func(tx *store.Tx) error {
			if _, err := tx.Exec("INSERT INTO work_order VALUES ('WO-1', 'pump-1')"); err != nil {
				return err
			}
			_, err := tx.Emit(store.Draft{Type: event.WorkOrderCreated, Subject: "WO-1"})
			return err
		})
		fmt.Println(outcome == store.Done, err)
	}
	unsent, err := s.Unsent(ctx, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range unsent {
		fmt.Println(x.N, x.Event.Topic(), x.Event.Sequence, x.Event.Causation == anomaly.ID)
	}
	// Output:
	// true <nil>
	// false <nil>
	// 1 ams/v1/plant1/evt/workorder/WorkOrderCreated/WO-1 1 true
}
