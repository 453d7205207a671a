package watch_test

import (
	"log/slog"
	"testing"

	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
	st "github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// FuzzDeliver checks that no message, whatever its topic and payload, upsets a
// watcher that knows a node: it counts what it cannot use, and the picture can
// be asked for afterwards.
func FuzzDeliver(f *testing.F) {
	birth := st.NodeBirth(1000, 0, 3, st.Aliased("A", 1, 1000, sparkplug.Double(1)), st.Aliased("S", 2, 1000, sparkplug.String("x")))
	for _, seed := range []struct {
		topic string
		p     sparkplug.Payload
	}{
		{nbirth, birth},
		{ndata, st.Payload(1001, 1, st.ByAlias(1, 1001, sparkplug.Double(2)), st.ByAlias(2, 1001, sparkplug.String("y")))},
		{dbirth, st.Payload(1001, 1, st.Aliased("D", 3, 1001, sparkplug.Null(sparkplug.TypeDataSet)))},
		{ddata, st.Payload(1001, 200)},
		{ddeath, st.Payload(1002, 2)},
		{ndeath, st.NodeDeath(1003, 3)},
	} {
		f.Add(seed.topic, st.Encode(f, seed.p))
	}
	f.Add("spBv1.0/STATE/plant", []byte(`{"online":true,"timestamp":1}`))
	known := st.Encode(f, birth)
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		w, err := watch.New(watch.Config{Passive: true, Queue: 1, MaxNodes: 4, MaxDevices: 4, Log: slog.New(slog.DiscardHandler)})
		must(t, err)
		l := w.Link("fuzz")
		l.Feed(mqtt.Message{Topic: nbirth, Payload: known})
		l.Feed(mqtt.Message{Topic: topic, Payload: payload})
		l.Feed(mqtt.Message{Topic: topic, Payload: payload})
		metrics := 0
		for _, n := range w.Nodes() {
			for _, d := range append(n.Devices, watch.DeviceInfo{}) {
				all, ok := w.Metrics(n.Group, n.Node, d.Device)
				if !ok {
					t.Errorf("no metrics of %s/%s/%s", n.Group, n.Node, d.Device)
				}
				metrics += len(all)
				for i := range all {
					_ = all[i].Value.String()
				}
			}
		}
		if s := w.Stats(); s.Metrics != metrics || s.Messages != 3 {
			t.Errorf("%d metrics, Stats %+v", metrics, s)
		}
	})
}
