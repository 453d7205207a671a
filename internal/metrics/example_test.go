package metrics_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/magneto-iiot/magneto/internal/metrics"
)

func Example() {
	h := metrics.Handler(func(add func(metrics.Sample)) {
		add(metrics.Sample{
			Name: "pump_starts_total", Help: "Starts of a pump.", Value: 3,
			Labels: []metrics.Label{{Name: "pump", Value: "P1"}},
		})
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "pump_") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP pump_starts_total Starts of a pump.
	// # TYPE pump_starts_total counter
	// pump_starts_total{pump="P1"} 3
}
