package hostapp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
)

// A host is told how to reach its servers; its Handler answers at once.
func Example() {
	h, err := hostapp.New(hostapp.Config{
		ID: "plant", Primary: true,
		Servers: []hostapp.Server{{
			Name: "mqtt://127.0.0.1:1883",
			Dial: func(context.Context, *mqtt.Message, func(mqtt.Message)) (watch.Conn, error) {
				return nil, errors.New("mqtt.Dial goes here")
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 503 {"ready":false,"servers":{"mqtt://127.0.0.1:1883":"stopped"},"history":"not kept"}
}
