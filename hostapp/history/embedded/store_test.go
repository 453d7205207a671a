package embedded_test

import (
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/hostapp/history/historytest"
)

func TestContract(t *testing.T) {
	historytest.Run(t, func(t *testing.T, o historytest.Options) history.Store {
		s, err := embedded.Open(embedded.Config{
			Dir: o.Dir, Now: o.Now, Retention: o.Retention, OutOfOrder: o.OutOfOrder,
			FutureTolerance: o.FutureTolerance, SeriesPerNode: o.SeriesPerNode,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
