package engine_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// TestReplayDoesNotDependOnTheKindOfTable compares whole results, of policies with and
// without a past.
func TestReplayDoesNotDependOnTheKindOfTable(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 21))
		snaps := randomPast(r, 1+int(seed)%2*2)
		recs := randomRecords(r, 500)
		var results []*engine.Result
		for _, replay := range []func(*store.Connections, *policy.History) (*engine.Result, error){
			func(c *store.Connections, h *policy.History) (*engine.Result, error) {
				return engine.ReplayTabled(context.Background(), c, h, false)
			},
			func(c *store.Connections, h *policy.History) (*engine.Result, error) {
				return engine.ReplayTabled(context.Background(), c, h, true)
			},
			func(c *store.Connections, h *policy.History) (*engine.Result, error) {
				return engine.ReplayHistory(context.Background(), c, h, 3)
			},
		} {
			h := historyOf(snaps)
			res, err := replay(store.FromRecords(engine.HistoryConfig(h), recs), h)
			if err != nil {
				t.Fatal(err)
			}
			res.Store, res.Snapshot, res.History = nil, nil, nil
			results = append(results, res)
		}
		for k, res := range results[1:] {
			if diff := cmp.Diff(results[0], res, cmpopts.EquateComparable(netip.Prefix{}), listed); diff != "" {
				t.Fatalf("seed %d, kind %d: results differ:\n%s", seed, k+1, diff)
			}
		}
	}
}
