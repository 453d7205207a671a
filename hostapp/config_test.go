package hostapp_test

import (
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/internal/config"
)

type file struct {
	Host    hostapp.Section        `yaml:"host"`
	HTTP    hostapp.HTTPSection    `yaml:"http"`
	History hostapp.HistorySection `yaml:"history"`
}

func parse(src string) (*file, error) {
	return config.Parse("plant.yaml", []byte(src), config.Options{}, func(f *file, c *config.Checker) {
		f.Host.Check("host", c)
		f.HTTP.Check("http", c)
		f.History.Check("history", c)
	})
}

func TestSections(t *testing.T) {
	f, err := parse("host: {id: line, reorder_timeout: 3s}\nhistory: {embedded: {retention: 10d, out_of_order: 1d}}\n")
	must(t, err)
	c := f.Host.Config()
	if c.ID != "line" || !c.Primary || c.ReorderTimeout != 3*time.Second || len(c.Filters) != 1 || f.HTTP.Listen != "127.0.0.1:8080" {
		t.Errorf("parsed %+v", f)
	}
}

func TestSectionFaults(t *testing.T) {
	_, err := parse(`host:
  id: a/b
  filters: ["spBv1.0/#/x"]
  reorder_timeout: 0
  command_timeout: 1h
http: {listen: "0.0.0.0:8080"}
history: {embedded: {retention: 1m, out_of_order: 2m}}
`)
	if err == nil {
		t.Fatal("no fault")
	}
	got := strings.Split(err.Error(), "\n")
	for i, want := range []string{":2:7: ", ":3:13: ", ":4:20: ", ":5:20: ", ":6:16: ", ":7:33: ", ":7:51: "} {
		if i >= len(got) || !strings.Contains(got[i], "plant.yaml"+want) {
			t.Errorf("fault %d is not at %s:\n%s", i, want, err)
		}
	}
}
