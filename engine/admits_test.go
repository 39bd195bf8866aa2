package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/store"
)

func TestWhatIsAdmittedIsRememberedRight(t *testing.T) {
	differ := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 31))
		snap, err := cloud.ParseText("policy", []byte(randomPolicy(r)))
		if err != nil {
			t.Fatal(err)
		}
		c := store.FromRecords(engine.StoreConfig(snap), randomRecords(r, 600))
		rows := r.Perm(c.Len())
		if seed%2 == 0 {
			slices.Sort(rows)
		}
		told, alone := engine.Admitted(c, snap, rows)
		var x store.Row
		for i := range told {
			if told[i] != alone[i] {
				c.Row(rows[i], &x)
				t.Fatalf("seed %d: %+v is admitted as opened ingress, egress: %v, should be %v", seed, x, told[i], alone[i])
			}
			if told[i][0] != told[i][1] {
				differ++
			}
		}
	}
	if differ < 400 {
		t.Errorf("the rules say of %d rows only who opened them", differ)
	}
}
