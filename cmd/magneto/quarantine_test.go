package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/magneto-iiot/magneto/hostapp"
	"github.com/magneto-iiot/magneto/hostapp/history"
	"github.com/magneto-iiot/magneto/hostapp/history/embedded"
	"github.com/magneto-iiot/magneto/hostapp/watch"
	"github.com/magneto-iiot/magneto/internal/mqtt"
	"github.com/magneto-iiot/magneto/sparkplug"
)

// TestQuarantine undoes a clock that was a day ahead, as a person would.
func TestQuarantine(t *testing.T) {
	noon := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Now: func() time.Time { return noon }, Log: quiet})
	require.NoError(t, err)
	defer store.Close()
	nobody := func(context.Context, *mqtt.Message, func(mqtt.Message)) (watch.Conn, error) {
		return nil, errors.New("nobody")
	}
	h, err := hostapp.New(hostapp.Config{ID: "plant", History: store, Log: quiet, Servers: []hostapp.Server{{Name: "test", Dial: nobody}}})
	require.NoError(t, err)
	web := httptest.NewServer(h.Handler())
	defer web.Close()
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, out, errs := invoke(t.Context(), append([]string{"history", "quarantine"}, append(args, "--url", web.URL)...)...)
		require.Equal(t, code, got, errs)
		require.Regexp(t, regexp.MustCompile(want), out+errs)
	}
	run(exitOK, "nothing is in quarantine", "list")
	series, err := store.Series(t.Context(), history.Key{Group: "G", Node: "N", Device: "D", Metric: "Temp"}, history.Meta{Type: sparkplug.TypeDouble})
	require.NoError(t, err)
	for _, ahead := range []time.Duration{24 * time.Hour, 24*time.Hour + time.Second, 72 * time.Hour} {
		_, err = store.Write(t.Context(), []history.Point{{Series: series, Timestamp: noon.Add(ahead).UnixMilli(), Value: sparkplug.Double(21.5), Quality: history.QualityGood}})
		require.NoError(t, err)
	}
	run(exitOK, `(?m)^G/N +3 +2026-05-21 12:00:00.000Z .* 24h0m0s$`, "list")
	run(exitOK, `(?m)^D Temp +21.5 +2026-05-21 12:00:01.000Z`, "list", "G/N")
	run(exitOK, `(?s)^NODE.*\nD Temp .*2 more: --offset 1\n$`, "list", "G/N", "--limit", "1")
	run(exitOK, `(?s)2026-05-21 12:00:01.*2026-05-23 12:00:00.*Z *\n$`, "list", "G/N", "--offset", "1")
	run(exitFailed, "offset: .* is not in 0 to", "list", "G/N", "--offset", "-1")
	run(exitOK, `"received": "2026-05-20T12:00:00Z"`, "list", "--json")
	run(exitOK, `^G/N: 2 stored, 0 known already, 0 refused for another value of that time, 0 too old; 1 still in quarantine\n$`, "release", "G/N", "--shift", "-1d")
	run(exitUsage, "say --yes", "drop", "G/N")
	run(exitOK, `^G/N: 1 dropped\n$`, "drop", "G/N", "--yes")
	run(exitOK, "nothing is in quarantine", "list", "G/N")
}
