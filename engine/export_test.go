package engine

import (
	"context"

	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
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

// ReplayReleasingInPieces is ReplayReleasing of few rows at once.
func ReplayReleasingInPieces(ctx context.Context, c *store.Connections, h *policy.History, rows int) (*Result, error) {
	past := h
	if h.IsFlat() {
		past = nil
	}
	return replay(ctx, c, h.Present(), past, 3, means{piece: rows, release: true})
}

// Admitted returns, of every one of these rows, who may have opened it as the ladder is told,
// and as the paths say if they are asked about this row alone.
func Admitted(c *store.Connections, snap *policy.Snapshot, rows []int) (told, alone [][2]bool) {
	e := newReplayer(c, snap, means{tables: neverTry}, 2)
	var r store.Row
	for _, i := range rows {
		c.Head(i, &r)
		in, out := e.possible(0, &r)
		told = append(told, [2]bool{in, out})
		at := e.known[r.Interface]
		if at < 0 {
			alone = append(alone, [2]bool{true, true})
			continue
		}
		fresh := &worker{e: e}
		alone = append(alone, [2]bool{fresh.possible(at, &r, flow.Ingress), fresh.possible(at, &r, flow.Egress)})
	}
	return told, alone
}
