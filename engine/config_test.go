package engine_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// The ports of an interface's rows are told apart by the rules on its paths, each on its
// own side, and by no other's.
func TestBoundsOfAnInterfaceAreThoseOfItsPaths(t *testing.T) {
	snap, err := cloud.ParseText("policy", []byte(`
subnet subnet-1 10.0.0.0/24
interface eni-1 10.0.0.1 sg-1 sg-2 subnet=subnet-1
interface eni-2 10.0.0.2 sg-2
group sg-1
  a ingress tcp 443 from 0.0.0.0/0
group sg-2
  b egress udp 5000-6000 to 0.0.0.0/0
group sg-3
  c ingress tcp 7 from 0.0.0.0/0
acl acl-1 subnets=subnet-1
  100 ingress allow tcp 1024-65535 from 0.0.0.0/0
  100 egress allow all to 0.0.0.0/0
`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := engine.StoreConfig(snap)
	for id, want := range map[string][2][]uint16{
		"eni-1": {{443, 444, 1024}, {5000, 6001}},
		"eni-2": {nil, {5000, 6001}},
	} {
		got := cfg.Ports[id]
		slices.Sort(got.Local)
		slices.Sort(got.Remote)
		if !slices.Equal(got.Local, want[0]) || !slices.Equal(got.Remote, want[1]) {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if want := []uint16{7, 8, 443, 444, 1024, 5000, 6001}; !slices.Equal(cfg.PortBounds, want) {
		t.Errorf("all bounds are %v, want %v", cfg.PortBounds, want)
	}
}

// Telling apart more ports than the rules on an interface's own paths do decides no record
// otherwise: what passed, what was blocked and what no rule explains stay the same.
func TestBoundsOfOtherInterfacesDecideNothing(t *testing.T) {
	fewer := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 5))
		text := randomPolicy(r)
		snap, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		recs := randomRecords(r, 300)
		replay := func(cfg store.Config) *engine.Result {
			res, err := engine.Replay(context.Background(), store.FromRecords(cfg, recs), snap, 2)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		cfg := engine.StoreConfig(snap)
		own := replay(cfg)
		cfg.Ports = nil
		all := replay(cfg)
		if diff := cmp.Diff(all.Ledger, own.Ledger); diff != "" {
			t.Fatalf("seed %d: (all bounds, own bounds)\n%s\n%s", seed, diff, text)
		}
		if diff := cmp.Diff(all.Fidelity, own.Fidelity); diff != "" {
			t.Fatalf("seed %d: (all bounds, own bounds)\n%s\n%s", seed, diff, text)
		}
		if own.Store.Len() < all.Store.Len() {
			fewer++
		}
	}
	if fewer == 0 {
		t.Error("own bounds never made fewer rows")
	}
}
