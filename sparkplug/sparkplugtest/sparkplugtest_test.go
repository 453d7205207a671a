package sparkplugtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/sparkplugtest"
)

// recorder is a TB that keeps what it was told.
type recorder struct{ said string }

func (r *recorder) Helper()                   {}
func (r *recorder) Fatalf(f string, a ...any) { r.said = fmt.Sprintf(f, a...) }
func (r *recorder) Errorf(f string, a ...any) { r.said = fmt.Sprintf(f, a...) }

func TestSame(t *testing.T) {
	p := sparkplugtest.Payload(5, 1, sparkplugtest.ByAlias(3, 5, sparkplug.Boolean(true)))
	q := sparkplugtest.NodeDeath(6, 2)
	tests := map[string]struct {
		got, want sparkplug.Payload
		says      []string // nothing when equal
	}{
		"equal":  {p, p, nil},
		"differ": {p, q, []string{"timestamp: got 5, want 6", "seq: got 1, want none", `"bdSeq" Int64 "2"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r recorder
			sparkplugtest.Same(&r, tt.got, tt.want)
			if (r.said == "") != (len(tt.says) == 0) {
				t.Errorf("said %q", r.said)
			}
			for _, s := range tt.says {
				if !strings.Contains(r.said, s) {
					t.Errorf("said %q, want %q in it", r.said, s)
				}
			}
		})
	}
}

func TestEncodeDecode(t *testing.T) {
	p := sparkplugtest.NodeBirth(5, 0, 9)
	got := sparkplugtest.Decode(t, sparkplugtest.Encode(t, p))
	sparkplugtest.Same(t, got, p)
	if m, ok := sparkplugtest.Find(got, sparkplug.MetricBdSeq); !ok || m.Value.Int() != 9 {
		t.Errorf("Find(bdSeq) = %v, %v", m, ok)
	}
	if _, ok := sparkplugtest.Find(got, "none"); ok {
		t.Error("Find found a metric that is not there")
	}
	var r recorder
	sparkplugtest.Decode(&r, []byte{0xff})
	sparkplugtest.Encode(&r, sparkplugtest.Payload(1, 1, sparkplug.Metric{Value: sparkplug.Int(sparkplug.TypeInt8, 300)}))
	if !strings.Contains(r.said, "300 is out of range") {
		t.Errorf("said %q", r.said)
	}
}
