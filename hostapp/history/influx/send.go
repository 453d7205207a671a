package influx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// send writes the lines of buf and says how many were refused and are dead
// letters now. After an error all of them are to be sent again.
func (s *Store) send(ctx context.Context) (rejected int, err error) {
	if len(s.ends) == 0 {
		return 0, nil
	}
	if left := s.wait.Sub(s.cfg.Now()); left > 0 {
		return 0, fmt.Errorf("influx: the server asked to wait for another %v", left.Round(time.Second))
	}
	b := batch{s: s}
	if err := b.send(ctx, 0, len(s.ends)); err != nil {
		return 0, err
	}
	if len(b.guilty) == 0 {
		return 0, nil
	}
	if b.blames() {
		return 0, b.doubt()
	}
	dropped, err := s.letters.add(b.guilty)
	if err != nil {
		return 0, err
	}
	s.cfg.Log.Warn("influx: lines are refused and kept as dead letters", "count", len(b.guilty)-dropped, "file", s.letters.path, "reason", b.guilty[0].Reason)
	s.stats.DeadLettersDropped += dropped
	if dropped > 0 && !s.full {
		s.full = true
		s.cfg.Log.Error("influx: the dead-letter file is full, refused lines are only counted from now on", "file", s.letters.path, "max_bytes", s.letters.max)
	}
	return len(b.guilty), nil
}

// batch is a batch on its way: what is refused is halved until the guilty lines
// are alone. Writing a line twice does no harm.
type batch struct {
	s      *Store
	guilty []DeadLetter
	taken  int  // lines that were taken
	named  bool // the server has spoken of lines, not of the request
}

// blames says whether all that was tried was refused, without a word about
// lines: then the request itself is at fault, and so is whoever configured it.
func (b *batch) blames() bool { return b.taken == 0 && !b.named }

func (b *batch) doubt() error {
	return fmt.Errorf("influx: every line is refused: %s", b.guilty[0].Reason)
}

// mostTried is how many lines may be refused one by one before there is doubt.
const mostTried = 64

func (b *batch) send(ctx context.Context, from, to int) error {
	refused, err := b.s.post(ctx, b.s.lines(from, to))
	switch {
	case err != nil:
		return err
	case refused == nil:
		b.taken += to - from
		return nil
	case to-from == 1 || refused.dropped == to-from:
		b.named = b.named || refused.named
		for i := from; i < to; i++ {
			line := b.s.lines(i, i+1)
			b.guilty = append(b.guilty, DeadLetter{At: b.s.cfg.Now().UTC(), Reason: refused.reason, Line: line[:len(line)-1]})
		}
		if b.blames() && len(b.guilty) >= mostTried {
			return b.doubt()
		}
		return nil
	}
	half := from + (to-from)/2
	if err := b.send(ctx, from, half); err != nil {
		return err
	}
	return b.send(ctx, half, to)
}

// lines is a copy of a part of buf: a request may be read after its answer.
func (s *Store) lines(from, to int) string {
	start := 0
	if from > 0 {
		start = s.ends[from-1]
	}
	return string(s.buf[start:s.ends[to-1]])
}

// refusal is what a server says about lines that it will never take.
type refusal struct {
	reason  string
	dropped int // how many it says; 0: it does not
	named   bool
}

var (
	droppedLines = regexp.MustCompile(`\bdropped=(\d+)`)
	ofLines      = regexp.MustCompile(`partial write|unable to parse|dropped=|field type conflict|beyond retention|invalid (field|tag|number|boolean|timestamp)|max key size|too (long|large)`)
)

// post sends lines. What can be better the next time is an error.
func (s *Store) post(ctx context.Context, lines string) (*refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err := s.write.WriteRecord(ctx, lines)
	if err == nil {
		return nil, nil
	}
	answer, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return nil, fmt.Errorf("influx: %w", err)
	}
	if answer.RetryAfter > 0 {
		const longest = 10 * time.Minute
		s.wait = s.cfg.Now().Add(min(time.Duration(answer.RetryAfter)*time.Second, longest))
	}
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		r := &refusal{reason: strings.TrimSpace(answer.Error()), named: answer.StatusCode == http.StatusRequestEntityTooLarge}
		r.named = r.named || ofLines.MatchString(r.reason)
		if m := droppedLines.FindStringSubmatch(r.reason); m != nil {
			r.dropped, _ = strconv.Atoi(m[1])
		}
		return r, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("influx: the server does not let us write to %s: look at the token: %w", s.cfg.Bucket, err)
	case http.StatusNotFound:
		return nil, fmt.Errorf("influx: bucket %s or the write API is not there: %w", s.cfg.Bucket, err)
	}
	return nil, fmt.Errorf("influx: %w", err)
}
