package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// lookedAt lists the rows that a result still has for checks.
func lookedAt(res *engine.Result) (list []string) {
	for r, looks := range res.AgainstLooks() {
		list = append(list, fmt.Sprint("looks ", looks, *r))
	}
	for n, r := range res.RejectedAnswers() {
		list = append(list, fmt.Sprint("rejected ", n, *r))
	}
	return list
}

// TestReleasingDoesNotShow compares results with and without the rows given back: all that
// they say, and the rows that checks ask for.
func TestReleasingDoesNotShow(t *testing.T) {
	released, kept, rows := 0, 0, 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 47))
		var h *policy.History
		var recs []flow.Record
		switch seed % 4 {
		case 0, 1:
			text := randomPolicy(r)
			if seed%4 == 1 {
				text = randomWorld(r).text()
			}
			snap, err := cloud.ParseText("policy", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			h, recs = policy.HistoryOf(snap), randomRecords(r, 600)
		case 2:
			h, recs = historyOf(randomPast(r, 3)), randomRecords(r, 400)
		case 3:
			snap, some, _ := crowdedWorld(t, seed, proven)
			h, recs = policy.HistoryOf(snap), append(some, randomRecords(r, 200)...)
		}
		conns := func() *store.Connections {
			cfg := engine.HistoryConfig(h)
			if seed%4 == 3 {
				cfg.MaxRows = 100
			}
			return store.FromRecords(cfg, recs)
		}
		want, err := engine.ReplayHistory(context.Background(), conns(), h, 2)
		if err != nil {
			t.Fatal(err)
		}
		rows += len(lookedAt(want))
		for _, piece := range []int{1 << 20, 30} {
			got, err := engine.ReplayReleasingInPieces(context.Background(), conns(), h, piece)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range got.Excerpts {
				if x.Released {
					released++
				} else {
					kept++
				}
			}
			if !slices.Equal(lookedAt(got), lookedAt(want)) {
				t.Fatalf("seed %d, pieces of %d rows: other rows are left:\n%s", seed, piece, cmp.Diff(lookedAt(want), lookedAt(got)))
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(engine.Result{}, "Snapshot", "Store", "History", "Excerpts"), cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
				t.Fatalf("seed %d, pieces of %d rows: released rows show:\n%s", seed, piece, diff)
			}
		}
	}
	if released == 0 || kept == 0 || rows == 0 {
		t.Errorf("%d interfaces released, %d not, %d rows looked at: this test shows nothing", released, kept, rows)
	}
	t.Logf("%d interfaces released, %d not, %d rows looked at", released, kept, rows)
}
