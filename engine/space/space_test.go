package space_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/sgadvise/sgadvise/engine/netset"
	"github.com/sgadvise/sgadvise/engine/policy"
	"github.com/sgadvise/sgadvise/engine/space"
	"github.com/sgadvise/sgadvise/ingest/flow"
)

// The universe of the tests: 16 addresses, 6 ports of TCP, and ICMP as a whole.
const hosts, ports = 16, 6

type point struct {
	host  byte
	proto flow.Proto
	port  uint16
}

func points() (out []point) {
	for h := range byte(hosts) {
		for p := range uint16(ports) {
			out = append(out, point{h, flow.TCP, 100 + p})
		}
		out = append(out, point{h, flow.UDP, 100})
	}
	return out
}

func (p point) addr() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, p.host}) }

func (p point) conn() *policy.Conn {
	return &policy.Conn{Direction: flow.Ingress, Proto: p.proto, Local: netip.MustParseAddr("10.9.9.9"), Remote: p.addr(),
		LocalPort: p.port, RemotePort: 40000, ICMP: policy.AnyICMP}
}

func (p point) in(boxes []netset.Box) bool {
	return slices.ContainsFunc(boxes, func(b netset.Box) bool {
		return b.Contains(flow.AddrFrom(p.addr()), netset.Point(p.proto, p.port).First)
	})
}

// randomStage has up to n rules over one to three tiers.
func randomStage(r *rand.Rand, n int, actions []policy.Action, unknown bool) *policy.Stage {
	st := &policy.Stage{Name: "s", Stateful: true, DefaultRef: policy.DefaultRef("s", flow.Ingress)}
	if r.IntN(3) == 0 {
		st.Default = policy.Allow
	}
	st.Tiers = make([]policy.Tier, 1+r.IntN(2))
	for i := range n {
		bits := 28 + r.IntN(5)
		remote := policy.AddrSet{Prefixes: []netip.Prefix{netip.PrefixFrom(point{host: byte(r.IntN(hosts))}.addr(), bits).Masked()}}
		if unknown && r.IntN(4) == 0 {
			remote.Unknown = true
			if r.IntN(2) == 0 {
				remote.Prefixes = nil
			}
		}
		lo := r.IntN(ports)
		m := policy.NewMatch(flow.Ingress, policy.OneProto(flow.TCP), netset.PortRange{First: uint16(100 + lo), Last: uint16(100 + lo + r.IntN(ports-lo))}, policy.AnyICMP, remote)
		if r.IntN(5) == 0 {
			m.Protos, m.LocalPorts = policy.AnyProto, netset.AllPorts
		}
		t := &st.Tiers[r.IntN(len(st.Tiers))]
		t.Rules = append(t.Rules, policy.Rule{Ref: policy.Ref{Owner: "g", Rule: fmt.Sprint("r", i)}, Direction: flow.Ingress,
			Rank: uint32(r.IntN(4)), Action: actions[r.IntN(len(actions))], Match: []policy.Match{m}})
	}
	return st
}

var (
	twoActions = []policy.Action{policy.Allow, policy.Allow, policy.Deny}
	allActions = []policy.Action{policy.Allow, policy.Allow, policy.Deny, policy.Next}
)

// without returns st without one rule.
func without(st *policy.Stage, ref policy.Ref) *policy.Stage {
	out := *st
	out.Tiers = slices.Clone(st.Tiers)
	for t := range out.Tiers {
		out.Tiers[t].Rules = slices.DeleteFunc(slices.Clone(out.Tiers[t].Rules), func(r policy.Rule) bool { return r.Ref == ref })
	}
	return &out
}

// settled returns every way to know what st leaves open: each rule with unknown
// addresses matches everything or only what it names.
func settled(st *policy.Stage) []*policy.Stage {
	out := []*policy.Stage{st}
	for t := range st.Tiers {
		for i := range st.Tiers[t].Rules {
			if !st.Tiers[t].Rules[i].Match[0].Remote.Unknown {
				continue
			}
			var next []*policy.Stage
			for _, s := range out {
				for _, whole := range []bool{false, true} {
					c := without(s, policy.Ref{})
					m := c.Tiers[t].Rules[i].Match[0]
					m.Remote = policy.AddrSet{Prefixes: m.Remote.Prefixes}
					if whole {
						m.Remote = policy.AnyAddr
					}
					c.Tiers[t].Rules[i].Match = []policy.Match{m}
					next = append(next, c)
				}
			}
			out = next
		}
	}
	return out
}

func TestPermitsIsWhatTheStageAllows(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		st := randomStage(r, 1+r.IntN(7), allActions, seed%2 == 0)
		got := space.Of(st).Permits()
		cases := settled(st)
		for _, p := range points() {
			always, never := true, true
			for _, x := range cases {
				v := x.Decide(p.conn()).Verdict
				always, never = always && v == policy.Allowed, never && v == policy.Denied
			}
			if p.in(got.Sure) && !always || !p.in(got.Perhaps) && !never {
				t.Fatalf("seed %d: %v: permitted for sure %v, perhaps %v; always allowed %v, never %v",
					seed, p, p.in(got.Sure), p.in(got.Perhaps), always, never)
			}
			if always && len(cases) == 1 && !p.in(got.Sure) {
				t.Fatalf("seed %d: %v is allowed and not permitted for sure", seed, p)
			}
		}
	}
}

func TestSpeaksIsWhereALineWins(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 2))
		st := randomStage(r, 1+r.IntN(7), twoActions, false)
		l := space.Of(st)
		for i := range l.Lines {
			got := l.Speaks(i, nil)
			for _, p := range points() {
				wins := slices.Contains(st.Decide(p.conn()).Winners, l.Lines[i].Rule.Ref)
				if wins != p.in(got.Sure) || wins != p.in(got.Perhaps) {
					t.Fatalf("seed %d: %s at %v: wins %v", seed, l.Lines[i].Rule.Ref, p, wins)
				}
			}
		}
	}
}

// Redundant must never be wrong, and where all is known it must be complete.
func TestRedundantLinesChangeNothing(t *testing.T) {
	found := [3]int{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		unknown := seed%3 == 0
		actions := twoActions
		if seed%5 == 0 {
			actions = allActions
		}
		st := randomStage(r, 2+r.IntN(6), actions, unknown)
		l := space.Of(st)
		for i := range l.Lines {
			why := l.Redundant(i, nil)
			found[why]++
			same, never := true, true
			for _, s := range settled(st) {
				for _, p := range points() {
					a := s.Decide(p.conn())
					same = same && a.Verdict == without(s, l.Lines[i].Rule.Ref).Decide(p.conn()).Verdict
					never = never && !slices.Contains(a.Winners, l.Lines[i].Rule.Ref)
				}
			}
			if why != space.Needed && !same {
				t.Fatalf("seed %d: %s is called redundant and changes a verdict", seed, l.Lines[i].Rule.Ref)
			}
			if why == space.Shadowed && !never {
				t.Fatalf("seed %d: %s is called shadowed and speaks", seed, l.Lines[i].Rule.Ref)
			}
			// Beyond the universe of the points a line with an unknown part or for all
			// protocols may matter, so completeness is asked of TCP lines alone.
			if _, one := l.Lines[i].Rule.Match[0].Protos.Single(); one && !unknown && actions[len(actions)-1] != policy.Next && same && why == space.Needed {
				t.Fatalf("seed %d: %s changes nothing and is not found", seed, l.Lines[i].Rule.Ref)
			}
		}
	}
	for why, n := range found {
		if n == 0 {
			t.Errorf("reason %d never occurred", why)
		}
	}
	t.Log("needed, shadowed, covered:", found)
}

func TestByNamesEnoughLines(t *testing.T) {
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 4))
		st := randomStage(r, 2+r.IntN(6), twoActions, false)
		l := space.Of(st)
		for i := range l.Lines {
			why := l.Redundant(i, nil)
			if why == space.Needed {
				continue
			}
			by := l.By(i, why, nil)
			keep := func(j int) bool { return slices.Contains(by, j) || l.Lines[j].Rule.Action != l.Lines[i].Rule.Action }
			if got := l.Redundant(i, keep); got == space.Needed {
				t.Fatalf("seed %d: %s is not redundant by %v alone", seed, l.Lines[i].Rule.Ref, by)
			}
		}
	}
}

// Removing from the last line to the first, testing each time, never changes anything.
func TestRemovalFromBelowKeepsThePermittedSpace(t *testing.T) {
	removed := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		st := randomStage(r, 3+r.IntN(8), twoActions, false)
		l := space.Of(st)
		gone := make([]bool, len(l.Lines))
		rest := st
		for i := len(l.Lines) - 1; i >= 0; i-- {
			if l.Redundant(i, func(j int) bool { return !gone[j] }) != space.Needed {
				gone[i] = true
				removed++
				rest = without(rest, l.Lines[i].Rule.Ref)
			}
		}
		for _, p := range points() {
			if a, b := st.Decide(p.conn()).Verdict, rest.Decide(p.conn()).Verdict; a != b {
				t.Fatalf("seed %d: %v: %s before, %s after", seed, p, a, b)
			}
		}
		if ok, w := space.Within(space.Of(rest), l); !ok {
			t.Fatalf("seed %d: opened %v", seed, w)
		}
		if d := space.Compare(l, space.Of(rest), 10); !d.Empty() {
			t.Fatalf("seed %d: differ: %+v", seed, d)
		}
	}
	t.Log("removed", removed)
}

func TestCompareFindsWhatDiffers(t *testing.T) {
	differ := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 6))
		unknown := seed%3 == 0
		a := randomStage(r, 1+r.IntN(6), twoActions, unknown)
		b := without(a, policy.Ref{Owner: "g", Rule: fmt.Sprint("r", r.IntN(6))})
		if r.IntN(2) == 0 {
			b.Default = a.Default ^ policy.Allow
		}
		d := space.Compare(space.Of(a), space.Of(b), 1000)
		within, _ := space.Within(space.Of(b), space.Of(a))
		opened := false
		as, bs := settled(a), settled(b)
		for _, p := range points() {
			o, c := false, false
			for k := range as {
				// The same unknown set in both: removing a rule that is unknown halves the cases.
				x := as[k].Decide(p.conn()).Verdict
				y := bs[k*len(bs)/len(as)].Decide(p.conn()).Verdict
				if len(as) != len(bs) {
					continue
				}
				o, c = o || x == policy.Denied && y == policy.Allowed, c || x == policy.Allowed && y == policy.Denied
			}
			opened = opened || o
			if o && !p.in(d.Opened) || c && !p.in(d.Closed) {
				t.Fatalf("seed %d: %v differs and is not listed: %+v", seed, p, d)
			}
			if !unknown && (p.in(d.Opened) != o || p.in(d.Closed) != c) {
				t.Fatalf("seed %d: %v is listed and does not differ", seed, p)
			}
		}
		if opened {
			differ++
			if within {
				t.Fatalf("seed %d: b opens something and is called within", seed)
			}
		}
		if !unknown && within != (len(d.Opened) == 0) {
			t.Fatalf("seed %d: within %v, opened %v", seed, within, d.Opened)
		}
	}
	if differ == 0 {
		t.Fatal("nothing ever differed")
	}
}

// A rule that allows and one that skips the later stages too are not the same, so
// neither stands in for the other.
func TestAllowIsNotCoveredByWhatSkipsLaterStages(t *testing.T) {
	all := policy.NewMatch(flow.Ingress, policy.AnyProto, netset.AllPorts, policy.AnyICMP, policy.AnyAddr)
	rule := func(id string, rank uint32, a policy.Action) policy.Rule {
		return policy.Rule{Ref: policy.Ref{Owner: "g", Rule: id}, Direction: flow.Ingress, Rank: rank, Action: a, Match: []policy.Match{all}}
	}
	for name, rules := range map[string][]policy.Rule{
		"below":   {rule("a", 1, policy.Allow), rule("skip", 2, policy.AllowAll)},
		"between": {rule("a", 1, policy.Allow), rule("skip", 2, policy.AllowAll), rule("b", 3, policy.Allow)},
		"beside":  {rule("a", 1, policy.Allow), rule("skip", 1, policy.AllowAll)},
	} {
		l := space.Of(&policy.Stage{Tiers: []policy.Tier{{Rules: rules}}})
		i, _ := l.Find(policy.Ref{Owner: "g", Rule: "a"})
		if got := l.Redundant(i, nil); got != space.Needed {
			t.Errorf("%s: %v", name, got)
		}
	}
	l := space.Of(&policy.Stage{Tiers: []policy.Tier{{Rules: []policy.Rule{rule("skip", 1, policy.AllowAll), rule("a", 2, policy.Allow)}}}})
	if got := l.Redundant(1, nil); got != space.Shadowed {
		t.Errorf("above: %v, want shadowed", got)
	}
}
