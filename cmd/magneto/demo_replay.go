package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/magneto-iiot/magneto/simulators/process"
)

// followReplay says replay_done once the last row of the recording is stored.
func (a *app) followReplay(ctx context.Context, d *demoPlant, asJSON bool) error {
	defer func() { <-ctx.Done() }() // a part ends with the demo
	select {
	case <-ctx.Done():
		return nil
	case <-d.replay.Done():
	}
	pump := target{demoGroup, demoNode, demoPump}
	for {
		row, err := presentStored(ctx, d.client, pump, process.RowName)
		if err == nil && row == float64(d.rows-1) {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryCheck):
		}
	}
	a.say(" ✓ replay_done  all %d rows are stored; still serving", d.rows)
	if asJSON {
		return json.NewEncoder(a.out).Encode(map[string]any{"event": "replay_done", "rows": d.rows})
	}
	_, err := fmt.Fprintln(a.out, "replay_done")
	return err
}

// presentStored is the newest stored value of a metric.
func presentStored(ctx context.Context, host *hostClient, t target, metric string) (float64, error) {
	samples, err := storedSamples(ctx, host, t, metric, "1m")
	if err != nil {
		return 0, err
	}
	if len(samples) == 0 {
		return 0, fmt.Errorf("nothing of %s %s is stored", t, metric)
	}
	return samples[len(samples)-1].value, nil
}
