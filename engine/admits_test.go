package engine_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
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

// Two networks may use the same addresses. What is remembered of one interface says nothing of
// another that has its address, and tells as many classes of far ends apart.
func TestWhatIsAdmittedIsOfOneInterface(t *testing.T) {
	snap, err := cloud.ParseText("policy", []byte(`
interface eni-0 10.0.0.4 sg-0 vpc=vpc-1
interface eni-1 10.0.0.4 sg-1 vpc=vpc-2
group sg-0 vpc=vpc-1
  sgr-1 ingress tcp 443 from 203.0.113.0/24
group sg-1 vpc=vpc-2
  sgr-2 egress tcp 22 to 203.0.113.0/24
`))
	if err != nil {
		t.Fatal(err)
	}
	own, far := netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("203.0.113.7")
	var records []flow.Record
	for _, name := range []string{"eni-0", "eni-1"} {
		records = append(records, flow.Record{Interface: name, Src: far, Dst: own, SrcPort: 22, DstPort: 443, Proto: flow.TCP,
			Action: flow.Accept, Direction: flow.Ingress, Start: 1700000000, End: 1700000060, Packets: 1, Bytes: 40})
	}
	c := store.FromRecords(engine.StoreConfig(snap), records)
	if c.Len() != 2 {
		t.Fatalf("%d rows, want one of each interface", c.Len())
	}
	want := map[string][2]bool{"eni-0": {true, false}, "eni-1": {false, true}}
	rows := []int{0, 1, 0, 1, 1, 0}
	told, _ := engine.Admitted(c, snap, rows)
	var x store.Row
	for i, row := range rows {
		c.Head(row, &x)
		if name := c.Interfaces()[x.Interface]; told[i] != want[name] {
			t.Errorf("row of %s is admitted as opened ingress, egress: %v, should be %v", name, told[i], want[name])
		}
	}
}
