package exam_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/magneto-iiot/magneto/broker"
	"github.com/magneto-iiot/magneto/internal/exam"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// serve runs a broker of this house until the end of the test.
func serve(t testing.TB) string {
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran })
	return "mqtt://" + b.Addr()
}

// outcome lists the ids with an outcome, without tck-id-.
func outcome(r conform.Report, o conform.Outcome) (ids []string) {
	for _, v := range r.Verdicts {
		if v.Outcome == o {
			ids = append(ids, strings.TrimPrefix(v.ID, "tck-id-"))
		}
	}
	return ids
}

// TestBroker examines the broker of this house: it is compliant and aware.
func TestBroker(t *testing.T) {
	r, err := exam.Broker(t.Context(), exam.BrokerConfig{Server: serve(t), Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(outcome(r, conform.Pass)); got != 11 || len(r.Verdicts) != 11 {
		_ = r.WriteText(t.Output(), true)
		t.Errorf("%d of %d held, want 11 of 11", got, len(r.Verdicts))
	}
}

// TestBrokerFaults plants one fault at a time into what the server delivers.
func TestBrokerFaults(t *testing.T) {
	kept := func(d *exam.Delivery) bool { return strings.HasPrefix(d.Topic, "$sparkplug/") }
	will := func(d *exam.Delivery) bool { return strings.Contains(d.Topic, "/will/") }
	once := map[string]int{}
	faults := map[string]struct {
		plant func(d *exam.Delivery) bool
		id    string
	}{
		"QoS 0 lost":                    {func(d *exam.Delivery) bool { return !strings.Contains(d.Topic, "/qos/0/0") }, "conformance-mqtt-qos0"},
		"QoS 1 lowered":                 {func(d *exam.Delivery) bool { d.QoS = 0; return true }, "conformance-mqtt-qos1"},
		"retained not kept":             {func(d *exam.Delivery) bool { return !d.Retain }, "conformance-mqtt-retained"},
		"retain flag kept when live":    {func(d *exam.Delivery) bool { d.Retain = d.Retain || strings.HasSuffix(d.Topic, "/kept"); return true }, "conformance-mqtt-retained"},
		"will not sent":                 {func(d *exam.Delivery) bool { return !will(d) }, "conformance-mqtt-will-messages"},
		"will at QoS 0":                 {func(d *exam.Delivery) bool { d.QoS *= bit(!will(d)); return true }, "conformance-mqtt-will-messages"},
		"certificates not kept":         {func(d *exam.Delivery) bool { return !kept(d) }, "conformance-mqtt-aware-store"},
		"certificate of NBIRTH missing": {func(d *exam.Delivery) bool { return !kept(d) || !strings.Contains(d.Topic, "NBIRTH") }, "conformance-mqtt-aware-nbirth-mqtt-topic"},
		"certificate of DBIRTH missing": {func(d *exam.Delivery) bool { return !kept(d) || !strings.Contains(d.Topic, "DBIRTH") }, "conformance-mqtt-aware-dbirth-mqtt-topic"},
		"NBIRTH certificate live retain": {func(d *exam.Delivery) bool {
			d.Retain = d.Retain && !strings.Contains(d.Topic, "/NBIRTH/")
			return true
		}, "conformance-mqtt-aware-nbirth-mqtt-retain"},
		"DBIRTH certificate live retain": {func(d *exam.Delivery) bool {
			d.Retain = d.Retain && !strings.Contains(d.Topic, "/DBIRTH/")
			return true
		}, "conformance-mqtt-aware-dbirth-mqtt-retain"},
		"certificate altered": {func(d *exam.Delivery) bool {
			if kept(d) {
				d.Payload = append(d.Payload, 0)
			}
			return true
		}, "conformance-mqtt-aware-store"},
		"certificate not replaced": {func(d *exam.Delivery) bool {
			if kept(d) {
				once[d.Topic]++
			}
			return once[d.Topic] < 3
		}, "conformance-mqtt-aware-store"},
		"NDEATH of an odd time": {func(d *exam.Delivery) bool {
			if strings.Contains(d.Topic, "/NDEATH/") {
				d.Payload[3] ^= 0x55
			}
			return true
		}, "conformance-mqtt-aware-ndeath-timestamp"},
		"not even compliant": {func(d *exam.Delivery) bool { return !will(d) }, "conformance-mqtt-aware-basic"},
	}
	var wg sync.WaitGroup
	for name, f := range faults {
		server := serve(t)
		wg.Go(func() { // most of the time they wait
			r, err := exam.Broker(t.Context(), exam.BrokerConfig{Server: server, Tamper: f.plant})
			if broken := outcome(r, conform.Fail); err != nil || !slices.Contains(broken, f.id) {
				t.Errorf("%s: broken are %v, want %s among them; %v", name, broken, f.id, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d faults", len(faults))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// A broker is graded by its answers alone: any broker on the network will do.
func ExampleBroker() {
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- b.Run(ctx) }()
	r, err := exam.Broker(ctx, exam.BrokerConfig{Server: "mqtt://" + b.Addr()})
	fmt.Println(r.Count(conform.Pass), "of", len(r.Verdicts), err)
	stop()
	<-ran
	// Output: 11 of 11 <nil>
}
