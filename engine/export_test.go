package engine

import (
	"context"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// ReplayTabled is ReplayHistory with tables of one kind: those that try every box, or
// those that never do.
func ReplayTabled(ctx context.Context, c *store.Connections, h *policy.History, try bool) (*Result, error) {
	how := means{tables: neverTry, piece: pieceRows}
	if try {
		how.tables = alwaysTry
	}
	past := h
	if h.IsFlat() {
		past = nil
	}
	return replay(ctx, c, h.Present(), past, 2, how)
}

// ReplayByEntries is Replay by entries alone.
func ReplayByEntries(ctx context.Context, c *store.Connections, snap *policy.Snapshot) (*Result, error) {
	return replay(ctx, c, snap, nil, 2, means{entries: true})
}

// ReplayInPieces is Replay of few rows at once.
func ReplayInPieces(ctx context.Context, c *store.Connections, snap *policy.Snapshot, rows int) (*Result, error) {
	return replay(ctx, c, snap, nil, 3, means{piece: rows})
}
