package embedded_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// Store a sample and ask for it as Grafana would.
func Example() {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(embedded.Config{Dir: dir, Now: func() time.Time { return noon }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	ctx := context.Background()
	key := history.Key{Group: "Plant", Node: "line1", Device: "press", Metric: "Temp"}
	temp, err := store.Series(ctx, key, history.Meta{Type: sparkplug.TypeFloat, Unit: "°C"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = store.Write(ctx, []history.Point{
		{Series: temp, Timestamp: noon.UnixMilli(), Value: sparkplug.Float(21.5), Quality: history.QualityGood},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	request, _ := http.NewRequest("GET", "/api/v1/query?query=sparkplug_value&time=1779278460", nil)
	store.PrometheusHandler().ServeHTTP(answer, request)
	fmt.Println(answer.Body)
	// Output:
	// {"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"sparkplug_value","device":"press","edge_node":"line1","group":"Plant","metric":"Temp"},"value":[1779278460,"21.5"]}]}}
}
