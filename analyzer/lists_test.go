package analyzer

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/policy/cloud"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// plainLine is a line without what its list keeps for itself.
type plainLine struct {
	rule          policy.Rule
	tier          int
	sure, perhaps []netset.Box
	exact         bool
}

func plainLines(l *space.List) []plainLine {
	var out []plainLine
	for i := range l.Lines {
		x := &l.Lines[i]
		out = append(out, plainLine{*x.Rule, x.Tier, x.Sure, x.Perhaps, x.Exact})
	}
	return out
}

// The lists that are put together of the lines of groups are those of the paths.
func TestListsAreThoseOfPaths(t *testing.T) {
	var texts []string
	for _, name := range []string{"aws", "alibaba"} {
		text, err := os.ReadFile("../engine/policy/cloud/testdata/" + name + ".policy")
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	rng := rand.New(rand.NewPCG(5, 9))
	for n := range 100 {
		texts = append(texts, randomOrdered(rng, n%2 == 0))
	}
	stages := 0
	for n, text := range texts {
		s, err := cloud.ParseText("policy", []byte(text))
		if err != nil {
			t.Fatalf("world %d: %v\n%s", n, err, text)
		}
		l := newRuleLists(s)
		for i := range s.Interfaces {
			for _, d := range directions {
				got := l.scopes[l.of[i]].stages[side(d)]
				for _, st := range s.Path(s.Interfaces[i].ID, d) {
					if !st.Stateful {
						continue
					}
					if len(got) == 0 {
						t.Fatalf("world %d: %s has fewer stages than its path\n%s", n, s.Interfaces[i].ID, text)
					}
					stages++
					want := space.Of(&st)
					if x := got[0].list; !reflect.DeepEqual(plainLines(x), plainLines(want)) || x.Default != want.Default || x.Plain != want.Plain {
						t.Fatalf("world %d: %s %s is\n%+v\nwant\n%+v\n%s", n, s.Interfaces[i].ID, d, plainLines(x), plainLines(want), text)
					}
					for k := range got[0].hedged.Lines {
						x, y := &got[0].hedged.Lines[k], &want.Lines[k]
						hedged := y.Rule.Implicit && isIntra(y.Rule.Ref)
						if r, ok := s.RuleIndex(y.Rule.Ref); ok {
							hedged = slices.ContainsFunc(s.Rules()[r].Refs(), func(x policy.SetRef) bool { return x.Kind == policy.GroupSet })
						}
						if hedged && (x.Exact || x.Sure != nil) || !hedged && !reflect.DeepEqual(x.Sure, y.Sure) {
							t.Fatalf("world %d: line %d of %s is for certain %v\n%s", n, k, s.Interfaces[i].ID, x.Sure, text)
						}
					}
					got = got[1:]
				}
				if len(got) > 0 {
					t.Fatalf("world %d: %s has more stages than its path\n%s", n, s.Interfaces[i].ID, text)
				}
			}
		}
	}
	if stages < 500 {
		t.Errorf("only %d stages compared", stages)
	}
}

// covers is netset.Covered, sooner.
func TestCoversIsCovered(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 2))
	yes := 0
	for n := range 2000 {
		all := allIPv4
		if n%2 == 0 {
			all.Addrs = netset.AddrsOf(netip.MustParsePrefix("10.0.0.0/30"))
		}
		var boxes []netset.Box
		for range rng.IntN(8) {
			bits := rng.IntN(3)
			if n%2 == 0 {
				bits += 30
			}
			addr := netip.AddrFrom4([4]byte{byte(rng.Uint32()), 0, 0, byte(rng.IntN(4))})
			if n%2 == 0 {
				addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(4))})
			}
			b := netset.Box{Services: netset.AllServices, Addrs: netset.AddrsOf(netip.PrefixFrom(addr, bits).Masked())}
			if rng.IntN(4) == 0 {
				b.Services = netset.ServiceOf(flow.TCP, netset.AllPorts)
			}
			boxes = append(boxes, b)
		}
		want, _ := netset.Covered(all, boxes)
		if got := covers(boxes, all); got != want {
			t.Fatalf("%v covers %v: %t, want %t", boxes, all, got, want)
		}
		if want {
			yes++
		}
	}
	if yes < 100 {
		t.Errorf("covered in %d cases only", yes)
	}
}
