package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// crashDir makes the test binary a writer that never stops, see TestKill.
const crashDir = "MAGNETO_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

func crashKey(i int) history.Key {
	return history.Key{Group: "g", Node: "n", Metric: fmt.Sprint(i)}
}

const crashSeries = 4 // the last one is a string

func crashValue(i, n int) sparkplug.Value {
	if i == crashSeries-1 {
		return sparkplug.String(fmt.Sprint(n))
	}
	return sparkplug.Int(sparkplug.TypeInt64, 1<<52+int64(n))
}

// writeForEver prints the number of each batch once it is acknowledged.
func writeForEver(dir string) {
	s, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx, from := context.Background(), time.Now().Add(-time.Hour).UnixMilli()
	fmt.Println("from", from)
	for n := 0; ; n++ {
		points := make([]history.Point, crashSeries)
		for i := range points {
			h, err := s.Series(ctx, crashKey(i), history.Meta{Type: crashValue(i, n).Type()})
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			points[i] = history.Point{Series: h, Timestamp: from + int64(n), Value: crashValue(i, n), Quality: history.QualityGood}
		}
		if _, err := s.Write(ctx, points); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("batch", n)
	}
}

// TestKill kills a writer and finds every acknowledged sample, and every
// series in the catalogue.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	from, last := int64(0), -1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "from "):
			_, err = fmt.Sscanf(line, "from %d", &from)
		case strings.HasPrefix(line, "batch "):
			_, err = fmt.Sscanf(line, "batch %d", &last)
		default:
			err = fmt.Errorf("the writer says: %s", line)
		}
		if err != nil {
			t.Fatal(err)
		}
		if last == 300 { // and read on: what was acknowledged before the kill counts
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	s, err := embedded.Open(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range crashSeries {
		n := 0
		err := s.Raw(t.Context(), crashKey(i), from, from+1e9, func(got history.Sample) bool {
			want := crashValue(i, n)
			if got.Timestamp != from+int64(n) || got.Value.Type() != want.Type() || got.Value.Int() != want.Int() || got.Value.Str() != want.Str() {
				t.Errorf("series %d: sample %d is at %d", i, n, got.Timestamp-from)
				return false
			}
			n++
			return true
		})
		if err != nil || n < last+1 {
			t.Errorf("series %d: %d samples of %d acknowledged: %v", i, n, last+1, err)
		}
	}
	if got := s.Stats().Series; got != crashSeries {
		t.Errorf("%d series, want %d", got, crashSeries)
	}
}
