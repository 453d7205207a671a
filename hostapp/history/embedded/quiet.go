package embedded

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// quiet lets the warnings and errors of the TSDB through, which tells every
// compaction; but not that blocks overlap, as those of late samples do, nor
// that closing cut a compaction short, which the next start takes up again.
type quiet struct {
	slog.Handler
	closing *atomic.Bool
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "Overlapping blocks found") || q.closing.Load() && r.Message == "compaction failed" {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(a), q.closing}
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler {
	return quiet{q.Handler.WithGroup(name), q.closing}
}
