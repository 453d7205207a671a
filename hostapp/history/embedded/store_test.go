package embedded_test

import (
	"strings"
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

// TestOpenTwice: the second one is told what to do, and the first goes on.
func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := embedded.Open(embedded.Config{Dir: dir}); err == nil {
		t.Error("opened twice", second.Close())
	} else if !strings.Contains(err.Error(), "another process has this store open") {
		t.Errorf("the second Open says %q", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}
