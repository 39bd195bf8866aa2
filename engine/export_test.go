package engine

import (
	"context"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// ReplayTabled is ReplayHistory with tables of one kind: those that try every box, or
// those that never do.
func ReplayTabled(ctx context.Context, c *store.Connections, h *policy.History, try bool) (*Result, error) {
	how := neverTry
	if try {
		how = alwaysTry
	}
	past := h
	if h.IsFlat() {
		past = nil
	}
	return replay(ctx, c, h.Present(), past, 2, how)
}
