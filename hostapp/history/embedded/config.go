package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config says where the store is and how much it keeps. Dir is required; every
// other field works at its zero value.
type Config struct {
	Dir             string           // made if missing; one process at a time
	Retention       time.Duration    // how long samples are kept; 90 days if zero
	OutOfOrder      time.Duration    // how late a sample may come and still be written directly; 30 days if zero
	FutureTolerance time.Duration    // how far ahead of Now a sample may be before it is quarantined; 5 min if zero
	SeriesPerNode   int              // series that one edge node may have; 100,000 if zero
	QuarantineMax   int              // samples kept in quarantine, the oldest go first; 100,000 if zero
	MaxSamples      int              // samples that one query may load; 50 million if zero
	QueryTimeout    time.Duration    // of one query; 2 min if zero
	Now             func() time.Time // the host's clock; time.Now if nil
	Log             *slog.Logger     // slog.Default() if nil
}

// ready fills in the defaults and reports every fault at once.
func (c Config) ready() (Config, error) {
	c.Retention = cmp.Or(c.Retention, 90*24*time.Hour)
	c.OutOfOrder = cmp.Or(c.OutOfOrder, 30*24*time.Hour)
	c.FutureTolerance = cmp.Or(c.FutureTolerance, 5*time.Minute)
	c.SeriesPerNode = cmp.Or(c.SeriesPerNode, 100_000)
	c.QuarantineMax = cmp.Or(c.QuarantineMax, 100_000)
	c.MaxSamples = cmp.Or(c.MaxSamples, 50_000_000)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, 2*time.Minute)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	var faults []error
	if c.Dir == "" {
		faults = append(faults, errors.New("embedded: dir is empty"))
	}
	for name, d := range map[string]time.Duration{
		"retention": c.Retention, "out_of_order": c.OutOfOrder, "future_tolerance": c.FutureTolerance, "query timeout": c.QueryTimeout,
	} {
		if d < time.Millisecond {
			faults = append(faults, fmt.Errorf("embedded: %s is %v, must be at least 1ms", name, d))
		}
	}
	for name, n := range map[string]int{"series per node": c.SeriesPerNode, "quarantine": c.QuarantineMax, "max samples": c.MaxSamples} {
		if n < 1 {
			faults = append(faults, fmt.Errorf("embedded: %s is %d, must be positive", name, n))
		}
	}
	return c, errors.Join(faults...)
}
