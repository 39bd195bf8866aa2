package plan_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/sgadvise/sgadvise/analyzer/plan"
	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/ingest/flow"
	"github.com/sgadvise/sgadvise/ingest/store"
)

// crowd adds to w many peers of few services.
func (w *randomWorld) crowd(t testing.TB, rng *rand.Rand) {
	s := parse(t, w.policy)
	for range 2 + rng.IntN(4) {
		f := &s.Interfaces[rng.IntN(len(s.Interfaces))]
		local := f.Addresses[0]
		d := []flow.Direction{flow.Ingress, flow.Ingress, flow.Egress}[rng.IntN(3)]
		service, spread, flags := uint16(rng.IntN(ports)), 1<<rng.IntN(17), rng.IntN(3) > 0
		base := []uint32{10 << 24, 10 << 24, 10<<24 | 3<<16, 20 << 24}[rng.IntN(4)]
		for range 5 + rng.IntN(30) {
			c := policy.Conn{Direction: d, Local: local, Remote: flow.Addr4(base + uint32(rng.IntN(spread))).Netip(), ICMP: policy.AnyICMP, Proto: flow.TCP}
			client := uint16(32768 + rng.IntN(20000))
			c.LocalPort, c.RemotePort = service, client
			if d == flow.Egress {
				c.LocalPort, c.RemotePort = client, service
			}
			w.log(s, f.ID, c, flags, rng)
		}
	}
}

// inputRolled is input with a limit of rows.
func (w *randomWorld) inputRolled(t testing.TB, mode plan.Mode, rows int, recs []flow.Record) plan.Input {
	s := parse(t, w.policy)
	cfg := engine.StoreConfig(s)
	cfg.MaxRows = rows
	res, err := engine.Replay(context.Background(), store.FromRecords(cfg, recs), s, 2)
	if err != nil {
		t.Fatal(err)
	}
	in := plan.Input{Result: res, Mode: mode, Budget: w.budget}
	for i := range s.Rules() {
		in.Evidence = append(in.Evidence, w.evidence(i))
	}
	return in
}

// A plan from rows that were rolled up holds for each record: it is proven against those
// rows, and against the rows as they were.
func TestPlansOfRolledUpRowsHoldForEachRecord(t *testing.T) {
	edits, rolled, slack := 0, 0, 0
	for seed := range uint64(50) {
		w := newRandomWorld(t, seed)
		rng := rand.New(rand.NewPCG(seed, 5))
		w.crowd(t, rng)
		exact := w.input(t, plan.ModeTighten)
		for _, rows := range []int{1, 30, 100} {
			in := w.inputRolled(t, plan.ModeTighten, rows, w.recs)
			p := made(t, in)
			edits += len(p.Edits)
			what := fmt.Sprintf("seed %d, %d rows\n%s\nplan: %v", seed, rows, w.policy, lines(p.Edits))
			if in.Result.Store.RollUp().Rows > 0 {
				rolled++
			}
			if p.Slack != "" {
				slack++
			}
			if p.Proof.NewlyDenied > 0 {
				t.Fatalf("%s\nits proof: %+v", what, p.Proof)
			}
			for _, d := range p.Declined {
				if d.Rule == (policy.Ref{}) {
					t.Fatalf("%s\ndeclined: %s", what, d.Reason)
				}
			}
			proof, err := plan.Certify(context.Background(), exact.Result, p.Planned)
			if err != nil {
				t.Fatal(err)
			}
			if !proof.Holds() {
				t.Fatalf("%s\nagainst the rows as they were: %s", what, proof.Witness)
			}
			rng.Shuffle(len(w.recs), func(i, j int) { w.recs[i], w.recs[j] = w.recs[j], w.recs[i] })
			again := made(t, w.inputRolled(t, plan.ModeTighten, rows, w.recs))
			if !reflect.DeepEqual(again.Edits, p.Edits) || !reflect.DeepEqual(again.Declined, p.Declined) || again.Slack != p.Slack {
				t.Fatalf("%s\nfrom shuffled records: %v", what, lines(again.Edits))
			}
		}
	}
	if edits < 80 || rolled < 50 || slack < 20 {
		t.Errorf("%d edits, %d logs rolled up, %d with slack: the test proves little", edits, rolled, slack)
	}
}
