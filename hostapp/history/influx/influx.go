package influx

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	client "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// Config says where the database is. URL, Bucket and DeadLetters are required;
// every other field works at its zero value.
type Config struct {
	URL    string // http:// or https://, with a path if the server is behind one
	Org    string // InfluxDB 1.8 and VictoriaMetrics want none
	Bucket string // of InfluxDB 1.8: database/retention-policy
	Token  string // of InfluxDB 1.8: user:password
	TLS    *tls.Config
	Gzip   bool // halves nothing but the network's load; costs twice the CPU

	// DeadLetters is the file of refused lines, made with its folder if missing.
	DeadLetters string
	// DeadLetterBytes bounds it; 64 MiB if zero. Lines beyond are only counted,
	// and logged once.
	DeadLetterBytes int64

	BatchLines int           // lines of one request; 10,000 if zero
	BatchBytes int           // bytes of one request, about; 8 MiB if zero
	Timeout    time.Duration // of one request; 30 s if zero

	Now func() time.Time // time.Now if nil
	Log *slog.Logger     // slog.Default() if nil
}

func (c Config) ready() (Config, error) {
	c.DeadLetterBytes = cmp.Or(c.DeadLetterBytes, 64<<20)
	c.BatchLines = cmp.Or(c.BatchLines, 10_000)
	c.BatchBytes = cmp.Or(c.BatchBytes, 8<<20)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	var faults []error
	if err := CheckURL(c.URL); err != nil {
		faults = append(faults, err)
	}
	if c.Bucket == "" {
		faults = append(faults, errors.New("influx: bucket is empty"))
	}
	if c.DeadLetters == "" {
		faults = append(faults, errors.New("influx: no dead-letter file"))
	}
	if c.DeadLetterBytes < 0 || c.BatchLines < 0 || c.BatchBytes < 0 || c.Timeout < 0 {
		faults = append(faults, errors.New("influx: a bound is negative"))
	}
	return c, errors.Join(faults...)
}

// CheckURL says what is wrong with the address of a server.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("influx: url: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("influx: url %q: want http://host:8086 or https://host", s)
	case u.User != nil:
		return errors.New("influx: url: user and password go into the token, not into the URL")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("influx: url: want no ? and no #")
	}
	return nil
}

// Store writes to one database. It is a history.Writer; its methods may be
// called from several goroutines.
type Store struct {
	cfg    Config
	client client.Client
	write  api.WriteAPIBlocking

	mu      sync.Mutex
	index   map[history.Key]history.Series
	series  []series // by handle, from 1
	letters *deadLetters
	full    bool      // dead letters were dropped
	wait    time.Time // the server asked not to come before
	asked   bool      // which server it is
	uints   bool      // it knows unsigned integers
	buf     []byte
	ends    []int   // of the lines in buf
	moved   []moved // by the lines in buf
	stats   history.Stats
}

// series is a series of this process.
type series struct {
	prefix   []byte
	template string
	end      end
}

// end is where a series ends.
type end struct {
	newest int64 // time of its newest line
	some   bool  // there is one
	stale  bool  // and it is a marker
}

// moved is an end as it was before a batch.
type moved struct {
	of  history.Series
	was end
}

// Open prepares a store; the server need not be there. Close it in the end.
func Open(c Config) (*Store, error) {
	c, err := c.ready()
	if err != nil {
		return nil, err
	}
	letters, err := openDeadLetters(c.DeadLetters, c.DeadLetterBytes)
	if err != nil {
		return nil, fmt.Errorf("influx: dead letters: %w", err)
	}
	o := client.DefaultOptions().SetPrecision(time.Millisecond).SetUseGZip(c.Gzip).SetLogLevel(0).
		SetApplicationName("magneto").SetTLSConfig(c.TLS).SetHTTPRequestTimeout(uint(max(1, c.Timeout/time.Second)))
	cl := client.NewClientWithOptions(c.URL, c.Token, o)
	return &Store{
		cfg: c, client: cl, write: cl.WriteAPIBlocking(c.Org, c.Bucket),
		index: map[history.Key]history.Series{}, series: make([]series, 1), letters: letters,
	}, nil
}

// Close may be called once; the store is of no use after it.
func (s *Store) Close() error {
	s.client.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters.close()
}

// Stats counts what was written since the store was opened.
func (s *Store) Stats() history.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Series = len(s.series) - 1
	return st
}

// Series implements history.Writer. Nothing is sent.
func (s *Store) Series(_ context.Context, key history.Key, meta history.Meta) (history.Series, error) {
	if err := key.Check(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.index[key]
	if !ok {
		h = history.Series(len(s.series))
		s.series = append(s.series, series{prefix: appendSeries(nil, key)})
		s.index[key] = h
	}
	s.series[h].template = meta.Template
	return h, nil
}

// Write implements history.Writer. It returns once the server has taken every
// line, or has refused it and it is in the dead-letter file (Rejected); what a
// database knows already it overwrites, so that nothing is a duplicate here and
// of two values of one time the later stays.
func (s *Store) Write(ctx context.Context, points []history.Point) (history.WriteResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum history.WriteResult
	if err := s.ask(ctx); err != nil {
		return sum, err
	}
	for len(points) > 0 {
		res, n := s.encode(points)
		rejected, err := s.send(ctx)
		if err != nil {
			for _, m := range slices.Backward(s.moved) {
				s.series[m.of].end = m.was
			}
			return sum, err
		}
		res.Written -= rejected // markers are among them, as far as they are
		if res.Written < 0 {
			res.Markers, res.Written = res.Markers+res.Written, 0
		}
		res.Rejected = rejected
		sum.Add(res)
		s.stats.WriteResult.Add(res)
		points = points[n:]
	}
	return sum, nil
}

// encode fills buf with the lines of the first n points.
func (s *Store) encode(points []history.Point) (res history.WriteResult, n int) {
	s.buf, s.ends, s.moved = s.buf[:0], s.ends[:0], s.moved[:0]
	for i := range points {
		if len(s.ends) == s.cfg.BatchLines || len(s.buf) >= s.cfg.BatchBytes {
			return res, i
		}
		p := &points[i]
		if p.Series == 0 || int(p.Series) >= len(s.series) {
			res.Invalid++
			continue
		}
		e := &s.series[p.Series]
		at := p.Timestamp
		switch {
		case !p.Stale:
			res.Written++
		case e.end.stale:
			res.Duplicates++
			continue
		default:
			if e.end.some {
				at = max(at, e.end.newest+1)
			}
			res.Markers++
		}
		if !e.end.some || at >= e.end.newest {
			s.moved = append(s.moved, moved{p.Series, e.end})
			e.end = end{at, true, p.Stale}
		}
		s.buf = append(s.buf, e.prefix...)
		s.buf = append(appendFields(s.buf, p, e.template, s.uints), ' ')
		s.buf = strconv.AppendInt(s.buf, at, 10)
		s.endLine()
	}
	return res, len(points)
}

// endLine ends a line of buf.
func (s *Store) endLine() {
	s.buf = append(s.buf, '\n')
	s.ends = append(s.ends, len(s.buf))
}

// Record implements history.Writer: an event is a line of its own measurement,
// history.MeasurementEvent.
func (s *Store) Record(ctx context.Context, events ...history.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ask(ctx); err != nil {
		return err
	}
	for len(events) > 0 {
		n := min(len(events), s.cfg.BatchLines)
		s.buf, s.ends, s.moved = s.buf[:0], s.ends[:0], s.moved[:0]
		for i := range events[:n] {
			s.buf = appendEvent(s.buf, &events[i])
			s.endLine()
		}
		rejected, err := s.send(ctx)
		if err != nil {
			return err
		}
		s.stats.Rejected += rejected
		events = events[n:]
	}
	return nil
}

// modern are the versions of InfluxDB that know unsigned integers. VictoriaMetrics
// says 1.8.0; all is a float there.
var modern = regexp.MustCompile(`^v?([2-9]|\d\d+)\.`)

// ask finds out once what the server can do.
func (s *Store) ask(ctx context.Context) error {
	if s.asked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.cfg.URL, "/")+"/ping", nil)
	if err != nil {
		return fmt.Errorf("influx: %w", err)
	}
	res, err := s.client.HTTPService().DoHTTPRequestWithResponse(req, nil)
	if err != nil {
		return fmt.Errorf("influx: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("influx: %s: %s", req.URL, res.Status)
	}
	version := res.Header.Get("X-Influxdb-Version")
	s.asked, s.uints = true, modern.MatchString(version)
	s.cfg.Log.Info("influx: writing", "url", s.cfg.URL, "bucket", s.cfg.Bucket, "version", version)
	return nil
}
