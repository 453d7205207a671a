package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// influxDB is a real InfluxDB 1.8, which comes back at the same address.
type influxDB struct {
	t    *testing.T
	base string
	conf string
	proc *proc
}

func newInfluxDB(t *testing.T) *influxDB {
	t.Helper()
	need(t, "MAGNETO_INFLUXD", "path of influxd 1.8")
	dir := t.TempDir()
	d := &influxDB{t: t, base: "http://127.0.0.1:" + freePort(t)}
	d.conf = write(t, dir, "influxdb.conf", fmt.Sprintf(`reporting-disabled = true
bind-address = "127.0.0.1:%s"
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
  query-log-enabled = false
[http]
  bind-address = %q
  log-enabled = false
[monitor]
  store-enabled = false
`, freePort(t), filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), d.base[len("http://"):]))
	d.start()
	_, err := d.ask(http.MethodPost, `CREATE DATABASE "plant"`)
	require.NoError(t, err)
	return d
}

func (d *influxDB) start() {
	d.proc = start(d.t, need(d.t, "MAGNETO_INFLUXD", "path of influxd 1.8"), "-config", d.conf)
	until(d.t, "the database answers", func() error {
		_, err := d.ask(http.MethodGet, "SHOW DATABASES")
		return err
	})
}

func (d *influxDB) ask(method, query string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.base+"/query?epoch=ms&db=plant&q="+url.QueryEscape(query), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return b, err
}

// values are the stored values of the chaos tags. A time occurs once at most in
// a series, so what is doubled has another time than the spool had, and is not
// the value of a birth, which is stored at its birth's time too.
func (d *influxDB) values() map[sampleAt]float64 {
	d.t.Helper()
	got := map[sampleAt]float64{}
	for i := range chaosTags {
		name := fmt.Sprint("T", i)
		body, err := d.ask(http.MethodGet, fmt.Sprintf(`SELECT u FROM sparkplug WHERE device='D' AND metric='%s'`, name))
		require.NoError(d.t, err)
		var answer struct {
			Results []struct {
				Series []struct{ Values [][2]float64 }
				Error  string
			}
		}
		require.NoError(d.t, json.Unmarshal(body, &answer))
		require.Len(d.t, answer.Results, 1)
		require.Empty(d.t, answer.Results[0].Error)
		require.Len(d.t, answer.Results[0].Series, 1, name)
		for _, v := range answer.Results[0].Series[0].Values {
			got[sampleAt{name, int64(v[0])}] = v[1]
		}
	}
	return got
}

// TestChaosDatabase kills a database outside for a minute, and the host after
// two thirds of it.
func TestChaosDatabase(t *testing.T) {
	t.Parallel()
	db := newInfluxDB(t)
	r := newRigWith(t, chaosBroker(t).addr, "", "", fmt.Sprintf("history: {influx: {url: %q, bucket: plant/autogen}}\n", db.base))
	down := 9 * time.Second
	if os.Getenv("MAGNETO_CHAOS") != "" {
		down = time.Minute
	}
	scans := func(d time.Duration) { r.changes(int(d / chaosEvery)) }
	scans(down / 3)
	db.proc.kill()
	scans(down * 2 / 3)
	r.host.kill()
	r.startHost()
	worst := r.right()
	scans(down / 3)
	memory := takesOf(t, r.host).rss
	db.start()
	back := time.Now()
	scans(down / 3)
	db.proc.kill() // what it has taken it has for good
	db.start()
	r.quiet()
	r.delivered()
	r.sunk("influx")
	took := time.Since(back)
	r.note()
	got := db.values()
	l := r.against(got, 0)
	births := 0
	for at := range got {
		if _, ok := r.truth[at]; !ok {
			births++
		}
	}
	t.Logf("chaos: | database outside down, host killed within | %v | %s in the database, %d values of births beside; right again within %.1f s, bound 10 s; caught up within %.1f s of its return; host %d MiB |",
		down, l, births, worst.Seconds(), took.Seconds(), memory>>10)
	if l.lost+l.wrong > 0 || births > 10*chaosTags {
		t.Errorf("%s, %d that the spool has not", l, births)
	}
	r.report("the same, in the embedded history", fmt.Sprint(down), worst, 10*time.Second)
}

// TestChaosStoreKill kills a database outside, again and again, each time after
// it has all.
func TestChaosStoreKill(t *testing.T) {
	t.Parallel()
	db := newInfluxDB(t)
	r := newRigWith(t, chaosBroker(t).addr, "", "", fmt.Sprintf("history: {influx: {url: %q, bucket: plant/autogen}}\n", db.base))
	var worst time.Duration
	n := kills(t, 3)
	for range n {
		r.run(30)
		db.proc.kill()
		begun := time.Now()
		db.start()
		worst = max(worst, time.Since(begun))
		r.sunk("influx")
		r.note()
	}
	r.quiet()
	r.delivered()
	r.sunk("influx")
	r.note()
	l := r.against(db.values(), 0)
	t.Logf("chaos: | store outside kill -9 | %d kills | %s; it answers again within %.1f s, bound 5 s |", n, l, worst.Seconds())
	if l.lost+l.wrong > 0 || l.samples < 1000 || worst > 5*time.Second {
		t.Errorf("%s; %v", l, worst)
	}
}
