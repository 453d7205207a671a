package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/services/event"
)

func sample() event.Event {
	return event.Event{
		ID: event.IDFrom("test"), Source: "/services/health", Type: event.AnomalyDetected, Site: "plant1", Subject: "A-7",
		Time: time.Date(2026, 5, 20, 12, 0, 0, 5e6, time.UTC), Sequence: 3, Position: 41, Correlation: "A-7", Causation: event.IDFrom("cause"),
		Data: json.RawMessage(`{"asset":"pump-1","score":7.5}`),
	}
}

func TestRoundTrip(t *testing.T) {
	e := sample()
	b, err := e.Append(nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"specversion":"1.0","id":"`+e.ID+`","source":"/services/health","type":"magneto.health.AnomalyDetected.v1",
		"subject":"A-7","time":"2026-05-20T12:00:00.005Z","datacontenttype":"application/json",
		"dataschema":"urn:magneto:schema:magneto.health.AnomalyDetected.v1","site":"plant1","sequence":"000000000003","position":"000000000041",
		"correlationid":"A-7","causationid":"`+e.Causation+`","data":{"asset":"pump-1","score":7.5}}`, string(b))
	got, err := event.Parse(b)
	require.NoError(t, err)
	require.Equal(t, e, got)
	var a event.Anomaly
	require.NoError(t, got.Into(&a))
	require.Equal(t, event.Anomaly{Asset: "pump-1", Score: 7.5}, a)
}

// Data within its bound can be read back, whatever characters it has.
func TestData(t *testing.T) {
	for _, c := range []string{"<", "&", "\u2028", "é"} {
		e := sample()
		e.Data = json.RawMessage(`"` + strings.Repeat(c, (event.MaxData-2)/len(c)) + `"`)
		b, err := e.Append(nil)
		require.NoError(t, err)
		got, err := event.Parse(b)
		require.NoError(t, err, c)
		require.JSONEq(t, string(e.Data), string(got.Data))
	}
}

func TestFaults(t *testing.T) {
	for want, change := range map[string]func(*event.Event){
		"id:":            func(e *event.Event) { e.ID = "7" },
		"source:":        func(e *event.Event) { e.Source = "health" },
		"type:":          func(e *event.Event) { e.Type = "AnomalyDetected" },
		"site:":          func(e *event.Event) { e.Site = "a/b" },
		"subject:":       func(e *event.Event) { e.Subject = strings.Repeat("x", event.MaxID+1) },
		"time:":          func(e *event.Event) { e.Time = time.Time{} },
		"sequence:":      func(e *event.Event) { e.Sequence = 1e12 },
		"position:":      func(e *event.Event) { e.Position = 1e12 },
		"longer than":    func(e *event.Event) { e.Causation = strings.Repeat("x", event.MaxID+1) },
		"data: 32":       func(e *event.Event) { e.Data = json.RawMessage(`"` + strings.Repeat("x", event.MaxData) + `"`) },
		"data: is not J": func(e *event.Event) { e.Data = json.RawMessage("{") },
	} {
		e := sample()
		change(&e)
		_, err := e.Append(nil)
		require.ErrorContains(t, err, want)
		require.ErrorAs(t, err, new(*event.Error))
	}
	for want, text := range map[string]string{
		"not CloudEvents JSON": `[]`,
		"specversion":          `{"specversion":"0.3"}`,
		"datacontenttype":      `{"specversion":"1.0","datacontenttype":"text/xml"}`,
		"time":                 `{"specversion":"1.0","time":"noon"}`,
		"sequence":             `{"specversion":"1.0","time":"2026-05-20T12:00:00Z","sequence":"x"}`,
		"id":                   `{"specversion":"1.0","time":"2026-05-20T12:00:00Z"}`,
		"follows":              `{"specversion":"1.0"} {}`,
		"too many":             strings.Repeat(" ", 70000),
	} {
		_, err := event.Parse([]byte(text))
		require.ErrorContains(t, err, want)
	}
	require.ErrorIs(t, new(event.Event).Into(nil), event.ErrNoData)
}

// Each type is in the catalogue once, has its own topic, and says what it is.
func TestCatalogue(t *testing.T) {
	topics := map[string]bool{}
	for _, c := range event.Catalogue() {
		e := sample()
		e.Type = c.Type
		require.NoError(t, e.Check())
		require.False(t, topics[e.Topic()], "%s twice", e.Topic())
		topics[e.Topic()] = true
		require.Equal(t, 6, strings.Count(e.Topic(), "/"), e.Topic())
		require.Contains(t, []byte{1, 2}, c.QoS)
		require.NotEmpty(t, c.Says)
		require.False(t, c.Command && c.State != "", "%s: a command is no state", c.Type)
		require.NoError(t, e.CheckTopic(e.Topic()))
		require.Equal(t, c.State != "", e.StateTopic() != "")
		if c.State != "" {
			require.NoError(t, e.CheckTopic(e.StateTopic()))
		}
		require.Error(t, e.CheckTopic("ams/v1/plant2"+strings.TrimPrefix(e.Topic(), "ams/v1/plant1")))
	}
	require.Len(t, topics, 37)
	require.Equal(t, "ams/v1/+/cmd/workorder/ReserveParts/+", event.ReserveParts.Filter(""))
	require.Equal(t, "ams/v1/plant1/evt/health/AnomalyDetected/+", event.AnomalyDetected.Filter("plant1"))
	_, ok := event.Type("magneto.health.New.v2").Entry()
	require.False(t, ok)
}

func TestIDs(t *testing.T) {
	a, b := event.NewID(), event.NewID()
	require.Less(t, a, b)
	require.Equal(t, event.IDFrom("order", "1"), event.IDFrom("order", "1"))
	require.NotEqual(t, event.IDFrom("order", "1"), event.IDFrom("order1", ""))
}

// What is read is written the same again.
func FuzzParse(f *testing.F) {
	e := sample()
	b, err := e.Append(nil)
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"specversion":"1.0","id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","source":"/services/x","type":"magneto.a.b.v9","subject":"s","site":"t","time":"2026-05-20T12:00:00+02:00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := event.Parse(b)
		if err != nil {
			require.ErrorAs(t, err, new(*event.Error))
			return
		}
		out, err := e.Append(nil)
		require.NoError(t, err)
		again, err := event.Parse(out)
		require.NoError(t, err)
		if len(e.Data) > 0 {
			require.JSONEq(t, string(e.Data), string(again.Data))
		}
		e.Data, again.Data = nil, nil
		require.Equal(t, e, again)
	})
}
