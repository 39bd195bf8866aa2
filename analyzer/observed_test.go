package analyzer

import (
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// What goroutines see part by part, and by signature, is what one look after the other
// finds rule by rule.
func TestObservingInParts(t *testing.T) {
	text, err := os.ReadFile("../engine/policy/cloud/testdata/aws.policy")
	if err != nil {
		t.Fatal(err)
	}
	s, err := cloud.ParseText("policy", text)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for n := range 200 {
		res := &engine.Result{Snapshot: s}
		some := func() (ids []int32) {
			for range rng.IntN(4) {
				ids = append(ids, int32(rng.IntN(len(s.Rules())+3)))
			}
			slices.Sort(ids)
			return slices.Compact(ids)
		}
		for range 1 + rng.IntN(6) {
			res.Signatures = append(res.Signatures, engine.Signature{Hits: some(), Possible: some()})
		}
		var list []engine.Connection
		for range rng.IntN(3*n + 1) {
			c := engine.Connection{Interface: int32(rng.IntN(3)), Direction: flow.Direction(1 + rng.IntN(2)), Action: flow.Action(rng.IntN(3)),
				Proto: []flow.Proto{flow.TCP, flow.UDP, flow.ICMP}[rng.IntN(3)], Remote: flow.Addr4(rng.Uint32()), Port: uint16(rng.IntN(9)),
				Verdict: policy.Verdict(rng.IntN(3)), GroupVerdict: policy.Verdict(rng.IntN(3)), Carried: rng.IntN(3) == 0, Certain: rng.IntN(2) == 0, Answered: rng.IntN(2) == 0,
				Signature: int32(rng.IntN(len(res.Signatures)))}
			if c.PortHi = c.Port; rng.IntN(5) == 0 {
				c.PortHi += uint16(rng.IntN(9))
				c.Remote = flow.AddrFrom(s.Interfaces[0].Addresses[0])
			}
			list = append(list, c)
		}
		slices.SortStableFunc(list, func(a, b engine.Connection) int { return int(a.Interface - b.Interface) })
		res.Connections = engine.ConnectionsOf(list)
		want := make([]observed, len(s.Rules()))
		var stopped []int32
		visits := make(map[int32]map[visit]bool)
		for i := range list {
			c := &list[i]
			switch c.Action {
			case flow.Reject:
				if c.GroupVerdict == policy.Allowed || c.Verdict == policy.Allowed {
					stopped = append(stopped, int32(i))
				}
			case flow.Accept:
				x := &res.Signatures[c.Signature]
				for _, id := range slices.Concat(x.Hits, x.Possible) {
					if int(id) < len(want) {
						want[id].add(c)
					}
				}
				if c.GroupVerdict == policy.Denied && !c.Carried {
					if visits[c.Interface] == nil {
						visits[c.Interface] = make(map[visit]bool)
					}
					visits[c.Interface][visit{c.Direction, c.Proto, c.Port, max(c.Port, c.PortHi), outside(s, c.Remote), !c.Certain}] = true
				}
			}
		}
		got := observe(res)
		if !reflect.DeepEqual(got.rules, want) {
			t.Fatalf("case %d: observed\n%+v\nwant\n%+v", n, got.rules, want)
		}
		if !slices.Equal(got.stopped, stopped) {
			t.Fatalf("case %d: stopped %v, want %v", n, got.stopped, stopped)
		}
		found := make(map[int32]map[visit]bool)
		for _, x := range got.strays {
			if found[x.iface] == nil {
				found[x.iface] = make(map[visit]bool)
			}
			found[x.iface][x.visit] = true
		}
		if !reflect.DeepEqual(found, visits) {
			t.Fatalf("case %d: visits %v, want %v", n, found, visits)
		}
	}
}
