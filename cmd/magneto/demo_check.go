package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/magneto-iiot/magneto/hostapp/history"
)

// A check is one claim of the README, tried from outside: over the REST and
// Prometheus API of the running demo.
type check struct {
	name string
	try  func(ctx context.Context) (saw string, err error)
}

// demoChecks are the claims: metric of device moves and is stored, and the
// metric named command, of commanded, takes value.
func demoChecks(host *hostClient, device target, metric string, commanded target, command string, value float64) []check {
	return []check{
		{"births", func(ctx context.Context) (string, error) { return checkBirths(ctx, host) }},
		{"data", func(ctx context.Context) (string, error) { return checkData(ctx, host, device, metric) }},
		{"history", func(ctx context.Context) (string, error) { return checkHistory(ctx, host, device, metric) }},
		{"write", func(ctx context.Context) (string, error) {
			return checkWrite(ctx, host, commanded, command, value)
		}},
	}
}

// retryCheck is the time between two tries of a check.
const retryCheck = 300 * time.Millisecond

// runChecks tries the checks in order, each until it holds or ctx ends, and
// prints what came of each. It returns how many failed.
func (a *app) runChecks(ctx context.Context, checks []check) (failed int) {
	for _, c := range checks {
		saw, err := c.until(ctx)
		if err != nil {
			failed++
			a.say(" ✗ check %-8s %v", c.name, err)
			continue
		}
		a.say(" ✓ check %-8s %s", c.name, saw)
	}
	return failed
}

// until tries c again and again, and says what was wrong at the last try.
func (c check) until(ctx context.Context) (string, error) {
	last := errors.New("not tried: no time left")
	for ctx.Err() == nil {
		saw, err := c.try(ctx)
		if err == nil {
			return saw, nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryCheck):
		}
	}
	return "", last
}

func checkBirths(ctx context.Context, host *hostClient) (string, error) {
	var node struct {
		Online  bool `json:"online"`
		Devices []struct {
			Device string `json:"device"`
			Online bool   `json:"online"`
		} `json:"devices"`
	}
	t := target{group: demoGroup, node: demoNode}
	if err := host.do(ctx, http.MethodGet, t.path(), nil, &node); err != nil {
		return "", err
	}
	online := 0
	for _, d := range node.Devices {
		if d.Online {
			online++
		}
	}
	if !node.Online || online < len(demoDevices) {
		return "", fmt.Errorf("%s online: %t, with %d of %d devices", t, node.Online, online, len(demoDevices))
	}
	return fmt.Sprintf("%s and %d devices are online", t, online), nil
}

// checkData wants two values of a metric that differ in time.
func checkData(ctx context.Context, host *hostClient, t target, metric string) (string, error) {
	first, err := presentValue(ctx, host, t, metric)
	if err != nil {
		return "", err
	}
	for {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s %s has not moved since %s", t, metric, first.Timestamp)
		case <-time.After(retryCheck):
		}
		now, err := presentValue(ctx, host, t, metric)
		if err != nil {
			return "", err
		}
		if now.Timestamp != first.Timestamp {
			return fmt.Sprintf("%s %s went from %s to %s", t, metric, first.Value, now.Value), nil
		}
	}
}

type presentMetric struct {
	Name      string          `json:"name"`
	Value     json.RawMessage `json:"value"`
	Timestamp string          `json:"timestamp"`
	Stale     bool            `json:"stale"`
}

func presentValue(ctx context.Context, host *hostClient, t target, metric string) (presentMetric, error) {
	var device struct {
		Metrics []presentMetric `json:"metrics"`
	}
	if err := host.do(ctx, http.MethodGet, t.path(), nil, &device); err != nil {
		return presentMetric{}, err
	}
	for _, m := range device.Metrics {
		if m.Name == metric && !m.Stale {
			return m, nil
		}
	}
	return presentMetric{}, fmt.Errorf("%s has no fresh %s", t, metric)
}

// checkHistory wants stored samples back through the Prometheus API.
func checkHistory(ctx context.Context, host *hostClient, t target, metric string) (string, error) {
	samples, err := storedSamples(ctx, host, t, metric, "1h")
	if err != nil {
		return "", err
	}
	if len(samples) < 3 {
		return "", fmt.Errorf("%d samples of %s %s are stored, want 3", len(samples), t, metric)
	}
	return fmt.Sprintf("%d samples of %s %s are stored", len(samples), t, metric), nil
}

// sample is one stored value.
type sample struct {
	at    time.Time
	value float64
}

// storedSamples reads what the history has of a metric over the last window,
// as it was measured.
func storedSamples(ctx context.Context, host *hostClient, t target, metric, window string) ([]sample, error) {
	query := fmt.Sprintf("%s{%s=%q,%s=%q,%s=%q,%s=%q}[%s]", history.MetricValue, history.LabelGroup, t.group,
		history.LabelNode, t.node, history.LabelDevice, t.device, history.LabelMetric, metric, window)
	var answer struct {
		Data struct {
			Result []struct {
				Values [][2]any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	path := "/prometheus/api/v1/query?query=" + url.QueryEscape(query)
	if err := host.do(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return nil, err
	}
	var out []sample
	for _, series := range answer.Data.Result {
		for _, v := range series.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("history: %w", err)
			}
			out = append(out, sample{time.UnixMilli(int64(at * 1000)), f})
		}
	}
	return out, nil
}

// checkWrite sends a command and wants it confirmed by the equipment.
func checkWrite(ctx context.Context, host *hostClient, t target, metric string, value float64) (string, error) {
	var answer confirmed
	err := host.do(ctx, http.MethodPut, t.metricPath(metric), map[string]float64{"value": value}, &answer)
	if err != nil {
		return "", err
	}
	var got float64
	if err := json.Unmarshal(answer.Value, &got); err != nil || got != value {
		return "", fmt.Errorf("%s %s: wrote %v, got back %s", t, metric, value, answer.Value)
	}
	return fmt.Sprintf("%s %s = %v, confirmed at %s", t, metric, value, answer.Timestamp), nil
}
